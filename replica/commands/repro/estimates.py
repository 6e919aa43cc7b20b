"""How long a stage takes: what it took here, else elsewhere at this machine's pace, else what its like took."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

SHORT = 5.0  # Seconds of a stage that trains nothing and was never seen: most of it is start-up (docs/speed.md).


class Estimates:
    """What stages took before, in seconds, as estimates of what they will take.

    `measured` here, the later source over the earlier: `timings/VARIANT.json` (written by training) and the driver's
    own file, which `record` writes. `elsewhere`, on whatever machine it was: `benchmarks/seconds.csv` (committed).

    Parameters
    ----------
    root
        The project's root.
    own
        The driver's own file.
    """

    def __init__(self, root: Path, own: Path) -> None:
        self.own = own
        self.measured: dict[str, float] = {}
        self.elsewhere: dict[str, float] = {}
        table = root / "benchmarks" / "seconds.csv"
        if table.exists():
            with table.open(newline="") as file:
                for row in csv.DictReader(file):
                    learn_training(self.elsewhere, row.get("variant"), row.get("train_seconds"), row.get("seeds"))
        for path in sorted((root / "timings").glob("*.json")):
            timing = read(path)
            seeds = timing.get("seeds")
            count = len(seeds) if isinstance(seeds, dict) and seeds else 1
            learn_training(self.measured, path.stem, timing.get("train_seconds"), count)
        for name, seconds in read(own).items():
            learn(self.measured, name, seconds)

    def known(self) -> dict[str, float]:
        """Seconds of each stage that was measured; those of elsewhere at the pace of what was measured on both."""
        both = self.measured.keys() & self.elsewhere.keys()
        here, there = (sum(side[name] for name in both) for side in (self.measured, self.elsewhere))
        pace = here / there if there else 1.0
        return {**{name: seconds * pace for name, seconds in self.elsewhere.items()}, **self.measured}

    def of(self, names: Iterable[str]) -> dict[str, float]:
        """Seconds of each stage; one never seen takes its group's mean, else what a short stage takes."""
        known = self.known()
        groups: dict[str, list[float]] = {}
        for name, seconds in known.items():
            groups.setdefault(group(name), []).append(seconds)
        means = {group: fmean(values) for group, values in groups.items()}
        return {name: known.get(name, means.get(group(name), SHORT)) for name in names}

    def record(self, seconds: dict[str, float]) -> None:
        """Add what this run measured to the driver's own file."""
        if not seconds:
            return
        kept = {**read(self.own), **{name: round(value, 3) for name, value in seconds.items()}}
        beside = self.own.with_suffix(".new")
        beside.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
        beside.replace(self.own)


def learn_training(known: dict[str, float], name: str | None, seconds: object, times: object) -> None:
    """Add a training's seconds, the mean of so many seeds."""
    for stage in ("train", "search"):  # The records do not say which of the two a name is, and no name is both.
        learn(known, f"{stage}@{name}", seconds, times)


def learn(known: dict[str, float], name: str, seconds: object, times: object = 1) -> None:
    """Add a stage's seconds, where they are some."""
    try:
        known[name] = float(seconds) * int(times)  # type: ignore[arg-type, call-overload]
    except (TypeError, ValueError):  # an estimate is no reason to fail
        return


def group(name: str) -> str:
    """The stage in dvc.yaml that a name such as `train@mnist_cnn` is one of."""
    return name.split("@")[0]


def read(path: Path) -> dict:
    """A JSON object; empty where there is none that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
