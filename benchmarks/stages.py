"""What each kind of stage costs beside its work: seconds, peak memory, and what of a training stage is not training.

    python -m benchmarks.stages

runs stages' commands in a clone of the last commit, with data and models from this repository's cache and one epoch a
variant: about four minutes. `nothing` starts DVC with nothing to do.
"""

from __future__ import annotations

import json
import os
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


def main() -> None:
    yaml = YAML()
    commands = {name: stage["cmd"] for name, stage in yaml.load(ROOT / "dvc.lock")["stages"].items()}
    print("| stage | seconds | beside training | peak memory, GiB |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "clone"
        for command in (
            f"git clone -q {ROOT} {folder}",
            f"cd {folder} && dvc cache dir --local {ROOT}/.dvc/cache && dvc checkout -q",
        ):
            timed(command, ROOT)
        for what in ("dvc repro", "replica repro"):
            seconds, peak = timed(what, folder)
            print(f"| nothing, {what}, {len(commands)} stages | {seconds:.1f} | | {peak:.2f} |", flush=True)
        params = yaml.load(folder / "params.yaml")
        for entry in params["variants"].values():
            entry.pop("seeds", None)
            entry["epochs"] = 1
        for name in STAGES:
            if name.startswith("train@"):
                yaml.dump(params, folder / "params.yaml")
            seconds, peak = timed(commands[name], folder)
            rest = ""
            if name.startswith("train@"):
                rest = f"{seconds - json.loads((folder / f'timings/{name[6:]}.json').read_text())['train_seconds']:.1f}"
            print(f"| {name} | {seconds:.1f} | {rest} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main()
