"""What each kind of stage costs beside its work: seconds, peak memory, and what of a training stage is not training.

    python -m benchmarks.stages

runs stages' commands in a clone of the last commit, with data and models from this repository's cache and one epoch a
variant: about six minutes. `nothing` is nothing to do, the median of three in turns; `--params-once` is a DVC that
keeps params.yaml once it has read it, where `dvc repro` reads it anew for every stage. "Scoring" is the scoring of all
training and test images again, in a process of its own.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
STAGES = (
    "download@cifar10",
    "preprocess@cifar10",
    "evaluate@mnist_mlp",
    "evaluate@cifar10_model5",
    "choose@mnist_random_search",
    "convolution",
    "surface",
    "report",
    "train@mnist_mlp",
    "train@mnist_adadelta",
    "train@cifar10_strided_5k",
    "train@cifar10_model4",
    "train@cifar10_four_conv",
)
ENV = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def timed(command: str, folder: Path) -> tuple[float, float]:
    """Seconds, and peak memory in GiB of the largest process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, shell=True, cwd=folder, env=ENV, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command}: exit status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, used.ru_maxrss / 2**20


def scoring(name: str) -> float:
    """Seconds that a variant's network takes to score what a training scores at its end."""
    from replica.common import arrays, parameters
    from replica.training.trainer import Trainer

    variant = parameters.variant(parameters.read(), name)
    data = arrays.load(variant["dataset"])
    trainer = Trainer(variant, data.x_train[:1], data.y_train[:1], len(data.classes), seed=0)
    began = time.perf_counter()
    for x in (data.x_train[: variant.get("train_examples")], data.x_test):
        trainer.probabilities(x)
    return time.perf_counter() - began


def repro_once() -> int:
    """`dvc repro` that parses a parameter file only once; returns its exit status."""
    from dvc.cli import main as dvc
    from dvc.dependency import param

    param.load_path = functools.cache(param.load_path)
    return dvc(["repro"])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--params-once", action="store_true", help="`dvc repro` that parses params.yaml once, alone")
    options.add_argument("--scoring", metavar="VARIANT", help="the seconds of one variant's scoring, alone")
    given = options.parse_args()
    if given.params_once:
        sys.exit(repro_once())
    if given.scoring:
        print(scoring(given.scoring))
        return
    yaml = YAML()
    commands = {name: stage["cmd"] for name, stage in yaml.load(ROOT / "dvc.lock")["stages"].items()}
    print("| stage | seconds | beside training | scoring | peak memory, GiB |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "clone"
        for command in (
            f"git clone -q {ROOT} {folder}",
            f"cd {folder} && dvc cache dir --local {ROOT}/.dvc/cache && dvc checkout -q",
        ):
            timed(command, ROOT)
        nothing = ("replica repro", "dvc repro", "python -m benchmarks.stages --params-once")
        rounds = [[timed(what, folder) for what in nothing] for _ in range(3)]
        for what, *figures in zip(nothing, *rounds, strict=True):
            seconds, peak = map(statistics.median, zip(*figures, strict=True))
            print(f"| nothing, {what}, {len(commands)} stages | {seconds:.1f} | | | {peak:.2f} |", flush=True)
        params = yaml.load(folder / "params.yaml")
        for entry in params["variants"].values():
            entry["seeds"] = entry["epochs"] = 1
        for name in STAGES:
            if name.startswith("train@"):
                yaml.dump(params, folder / "params.yaml")
            seconds, peak = timed(commands[name], folder)
            beside = scored = ""
            if name.startswith("train@"):
                trained = json.loads((folder / f"timings/{name[6:]}.json").read_text())["train_seconds"]
                again = [sys.executable, "-m", "benchmarks.stages", "--scoring", name[6:]]
                beside = f"{seconds - trained:.1f}"
                scored = f"{float(subprocess.check_output(again, cwd=folder, text=True).splitlines()[-1]):.1f}"
            print(f"| {name} | {seconds:.1f} | {beside} | {scored} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main()
