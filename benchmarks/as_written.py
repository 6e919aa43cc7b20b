"""One variant as the documents' scripts train it: float32 arrays into Keras's `fit`, on all cores.

    python -m benchmarks.as_written VARIANT [--epochs N] [--seed N]

prints the seconds of each epoch and the test accuracy as JSON. A search takes its trials one after another.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import keras  # before replica.training.backend, which leaves out what Keras imports without needing it
import numpy as np

from replica.common import arrays, parameters
from replica.search import draws
from replica.training import networks


class Epochs(keras.callbacks.Callback):
    """Seconds of each epoch, validation included."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def build(variant: dict[str, Any], shape: tuple[int, ...]) -> keras.Model:
    """The variant's network over images from 0 to 1, compiled."""
    model = keras.Sequential([keras.Input(shape), *(networks.layer(value) for value in variant["layers"])])
    model.compile(networks.optimizer(variant["optimizer"]), networks.loss(variant, model), metrics=["accuracy"])
    return model


def targets(y: np.ndarray, model: keras.Model) -> np.ndarray:
    """Labels as the model's loss takes them."""
    return y if isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy) else np.eye(10, dtype=np.float32)[y]


def train(variant: dict[str, Any], epochs: int | None) -> dict[str, Any]:
    """Train and test one variant: `seconds` by epoch, and `test_accuracy`."""
    data = arrays.load(variant["dataset"])
    count = variant.get("train_examples", len(data.x_train))
    x, x_test = (np.asarray(part, np.float32) / 255 for part in (data.x_train[:count], data.x_test))
    model = build(variant, x.shape[1:])
    y, y_test = targets(data.y_train[:count], model), targets(data.y_test, model)
    watched: dict[str, Any] = (
        {"validation_data": (x_test, y_test)}
        if variant["validation"] == "test"
        else {"validation_split": variant["validation"]}
    )
    clock = Epochs()
    model.fit(
        x,
        y,
        batch_size=variant["batch_size"],
        epochs=epochs or variant["epochs"],
        callbacks=[clock],
        verbose=0,
        **watched,
    )
    return {"seconds": clock.seconds, "test_accuracy": model.evaluate(x_test, y_test, verbose=0)[1]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("variant")
    options.add_argument("--epochs", type=int)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    declared = parameters.read()
    keras.utils.set_random_seed(given.seed)
    if given.variant not in (declared.get("searches") or {}):
        print(json.dumps(train(parameters.variant(declared, given.variant), given.epochs)))
        return
    entry = parameters.entry_of(declared, "searches", given.variant)
    trials = [train(parameters.trial(declared, given.variant, values), given.epochs) for values in draws.trials(entry)]
    print(json.dumps({"seconds": np.sum([trial["seconds"] for trial in trials], axis=0).tolist()}))


if __name__ == "__main__":
    main()
