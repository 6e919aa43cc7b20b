"""A small project with trained variants, for the tests of what asks them."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from replica.common import parameters
from replica.datasets import kinds, processed
from replica.training import experiment

ROOT = Path(__file__).parent.parent
TRAINING = {"precision": "float32", "optimizer": "Adam", "batch_size": 32, "seeds": [3], "validation": 0.2}
CONVOLVED = [
    {"Conv2D": {"filters": 4, "kernel_size": 5, "strides": 2, "activation": "relu"}},
    {"Conv2D": {"filters": 6, "kernel_size": 3}},
    "Flatten",
    {"Dense": {"units": 10}},
]
VARIANTS = {
    "digits": {"dataset": "mnist_5k", "layers": CONVOLVED, "epochs": 3},
    "photos": {"dataset": "photos10", "layers": ["Flatten", {"Dense": {"units": 10, "activation": "softmax"}}],
               "epochs": 1, "train_examples": 200},
}  # fmt: skip


def make(folder: Path) -> None:
    """In the working folder: params.yaml with the variants `digits` and `photos`, their data, and a run of each."""
    declared = parameters.read(ROOT / "params.yaml")
    declared["variants"] = {
        **{name: {**TRAINING, **entry} for name, entry in VARIANTS.items()},
        "spiral": declared["variants"]["spiral"],
        "untrained": {**TRAINING, **VARIANTS["digits"]},
    }
    declared["searches"] = {}
    (folder / "params.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    shutil.copy(ROOT / "datasets.yaml", folder)
    for name, entry in VARIANTS.items():
        kind, dataset = kinds.declared(entry["dataset"])
        raw, arrays = folder / "data/raw" / entry["dataset"], folder / "data/processed" / entry["dataset"]
        raw.mkdir(parents=True)
        arrays.mkdir(parents=True)
        kind.fetch(entry["dataset"], dataset, raw, raw)
        processed.write(arrays, entry["dataset"], dataset, kind.decode(dataset, raw))
        experiment.train(name, parameters.variant(parameters.read(), name), folder / "models" / name)
