"""How long a stage takes: from what it took last, else from what a stage like it took."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

SHORT = 5.0  # Seconds of a stage that trains nothing and was never seen: most of it is start-up (docs/speed.md).


class Estimates:
    """What stages took before, in seconds, as estimates of what they will take.

    Measured, the later source over the earlier: `benchmarks/seconds.csv` (committed), `timings/VARIANT.json` (written
    by training) and the driver's own file, which `record` writes.

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
        table = root / "benchmarks" / "seconds.csv"
        if table.exists():
            with table.open(newline="") as file:
                for row in csv.DictReader(file):
                    self._learn_training(row.get("variant"), row.get("train_seconds"), row.get("seeds"))
        for path in sorted((root / "timings").glob("*.json")):
            timing = read(path)
            seeds = timing.get("seeds")
            count = len(seeds) if isinstance(seeds, dict) and seeds else 1
            self._learn_training(path.stem, timing.get("train_seconds"), count)
        for name, seconds in read(own).items():
            self._learn(name, seconds)

    def _learn_training(self, name: str | None, seconds: object, times: object) -> None:
        for stage in ("train", "search"):  # The records do not say which of the two a name is, and no name is both.
            self._learn(f"{stage}@{name}", seconds, times)

    def _learn(self, name: str, seconds: object, times: object = 1) -> None:
        try:
            self.measured[name] = float(seconds) * int(times)  # type: ignore[arg-type, call-overload]
        except (TypeError, ValueError):  # an estimate is no reason to fail
            return

    def of(self, names: Iterable[str]) -> dict[str, float]:
        """Seconds of each stage; one never seen takes its group's mean, else what a short stage takes."""
        groups: dict[str, list[float]] = {}
        for name, seconds in self.measured.items():
            groups.setdefault(group(name), []).append(seconds)
        means = {group: fmean(values) for group, values in groups.items()}
        return {name: self.measured.get(name, means.get(group(name), SHORT)) for name in names}

    def record(self, seconds: dict[str, float]) -> None:
        """Add what this run measured to the driver's own file."""
        if not seconds:
            return
        kept = {**read(self.own), **{name: round(value, 3) for name, value in seconds.items()}}
        beside = self.own.with_suffix(".new")
        beside.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
        beside.replace(self.own)


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
