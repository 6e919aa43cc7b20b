"""A saved run as a Keras model again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replica.backend import keras
from replica.errors import UserError


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
