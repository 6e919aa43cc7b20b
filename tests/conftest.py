"""A small project for the tests that run DVC: this repository's files, two variants, an epoch each."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from replica.common import kernels, parameters  # and so NumPy is pinned before any test imports it

ROOT = Path(__file__).parent.parent
kernels.use("portable")

LONG = (
    "test_portable.py",
    "test_sweep.py",
    "test_queue.py",
    "test_extension.py",
    "test_dvc.py",
    "test_two_clones.py",
    "test_cluster.py",
    "test_verify.py",
    "test_compare.py",
    "test_repro.py",
)


def pytest_configure() -> None:
    """Ctrl-C reaches the commands under test also where a shell started pytest in the background, which ignores it.

    Nor does each of DVC's commands start a process that tells its makers.
    """
    os.environ["DVC_NO_ANALYTICS"] = "1"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no core waits for them at the end."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_collection_finish() -> None:
    """One thread for TensorFlow, where a test imports it: that can't be set once another test has used it."""
    if "tensorflow" in sys.modules:
        from replica.training import trainer

        trainer.prepare(0, "float32")


class Project:
    """A git and DVC repository in a folder of its own, and commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def environment(self) -> dict[str, str]:
        """This environment's commands and the folder's code."""
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        return {**os.environ, "PATH": path, "PYTHONPATH": str(self.folder), "COLUMNS": "200"}

    def begin(self) -> None:
        """A git repository of somebody's."""
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "config", "user.name", "Test")

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment's; its output is in `stdout`, errors included."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}"
        return done

    def repro(self, *targets: str, check: bool = True) -> list[str]:
        """`dvc repro`; returns the stages that ran."""
        return stages_in(self.run("dvc", "repro", *targets, check=check).stdout)

    def parameters(self) -> dict:
        return parameters.read(self.folder / "params.yaml")

    def write(self, declared: dict) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)


def stages_in(output: str) -> list[str]:
    """The stages that DVC says it runs."""
    return re.findall(r"Running stage '([^']+)'", output)


def small(folder: Path) -> Project:
    """This repository's files in `folder`, cut down to the datasets and variants that are quick."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if name.split("/")[0] in ("live", "metrics", "plots", "report", "tests", "docs") or name == "dvc.lock":
            continue
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    project = Project(folder)
    declared = project.parameters()
    variants = {name: {**declared["variants"][name], "epochs": 1, "seeds": 1} for name in SMALL}
    networks = {entry["network"]: declared["networks"][entry["network"]] for entry in variants.values()}
    project.write({**declared, "networks": networks, "variants": variants, "searches": {}})
    datasets = yaml.safe_load((folder / "datasets.yaml").read_text())["datasets"]
    quick = {"datasets": {name: datasets[name] for name in ("mnist_5k", "photos10")}}
    (folder / "datasets.yaml").write_text(yaml.safe_dump(quick, sort_keys=False))
    pipeline = yaml.safe_load((folder / "dvc.yaml").read_text())
    for name in ("search", "choose", "convolution", "surface", "sample"):
        pipeline["stages"].pop(name, None)
    report = pipeline["stages"]["report"]
    absent = (
        "metrics/convolution.json",
        "metrics/mnist_learning_rate_search.json",
        "metrics/mnist_random_search.json",
        "plots/convolution",
        "plots/searches",
        "plots/spiral",
    )
    report["deps"] = [dep for dep in report["deps"] if dep not in absent]
    pipeline.pop("plots", None)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    project.begin()
    project.commit("Begin")
    return project


SMALL = ("mnist_5k_mlp", "photos10_linear")


@pytest.fixture(scope="session")
def copied_from(tmp_path_factory) -> Callable[[Callable[[Path], object]], Path]:
    """A folder as a function makes it. The worker that asks first calls it; each gets copies of its own."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def copied(make: Callable[[Path], object]) -> Path:
        first = shared / f"made-{make.__module__}-{make.__name__}"
        with first.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not first.exists():
                folder = tmp_path_factory.mktemp("made")
                make(folder)
                folder.rename(first)
        return shutil.copytree(first, tmp_path_factory.mktemp(make.__name__), symlinks=True, dirs_exist_ok=True)

    return copied


def run_once(folder: Path) -> None:
    """A small project whose pipeline has run, committed."""
    made = small(folder)
    made.run("replica", "repro", "--jobs", "2")
    made.commit("Run")


@pytest.fixture(scope="session")
def project(copied_from) -> Project:
    """A small project whose pipeline has run once; tests leave it as they find it, committed and up to date."""
    return Project(copied_from(run_once))
