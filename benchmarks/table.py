"""The whole table: the documents' scripts as written, one after another, beside this pipeline.

    python -m benchmarks.table                           two epochs of everything, the rest reckoned: about half an hour
    python -m benchmarks.table mnist_mlp cifar10_deep_5k two variants: two minutes
    python -m benchmarks.table --full                    every epoch of everything: about two hours
    python -m benchmarks.table --dvc                     also `dvc repro`, beside `replica repro`

Both sides start from preprocessed data with nothing trained, at one seed each. The pipeline's side is a clone of this
repository's last commit, without the variants of our own on the official data, where `replica repro` trains, evaluates
and reports; it also has the spiral, the convolutions and the variants on embedded data, which the other side has not.
REPLICA_MIRROR is taken where it is set.

Where epochs are left out, theirs are reckoned at the last one measured, which is warm, and ours at the mean of all,
which holds the time that graphs take to build: the ratio errs towards theirs.
"""

from __future__ import annotations

import argparse
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

from replica import parameters

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable
ENV = {**os.environ, "PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}"}


def call(*command: str, cwd: Path = ROOT) -> str:
    return subprocess.run(
        command, cwd=cwd, env=ENV, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ).stdout


def clone(folder: Path, epochs: int | None, without: set[str]) -> None:
    """This repository's last commit with one seed each, and `epochs` epochs; its data preprocessed."""
    call("git", "clone", "-q", str(ROOT), str(folder))
    yaml, file = YAML(), folder / "params.yaml"
    content = yaml.load(file)
    for entry in [*content["variants"].values(), *content["searches"].values()]:
        entry.pop("seeds", None)
        entry["epochs"] = epochs or entry["epochs"]
    for name in without:
        del content["variants"][name]
    yaml.dump(content, file)
    stages = [f"preprocess@{name}" for name in content["datasets"]]
    call(PYTHON, "-m", "dvc", "repro", *stages, cwd=folder)


def clear(folder: Path) -> None:
    """Back to preprocessed data alone, with nothing remembered of earlier runs."""
    call("git", "checkout", "-q", "dvc.lock", "metrics", "plots", "report", cwd=folder)
    for rest in ("models", "timings", ".dvc/cache/runs"):
        subprocess.run(["rm", "-rf", rest], cwd=folder, check=True)


def theirs(name: str, epochs: int | None) -> tuple[float, dict[str, Any]]:
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
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--full", action="store_true")
    options.add_argument("--dvc", action="store_true")
    options.add_argument("--jobs", default="2")
    given = options.parse_args()
    epochs = None if given.full else given.epochs
    declared = parameters.read(ROOT / "params.yaml")
    whole = {
        name: entry["epochs"]
        for group in ("variants", "searches")
        for name, entry in declared[group].items()
        if entry["dataset"] in ("mnist", "cifar10")
    }
    claims = parameters.read(ROOT / "claims.yaml")
    documents = {name for document in claims["documents"].values() for name in document["variants"]}
    without = whole.keys() - documents
    whole = {name: count for name, count in whole.items() if name in documents}
    names = given.names or list(whole)
    targets = [f"{'choose' if name in declared['searches'] else 'evaluate'}@{name}" for name in given.names]

    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "clone"
        clone(folder, epochs, without)
        ours = repro(folder, ["replica", "repro", "--jobs", given.jobs], targets)
        seconds = {name: json.loads((folder / f"timings/{name}.json").read_text()) for name in names}
        scores = {name: json.loads((folder / f"metrics/{name}.json").read_text())["test"]["accuracy"] for name in names}
        print(f"replica repro --jobs {given.jobs}: {ours:.0f} s", flush=True)
        if given.dvc:
            clear(folder)
            single = repro(folder, ["dvc", "repro"], targets)
            print(f"dvc repro: {single:.0f} s, {single / ours:.2f} times replica repro", flush=True)

    print("\n| variant | as written, s | training here, s | test accuracy as written | here |")
    print("| --- | --- | --- | --- | --- |")
    measured, rest_theirs, rest_ours, differences = 0.0, 0.0, 0.0, []
    for name in names:
        wall, run = theirs(name, epochs)
        here = sum(seconds[name]["seeds"].values())
        measured += wall
        left = whole[name] - len(run["seconds"])
        rest_theirs += left * run["seconds"][-1]
        rest_ours += left * here / len(run["seconds"])
        accuracy = run.get("test_accuracy")
        differences += [scores[name] - accuracy] if accuracy is not None else []
        text = f"{accuracy:.4f}" if accuracy is not None else ""
        print(f"| {name} | {wall:.1f} | {here:.1f} | {text} | {scores[name]:.4f} |", flush=True)

    print(f"\nmeasured: {measured:.0f} s as written, {ours:.0f} s here: {measured / ours:.2f} times")
    if not given.full:
        theirs_all, ours_all = measured + rest_theirs, ours + rest_ours / int(given.jobs)
        print(
            f"all epochs, reckoned: {theirs_all:.0f} s as written, {ours_all:.0f} s: {theirs_all / ours_all:.2f} times"
        )
    if len(differences) > 2:
        interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
        print(
            f"test accuracy here less as written, {len(differences)} variants: mean {np.mean(differences):+.4f} "
            f"(95% {interval.low:+.4f} to {interval.high:+.4f}), median {statistics.median(differences):+.4f}"
        )


if __name__ == "__main__":
    main()
