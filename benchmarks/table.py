"""The whole table: the documents' scripts as written, one after another, beside this pipeline.

    python -m benchmarks.table                           as written two epochs of each, the rest reckoned: 70 minutes
    python -m benchmarks.table mnist_mlp cifar10_deep_5k two variants: two minutes
    python -m benchmarks.table --full                    as written every epoch, too: three hours
    python -m benchmarks.table --dvc                     also `dvc repro`, beside `replica repro`

Both sides have the documents' variants and search on images, at one seed each, from preprocessed data with nothing
trained. The pipeline's side is a clone of this repository's last commit, where `replica repro` trains every epoch,
evaluates and reports; what the other side has not (the spiral, the convolutions, variants of our own) is run before, or
left out. REPLICA_MIRROR is taken where it is set.

Epochs that are left out as written are reckoned at the last one measured, which is warm. Every other script is measured
before the pipeline's side and the rest after it, since machines get slower and faster within the hour.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from scipy import stats

from replica.common import parameters

ROOT = Path(__file__).parent.parent
IMAGES = ("mnist", "cifar10")
PYTHON = sys.executable
ENV = {**os.environ, "PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}"}


def call(*command: str, cwd: Path = ROOT) -> str:
    return subprocess.run(
        command, cwd=cwd, env=ENV, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ).stdout


def documented(declared: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The documents' variants and searches on images, as declared."""
    claims = parameters.read(ROOT / "claims.yaml")
    names = {name for document in claims["documents"].values() for name in document["variants"]}
    entries = {**declared["variants"], **declared["searches"]}
    return {name: entry for name, entry in entries.items() if name in names and entry["data"]["dataset"] in IMAGES}


def clone(folder: Path, kept: set[str], first: list[str]) -> None:
    """This repository's last commit with one seed each and the variants in `kept`; data and `first` are made."""
    call("git", "clone", "-q", str(ROOT), str(folder))
    yaml, file = YAML(), folder / "params.yaml"
    content = yaml.load(file)
    for name in content["variants"].keys() - kept:
        del content["variants"][name]
    for entry in [*content["variants"].values(), *content["searches"].values()]:
        entry["seeds"] = 1
    yaml.dump(content, file)
    data = [f"preprocess@{name}" for name in parameters.declared(folder)["datasets"]]
    call(PYTHON, "-m", "replica", "repro", *data, *first, cwd=folder)
    call("git", "-c", "user.name=table", "-c", "user.email=table@localhost", "commit", "-qam", "Before", cwd=folder)


def clear(folder: Path, names: list[str]) -> None:
    """Back to what `clone` made, with nothing remembered of earlier runs."""
    call("git", "checkout", "-q", ".", cwd=folder)
    call("rm", "-rf", "timings", ".dvc/cache/runs", *(f"models/{name}" for name in names), cwd=folder)


def as_written(name: str, epochs: int | None) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    more = ["--epochs", str(epochs)] if epochs else []
    out = call(PYTHON, "-m", "benchmarks.as_written", name, *more)
    return time.perf_counter() - began, json.loads(out.splitlines()[-1])


def repro(folder: Path, command: list[str], targets: list[str]) -> float:
    began = time.perf_counter()
    call(PYTHON, "-m", *command, *targets, cwd=folder)
    return time.perf_counter() - began


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", help="variants and searches; none: all of the documents' on images")
    options.add_argument("--epochs", type=int, default=2, help="as written, epochs measured of each variant")
    options.add_argument("--full", action="store_true", help="as written, every epoch")
    options.add_argument("--dvc", action="store_true")
    options.add_argument("--jobs", default="2")
    given = options.parse_args()
    declared = parameters.read(ROOT / "params.yaml")
    whole = {name: entry["epochs"] for name, entry in documented(declared).items()}
    names = given.names or list(whole)
    targets = [f"{'choose' if name in declared['searches'] else 'evaluate'}@{name}" for name in given.names]

    def theirs(names: list[str]) -> dict[str, tuple[float, dict[str, Any]]]:
        return {name: as_written(name, None if given.full else min(given.epochs, whole[name])) for name in names}

    written = theirs(names[::2])
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "clone"
        clone(folder, {*whole, "spiral"}, [] if targets else ["surface", "evaluate@spiral", "convolution"])
        targets = targets or ["report"]
        ours = repro(folder, ["replica", "repro", "--jobs", given.jobs], targets)
        seconds = {name: json.loads((folder / f"timings/{name}.json").read_text()) for name in names}
        scores = {name: json.loads((folder / f"metrics/{name}.json").read_text())["test"]["accuracy"] for name in names}
        with (folder / ".dvc/tmp/replica/timeline.csv").open() as file:
            busy = sum(float(stage["seconds"]) for stage in csv.DictReader(file))
        print(f"replica repro --jobs {given.jobs}: {ours:.0f} s, {busy / ours:.2f} jobs at a time", flush=True)
        if given.dvc:
            clear(folder, names)
            single = repro(folder, ["dvc", "repro"], targets)
            print(f"dvc repro: {single:.0f} s, {single / ours:.2f} times replica repro", flush=True)
    written |= theirs(names[1::2])

    print("\n| variant | as written, s | all epochs, s | training here, s | test accuracy as written | here |")
    print("| --- | --- | --- | --- | --- | --- |")
    measured, reckoned, differences = 0.0, 0.0, []
    for name in names:
        wall, run = written[name]
        left = whole[name] - len(run["seconds"])
        measured += wall
        all_epochs = wall + left * run["seconds"][-1]
        reckoned += all_epochs
        accuracy = None if left else run.get("test_accuracy")
        differences += [scores[name] - accuracy] if accuracy is not None else []
        here = sum(seconds[name]["seeds"].values())
        text = f"{accuracy:.4f}" if accuracy is not None else ""
        print(f"| {name} | {wall:.1f} | {all_epochs:.1f} | {here:.1f} | {text} | {scores[name]:.4f} |")

    print(f"\nas written {reckoned:.0f} s ({measured:.0f} s measured), here {ours:.0f} s: {reckoned / ours:.2f} times")
    if len(differences) > 2:
        interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
        print(
            f"test accuracy here less as written, {len(differences)} variants: mean {np.mean(differences):+.4f} "
            f"(95% {interval.low:+.4f} to {interval.high:+.4f}), median {statistics.median(differences):+.4f}"
        )


if __name__ == "__main__":
    main()
