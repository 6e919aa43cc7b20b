"""The saved runs of a variant, one folder a seed: what is in them, and whether one still holds."""

from __future__ import annotations

import ast
import csv
import hashlib
import inspect
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from replica.common import arrays, kernels
from replica.common.errors import UserError
from replica.training import backend, layers, networks, trainer
from replica.training.backend import keras, tf
from replica.training.trainer import Rows, Trainer

CODE = (arrays, backend, networks, layers, trainer, sys.modules[__name__])  # what decides a run's bytes


def syntax(*modules: ModuleType) -> str:
    """SHA-256 of what modules do: their syntax without docstrings, comments, layout and the project's own imports.

    So a comment, a formatter or a file that moves to another room trains nothing anew.
    """
    whole = hashlib.sha256()
    for module in modules:
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(body := getattr(node, "body", None), list):
                node.body = [each for each in body if not idle(each)] or [ast.Pass()]  # type: ignore[attr-defined]
        whole.update(ast.unparse(tree).encode())
    return whole.hexdigest()


def idle(node: ast.stmt) -> bool:
    """Whether a statement computes nothing: a docstring, or an import from this project."""
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] == "replica"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def fingerprint(variant: dict[str, Any], images: dict[str, np.ndarray], hashes: Any) -> str:
    """SHA-256 over all that decides a run's bytes: parameters, data, the code that computes, libraries, kernels.

    Parameters
    ----------
    variant
        The entry without its seeds.
    images
        What is trained on and scored, by name; how many of each.
    hashes
        Of the dataset's arrays.
    """
    everything = {
        "variant": variant,
        "kernels": kernels.describe(variant["kernels"]),
        "images": {name: len(x) for name, x in images.items()},
        "data": hashes,
        "code": syntax(*CODE),
        "libraries": [keras.__version__, np.__version__, tf.__version__],
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def missing(folder: Path, seeds: list[int], wanted: str) -> list[int]:
    """The seeds that have no run of this fingerprint; runs of seeds no longer asked for are removed."""
    for run in folder.glob("*/"):
        if run.name not in {f"seed-{seed}" for seed in seeds}:
            shutil.rmtree(run)
    return [
        seed
        for seed in seeds
        if not (file := folder / f"seed-{seed}" / "fingerprint").exists() or file.read_text().strip() != wanted
    ]


def save(run: Path, trained: Trainer, history: Rows, images: dict[str, np.ndarray], mark: str) -> None:
    """Write a run's folder beside, then move it into place.

    model.weights.h5 and architecture.json (a `.keras` file holds the date, and so differs from run to run),
    model.json, history.csv, fingerprint, and for each set of images its probabilities, float32 [n, classes].
    """
    part = run.with_name(f".{run.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    trained.model.save_weights(part / "model.weights.h5")
    architecture = json.loads(trained.architecture)
    (part / "architecture.json").write_text(json.dumps(architecture, indent=2) + "\n")
    model = {**kernels.describe(trained.variant["kernels"]), **networks.description(trained.model)}
    (part / "model.json").write_text(json.dumps(model, indent=2) + "\n")
    with (part / "history.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["epoch", "value", "metric", "data"])
        table.writerows([epoch, f"{value:.6g}", metric, data] for epoch, value, metric, data in history)
    for name, x in images.items():
        if len(x):
            np.save(part / f"{name}.npy", trained.probabilities(x))
    (part / "fingerprint").write_text(mark + "\n")
    shutil.rmtree(run, ignore_errors=True)
    part.rename(run)


def load(run: Path) -> Any:
    """The network of a run's folder with its trained weights; images go in as they are stored.

    Raises
    ------
    UserError
        Where the run is missing.
    """
    try:
        model = keras.models.model_from_json((run / "architecture.json").read_text())
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; run `dvc repro train@{run.parent.name}`") from None
    model.load_weights(run / "model.weights.h5")
    return model
