"""A preprocessed dataset as arrays. Training imports this and nothing else of the datasets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from replica.common.errors import UserError


@dataclass(frozen=True)
class Arrays:
    """Images (uint8 [n, height, width, channels]) or features (float32 [n, features]), and labels (uint8 [n]).

    `hashes` are the SHA-256 of the training and test arrays, `classes` the labels' names.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: list[str]
    hashes: dict[str, Any]


def load(name: str, root: str | Path = "data/processed") -> Arrays:
    """Map a dataset's arrays into memory, read-only, so that each is held once however many read it.

    Raises
    ------
    UserError
        Where the dataset has not been preprocessed.
    """
    folder = Path(root, name)
    try:
        statistics = json.loads((folder / "statistics.json").read_text())
        arrays = {
            part: np.load(folder / f"{part}.npy", mmap_mode="r") for part in ("x_train", "y_train", "x_test", "y_test")
        }
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; run `dvc repro preprocess@{name}`") from None
    hashes = {split: statistics[split]["sha256"] for split in ("train", "test")}
    return Arrays(**arrays, classes=statistics["classes"], hashes=hashes)


def parts(data: Arrays, settings: dict[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Which images, and labels, train, validate and test: the one place that chooses them.

    Of the first `train_examples` (of all, where there is no such setting) the last share `validation` is held back, as
    Keras's `validation_split` takes it. Where `validation` is `test` or 0, none are, and there is no part of that name.

    Parameters
    ----------
    settings
        A variant's, as `replica.common.parameters.variant` returns it.

    Returns
    -------
    dict
        `train`, `validation` and `test`, each with x and y.
    """
    count = settings.get("train_examples", len(data.x_train))
    share = settings["validation"]
    split = count if share == "test" else int(count * (1.0 - share))
    chosen = {
        "train": (data.x_train[:split], data.y_train[:split]),
        "validation": (data.x_train[split:count], data.y_train[split:count]),
        "test": (data.x_test, data.y_test),
    }
    return {part: (x, y) for part, (x, y) in chosen.items() if len(y)}
