"""Runs of the grader's own: a declared variant trained anew, apart from the submission, and scored."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import replica
from replica.common import arrays, kernels, parameters
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


def train(job: dict[str, Any], seconds: int) -> None:
    """Run `worker` on a job in a process of its own, whose time is limited; raises what `runs` does."""
    kept = {key: value for key, value in os.environ.items() if key not in kernels.ONEDNN}
    places = [str(Path(replica.__file__).parents[1]), *filter(None, kept.get("PYTHONPATH", "").split(os.pathsep))]
    kept["PYTHONPATH"] = os.pathsep.join(places)
    # -P: the working folder may be a student's, and no module of it is imported.
    command = [sys.executable, "-P", "-m", "replica.commands.assignment.worker"]
    try:
        done = subprocess.run(
            command, input=json.dumps(job), env=kept, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{job['title']}: its training takes longer than {seconds} seconds, and was stopped") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"its training ended with status {done.returncode}"]
        raise UserError(f"{job['title']}: {lines[-1].removeprefix('error: ')[:300]}")


def digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
