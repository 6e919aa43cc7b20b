"""Small made-up images that a small network learns in seconds, and native kernels, for the tests of training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from replica.datasets import checks

TESTS = Path(__file__).parent

DENSE: dict[str, Any] = {
    "layers": [
        {"Flatten": {}},
        {"Dense": {"units": 16, "activation": "relu"}},
        {"Dense": {"units": 3, "activation": "softmax"}},
    ],
    "optimizer": {"Adam": {"learning_rate": 0.01}},
    "batch_size": 32,
    "epochs": 3,
    "kernels": "portable",
}


def images() -> tuple[np.ndarray, np.ndarray]:
    """300 images of 6x6 bytes in three classes: a row of each is bright."""
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 300).astype(np.uint8)
    x = random.integers(0, 120, (300, 6, 6, 1)).astype(np.uint8)
    x[np.arange(300), y * 2] += 100
    return x, y


def preprocessed(root: Path) -> None:
    """Write them below a root as the preprocessed dataset `bright`: 200 images to train on, 100 to test."""
    x, y = images()
    folder = root / "data/processed/bright"
    folder.mkdir(parents=True)
    parts = {"x_train": x[:200], "y_train": y[:200], "x_test": x[200:], "y_test": y[200:]}
    for name, array in parts.items():
        np.save(folder / f"{name}.npy", array)
    hashes = {
        split: {"sha256": {kind: checks.digest(parts[f"{kind}_{split}"]) for kind in "xy"}}
        for split in ("train", "test")
    }
    (folder / "statistics.json").write_text(json.dumps({"classes": ["a", "b", "c"], **hashes}))


def natively(code: str) -> None:
    """Run code that may import the tests of training in a process of native kernels; the tests' own are portable."""
    path = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "training")))
    done = subprocess.run(
        [sys.executable, "-c", f"from replica.common import kernels\nkernels.use('native')\n{code}"],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
