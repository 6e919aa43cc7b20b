"""What a stage needs of a machine: threads, and memory as measured, for dask's resources."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from replica.commands.repro.estimates import group, read

SAFE = 2000.0  # MiB of a stage of a kind that was never measured


class Needs:
    """What stages needed before, as what they will need.

    Measured, the later source over the earlier: `benchmarks/memory.csv` (committed) and the driver's own file, which
    `record` writes. A stage that was never measured takes the most of its kind.

    Parameters
    ----------
    root
        The project's root.
    own
        The driver's own file.
    """

    def __init__(self, root: Path, own: Path) -> None:
        self.own = own
        self.memory: dict[str, float] = {}
        table = root / "benchmarks" / "memory.csv"
        if table.exists():
            with table.open(newline="") as file:
                self.memory = {row["stage"]: float(row["MiB"]) for row in csv.DictReader(file)}
        self.memory |= {name: float(value) for name, value in read(own).items()}

    def of(self, name: str) -> dict[str, float]:
        """Threads and MiB, as dask's resources."""
        kind = group(name)
        alike = [value for other, value in self.memory.items() if group(other) == kind]
        return {"threads": 1, "memory": self.memory.get(name, max(alike, default=SAFE))}

    def record(self, memory: dict[str, float]) -> None:
        """Add what this run measured, in MiB, to the driver's own file: the most that a stage has ever had."""
        before = read(self.own)
        kept = before | {name: round(max(value, before.get(name, 0.0)), 1) for name, value in memory.items() if value}
        if kept == before:
            return
        beside = self.own.with_suffix(".new")
        beside.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
        beside.replace(self.own)
