"""The TensorFlow playground's two spirals with its seven features, for document E (004_97ba4434ab25e340.txt)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from replica.datasets.declaration import Spiral

FEATURES = ["x1", "x2", "x1²", "x2²", "x1·x2", "sin x1", "sin x2"]


def fetch(name: str, declared: Spiral, folder: Path, kept: Path) -> None:
    """Write the points, float64 [2 n, 2], the first class before the second."""
    np.save(folder / "points.npy", np.round(points(declared), 10))  # see `features`


def points(declared: Spiral) -> np.ndarray:
    """Points (r sin t, r cos t) with r = 5 i/n and t = 1.75 i/n 2π, the second spiral half a turn on."""
    i = np.arange(declared.points)
    r, t = 5 * i / declared.points, 1.75 * i / declared.points * 2 * np.pi
    spirals = [np.stack([r * np.sin(t + turn), r * np.cos(t + turn)], axis=1) for turn in (0.0, np.pi)]
    noise = np.random.default_rng(declared.seed).uniform(-1, 1, (2 * declared.points, 2)) * declared.noise
    return np.concatenate(spirals) + noise


def features(points: np.ndarray) -> np.ndarray:
    """The playground's seven inputs of points [n, 2]: float32 [n, 7], named in `FEATURES`."""
    a, b = points.T
    seven = np.stack([a, b, a**2, b**2, a * b, np.sin(a), np.sin(b)], axis=1)
    return np.round(seven, 6).astype(np.float32)  # rounded: a sine's last digits differ from CPU to CPU


def decode(declared: Spiral, folder: Path) -> dict[str, np.ndarray]:
    """Features float32 [n, features] and labels uint8 [n]; as declared, every other point is held out for the test.

    With halves drawn at random, gaps in the training half cost the test: of 192 starts in a simulation 1 to 4 in a
    hundred came below the document's loss, and of 48 with every other point 6 in ten.
    """
    x = features(np.load(folder / "points.npy"))[:, [FEATURES.index(name) for name in declared.features]]
    y = np.repeat(np.arange(2, dtype=np.uint8), declared.points)
    order = np.arange(len(y))
    if declared.halves == "random":
        order = np.random.default_rng([declared.seed, 1]).permutation(order)
    train, test = order[::2], order[1::2]
    return {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
