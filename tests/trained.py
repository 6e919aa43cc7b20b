"""A small project with trained variants, for the tests of what asks them."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import yaml

from replica.common import parameters
from replica.datasets import kinds, processed
from replica.training import experiment

ROOT = Path(__file__).parent.parent
NETWORKS = {
    "convolved": {
        "optimizer": "Adam",
        "layers": {
            "0": {"Conv2D": {"filters": 4, "kernel_size": 5, "strides": 2, "activation": "relu"}},
            "1": {"Conv2D": {"filters": 6, "kernel_size": 3}},
            "2": "Flatten",
            "3": {"Dense": {"units": 10}},
        },
    },
    "softmax": {
        "optimizer": "Adam",
        "layers": {"0": "Flatten", "1": {"Dense": {"units": 10, "activation": "softmax"}}},
    },
}
USUAL = {"batch_size": 32, "seeds": 1}
VARIANTS = {
    "digits": {"data": {"dataset": "mnist_5k", "validation": 0.2}, "network": "convolved", "epochs": 3, **USUAL},
    "photos": {"data": {"dataset": "photos10", "train_examples": 200, "validation": 0.2}, "network": "softmax",
               "epochs": 1, **USUAL},
    "points": {"data": {"dataset": "spiral", "validation": "test"}, "network": "spiral", "epochs": 3, **USUAL,
               "learning_rate": 0.1, "units": 3},
}  # fmt: skip


def make(folder: Path) -> None:
    """In a folder: params.yaml with the variants above, their data, and a run of each."""
    declared = parameters.read(ROOT / "params.yaml")
    declared["variants"] = {**VARIANTS, "spiral": declared["variants"]["spiral"], "untrained": VARIANTS["digits"]}
    declared["networks"] |= NETWORKS
    declared["searches"] = {}
    (folder / "params.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    shutil.copy(ROOT / "datasets.yaml", folder)
    with contextlib.chdir(folder):
        for name in VARIANTS:
            variant = parameters.variant(declared, name)
            kind, dataset = kinds.declared(variant["dataset"])
            raw, arrays = Path("data/raw", variant["dataset"]), Path("data/processed", variant["dataset"])
            raw.mkdir(parents=True)
            arrays.mkdir(parents=True)
            kind.fetch(variant["dataset"], dataset, raw, raw)
            processed.write(arrays, variant["dataset"], dataset, kind.decode(dataset, raw))
            experiment.train(name, variant, Path("models", name))
