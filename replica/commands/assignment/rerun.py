"""Runs of the grader's own: a declared variant trained anew, apart from the submission, and scored."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import select
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import replica
from replica.common import arrays, parameters, processes
from replica.common.errors import UserError
from replica.datasets import checks, kinds, processed
from replica.evaluation import scores
from replica.schema import check

SCRATCH = Path(".dvc/tmp/assignment")


@dataclass(frozen=True)
class Runs:
    """Accuracies on the training and test images by seed, as shares, and how many test images there are."""

    train: list[float]
    test: list[float]
    images: int

    def figures(self, of: str) -> np.ndarray:
        """`test`, `train`, or the `gap` of training's above the test's, [seeds]."""
        train, test = np.array(self.train), np.array(self.test)
        return {"train": train, "test": test, "gap": train - test}[of]


def facts(other: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """datasets.yaml here, with what is said of some datasets instead: as declared, and checked.

    Raises
    ------
    UserError
        Where one is not declared, or the values cannot be.
    """
    found = parameters.read("datasets.yaml")["datasets"]
    for name, values in other.items():
        entry = parameters.entry_of({"datasets": found}, "datasets", name)
        for key in values:
            check.require(f"data.{name}", key, entry, "key")
        found = {**found, name: {**entry, **values}}
    whole = {"datasets": found, "training": {"kernels": "portable"}, "networks": {}, "variants": {}}
    return found, check.datasets(whole)


def place(name: str, declared: Any, exact: bool) -> Path:
    """A folder in which data/processed has the dataset's arrays, made where it is not there yet.

    Parameters
    ----------
    exact
        Whether they must be the arrays whose SHA-256 datasets.yaml records; not where the teacher draws other ones.
    """
    folder = SCRATCH / "data" / digest({"name": name, **declared.model_dump()})
    if not folder.exists():
        part = folder.with_name(f".{folder.name}.{os.getpid()}")
        raw, made = part / "data/raw" / name, part / "data/processed" / name
        try:
            raw.mkdir(parents=True)
            made.mkdir(parents=True)
            kind = kinds.KINDS[declared.kind]
            kind.fetch(name, declared, raw, raw)
            decoded = kinds.decode(name, kind, declared, raw)
            if exact:
                checks.check(name, declared, decoded)
            processed.write(made, name, declared, decoded)
            shutil.rmtree(part / "data/raw")
            if not folder.exists():
                part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def runs(title: str, settings: dict[str, Any], declared: Any, exact: bool, seconds: int) -> Runs:
    """Train a settled variant for its seeds and score it; what was trained before and still holds is kept.

    Raises
    ------
    UserError
        Where it diverges, or takes longer than `seconds`.
    """
    data = place(settings["dataset"], declared, exact)
    folder = (SCRATCH / "runs" / digest({"data": data.name, **settings})).absolute()
    train({"title": title, "settings": settings, "folder": str(folder), "data": str(data.absolute())}, seconds)
    loaded = arrays.load(settings["dataset"], data / "data/processed")
    labels = {part: y for part, (_, y) in arrays.parts(loaded, settings).items()}
    accuracy: dict[str, list[float]] = {}
    for part in ("train", "test"):
        shape = (len(labels[part]), len(loaded.classes))
        found = [scores.probabilities(folder / f"seed-{seed}/{part}.npy", shape) for seed in settings["seeds"]]
        accuracy[part] = [float((scores.predicted(p) == labels[part]).mean()) for p in found]
    return Runs(accuracy["train"], accuracy["test"], len(labels["test"]))


class Worker:
    """A process that trains one job after the other, so that TensorFlow is loaded once for all of them."""

    process: subprocess.Popen[str] | None = None

    def train(self, job: dict[str, Any], seconds: int) -> None:
        """Have a job trained, and be there for the next; raises what `runs` does."""
        process = self.process = self.process or self.start()
        assert process.stdin and process.stdout
        with suppress(BrokenPipeError):  # it has died; its silence says so below
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        said = process.stdout.readline() if ready else ""
        if not said:
            self.stop()
            if ready:
                raise UserError(f"{job['title']}: its training ended with status {process.returncode}")
            forget(Path(job["folder"]))
            raise UserError(f"{job['title']}: its training takes longer than {seconds} seconds, and was stopped")
        if problem := json.loads(said):
            raise UserError(problem)

    def start(self) -> subprocess.Popen[str]:
        path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        places = [str(Path(replica.__file__).parents[1]), *filter(None, path)]
        atexit.register(self.stop)
        return subprocess.Popen(
            # -P: the working folder may be a student's, and no module of it is imported.
            [sys.executable, "-P", "-m", "replica.commands.assignment.worker"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None


def forget(folder: Path) -> None:
    """Remove what a training that was stopped for its time has left: a second one would go on from there."""
    with suppress(UserError), processes.sole(folder):  # another grader's, which is training the same
        shutil.rmtree(folder)


train = Worker().train


def digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
