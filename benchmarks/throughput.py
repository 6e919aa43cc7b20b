"""Images a second of training, warm: ours against Keras's plain `fit` and PyTorch, in turns.

    python -m benchmarks.throughput [--images 10000] [--rounds 3] [--torch-python PATH]
    python -m benchmarks.throughput --table --images 4000 --rounds 1         every documented variant: 20 minutes

Each setting is a process of its own that trains one epoch unmeasured and one measured; settings take turns, round after
round, so that a machine that slows down slows all. Plain `fit` gets float32 arrays and all cores, as the documents'
scripts do; PyTorch gets all cores as well; ours is one process of one thread a core, their images a second added up.
PyTorch is no part of the lock: `--torch-python` names an interpreter that has it, and without it those columns stay
empty.

`--table` reckons what training the documents' whole table takes, by each kind of kernels, from each variant's images a
second: one seed, every epoch, without validation, start-up, evaluation and the search, which `benchmarks.table`
measures, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
VARIANTS = {
    "dense": "mnist_l2_1e-4",
    "one convolution, batch 32": "mnist_sgd",
    "strided": "cifar10_strided_5k",
    "two convolutions": "mnist_adadelta",
    "model4": "cifar10_model4",
}
TORCH = ("eager", "channels_last", "compile", "bf16")


def images(variant: dict[str, Any], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels of the variant's shape: speed does not depend on what is on them."""
    shape = (28, 28, 1) if variant["dataset"] == "mnist" else (32, 32, 3)
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, *shape), dtype=np.uint8), random.integers(0, 10, count).astype(np.uint8)


def ours(variant: dict[str, Any], count: int) -> float:
    from replica.common import kernels

    kernels.use(variant["kernels"])
    from replica.training.trainer import Trainer

    x, y = images(variant, count)
    ends: list[float] = []
    for _ in Trainer({**variant, "epochs": 2}, x, y, 10, 0).fit({}):
        ends.append(time.perf_counter())
    return count / (ends[1] - ends[0])


def fit(variant: dict[str, Any], count: int) -> float:
    from benchmarks import as_written

    x, y = images(variant, count)
    model = as_written.build(variant, x.shape[1:])
    floats, labels = x.astype(np.float32) / 255, as_written.targets(y, model)
    model.fit(floats, labels, batch_size=variant["batch_size"], epochs=1, verbose=0)
    began = time.perf_counter()
    model.fit(floats, labels, batch_size=variant["batch_size"], epochs=1, verbose=0)
    return count / (time.perf_counter() - began)


def torch(variant: dict[str, Any], count: int, how: str) -> float:
    from benchmarks.pytorch import train

    return train(variant, *images(variant, count), how)


def measure(setting: str, name: str, count: int, python: str) -> float | None:
    """One setting in fresh processes; ours in as many as there are cores."""
    copies = len(os.sched_getaffinity(0)) if setting.startswith("ours") else 1
    command = [python, "-m", "benchmarks.throughput", "--one", setting, name, "--images", str(count)]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(copies)
    ]
    out = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        return None
    return sum(json.loads(text.splitlines()[-1]) for text in out)


def one(setting: str, name: str, count: int) -> None:
    if setting.startswith("torch"):
        variant = json.loads(os.environ["VARIANT"])
        print(torch(variant, count, setting.partition(" ")[2]))
        return
    from replica.common import parameters

    variant = parameters.variant(parameters.read(ROOT / "params.yaml"), name)
    kind = setting.partition(" ")[2]
    print(ours({**variant, "kernels": kind}, count) if kind else fit(variant, count))


def trained(variant: dict[str, Any]) -> int:
    """Images that one seed trains in all its epochs."""
    whole = 60_000 if variant["dataset"] == "mnist" else 50_000
    count = variant.get("train_examples", whole)
    held_out = 0 if variant["validation"] == "test" else variant["validation"]
    return int(count * (1 - held_out)) * variant["epochs"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--torch-python", default="")
    options.add_argument("--table", action="store_true", help="the documents' variants, and their seconds in all")
    options.add_argument("--one", nargs=2, metavar=("SETTING", "NAME"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        setting, name = given.one
        one(setting, name, given.images)
        return
    from benchmarks.table import documented
    from replica.common import parameters

    declared = parameters.read(ROOT / "params.yaml")
    settings = ["fit", "ours portable", "ours native"]
    settings += [f"torch {how}" for how in TORCH] if given.torch_python else []
    print("| images/s | " + " | ".join(settings) + " | over fit | over PyTorch's best |")
    print("| --- " * (len(settings) + 3) + "|")
    over_fit, over_torch = [], []
    seconds = dict.fromkeys(settings, 0.0)
    whole = {name: name for name in documented(declared) if name in declared["variants"]}
    for name, variant in (whole if given.table else VARIANTS).items():
        os.environ["VARIANT"] = json.dumps(parameters.variant(declared, variant))
        runs: dict[str, list[float]] = {setting: [] for setting in settings}
        for _ in range(given.rounds):
            for setting in settings:
                python = given.torch_python if setting.startswith("torch") else sys.executable
                if speed := measure(setting, variant, given.images, python):
                    runs[setting].append(speed)
        median = {setting: statistics.median(speeds) for setting, speeds in runs.items() if speeds}
        if not {*settings[:3]} <= median.keys():
            print(f"{name}: failed, and is left out", file=sys.stderr)
            continue
        for setting, speed in median.items():
            seconds[setting] += trained(parameters.variant(declared, variant)) / speed
        best = max(median["ours portable"], median["ours native"])
        rival = max((speed for setting, speed in median.items() if setting.startswith("torch")), default=None)
        cells = [f"{median[setting]:,.0f}" if setting in median else "" for setting in settings]
        over_fit.append(best / median["fit"])
        over_torch += [best / rival] if rival else []
        over = f"{over_torch[-1]:.2f}" if rival else ""
        print(f"| {name} | " + " | ".join(cells) + f" | {over_fit[-1]:.2f} | {over} |", flush=True)
    over = f"{statistics.geometric_mean(over_torch):.2f}" if over_torch else ""
    print("| geometric mean " + "| " * len(settings) + f"| {statistics.geometric_mean(over_fit):.2f} | {over} |")
    if given.table:
        told = [f"{name} {value:,.0f} s ({seconds['fit'] / value:.2f} times)" for name, value in seconds.items()]
        print("\ntraining them all: " + ", ".join(told))


if __name__ == "__main__":
    main()
