"""How much memory stages need: benchmarks/memory.csv, by which `replica repro` decides what fits side by side.

    python -m benchmarks.memory                    what the csv lacks of the variants: minutes each, one after the other
    python -m benchmarks.memory VARIANT …          these, anew

A variant is trained for one epoch with one seed, on its own data, by `benchmarks.here`, and its peak is taken. A whole
training may need more: of three that were watched in the official run `cifar10_four_conv` had 1,457 MiB (one epoch:
1,005), `cifar10_model4` 1,064 (1,022) and `cifar10_deep_50k_long` 974; the table has those. What other stages need is
added from what the driver has measured here (`.dvc/tmp/replica/memory.json`).
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

from replica.commands.repro.estimates import read
from replica.common import parameters

TABLE = Path(__file__).with_suffix(".csv")


def peak(variant: str) -> float:
    """MiB of a variant's training at the most."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.here", variant, "--epochs", "1"])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{variant}: exit status {process.returncode}")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    known: dict[str, float] = {}
    if TABLE.exists():
        with TABLE.open(newline="") as file:
            known = {row["stage"]: float(row["MiB"]) for row in csv.DictReader(file)}
    asked = sys.argv[1:] or [name for name in parameters.read()["variants"] if f"train@{name}" not in known]
    for name in asked:
        known[f"train@{name}"] = peak(name)
        write(known)
    other = read(Path(".dvc/tmp/replica/memory.json"))
    write(known | {name: value for name, value in other.items() if not name.startswith(("train", "search"))})


def write(known: dict[str, float]) -> None:
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["stage", "MiB", "threads"])
        writer.writerows([name, round(value), 1] for name, value in sorted(known.items()))


if __name__ == "__main__":
    main()
