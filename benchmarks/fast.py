"""The fast variants beside the documents' networks as written: seconds and test accuracies, in one run.

    python -m benchmarks.fast [--seeds 5]

Takes about twenty minutes on two cores. As written, a network has all cores; a fast variant has one thread, as every
variant here. Seconds are those of training alone, without imports or reading, which would flatter the slower side; no
seed is left out. Each process is a fresh one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RIVALS = {
    "cifar10_deep_50k_long": ("cifar10_fast", "cifar10_fastest"),
    "mnist_cnn": ("mnist_fast",),
}


def run(module: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, text=True, capture_output=True).stdout)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=5)
    given = options.parse_args()
    print("| variant | seconds, median | share of the time as written | test accuracy, mean | of each seed |")
    print("| --- | --- | --- | --- | --- |")
    for slow, quick in RIVALS.items():
        written = run("as_written", slow)
        whole = sum(written["seconds"])
        print(f"| {slow}, as written | {whole:.1f} | 1 | {written['test_accuracy']:.4f} | |", flush=True)
        for name in quick:
            runs = [run("here", name, "--seed", str(seed)) for seed in range(given.seeds)]
            seconds = statistics.median(one["seconds"] for one in runs)
            accuracies = [one["test_accuracy"] for one in runs]
            each = " ".join(f"{accuracy:.4f}" for accuracy in accuracies)
            mean = statistics.mean(accuracies)
            print(f"| {name} | {seconds:.1f} | {seconds / whole:.3f} | {mean:.4f} | {each} |", flush=True)


if __name__ == "__main__":
    main()
