"""Patches of ten photographs that scikit-image and scikit-learn ship: which photograph is this square of?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from replica.datasets import packages
from replica.datasets.declaration import Photos


def fetch(name: str, declared: Photos, folder: Path, kept: Path) -> None:
    """Copy the packages' photographs, verified, into `folder`."""
    for file, expected in declared.md5.items():
        packages.copy(name, file, expected, folder)


def decode(declared: Photos, folder: Path) -> dict[str, np.ndarray]:
    """Patches uint8 [n, side, side, 3] and labels uint8 [n], in a seeded order.

    The left part of a photograph gives training patches and the right part test patches, so that no pixel is in both.
    """
    side = declared.shape[0]
    random = np.random.default_rng(declared.seed)
    parts: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    for file in declared.md5:
        photo = np.asarray(Image.open(folder / Path(file).name).convert("RGB"))
        border = round(photo.shape[1] * declared.train_share)
        parts["train"].append(patches(photo[:, :border], declared.patches.train, side, random))
        parts["test"].append(patches(photo[:, border:], declared.patches.test, side, random))
    arrays = {}
    for split, found in parts.items():
        order = random.permutation(sum(map(len, found)))
        arrays[f"x_{split}"] = np.concatenate(found)[order]
        arrays[f"y_{split}"] = np.repeat(np.arange(len(found), dtype=np.uint8), [len(each) for each in found])[order]
    return arrays


def patches(photo: np.ndarray, count: int, side: int, random: np.random.Generator) -> np.ndarray:
    """So many squares of a photograph [height, width, 3], at random places: uint8 [count, side, side, 3]."""
    tops = random.integers(0, photo.shape[0] - side + 1, count)
    lefts = random.integers(0, photo.shape[1] - side + 1, count)
    return np.stack([photo[top : top + side, left : left + side] for top, left in zip(tops, lefts, strict=True)])
