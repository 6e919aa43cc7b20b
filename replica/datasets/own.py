"""What data of one's own have in common: split and order drawn by a seed, and files that are what they were."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from replica.common.errors import UserError
from replica.datasets.declaration import Own
from replica.datasets.mirrors import BadFileError

CLASSES = 256  # a label is a byte
SPLITS = ("train", "test")


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Within the block, a file that is bad or cannot be read is a user's mistake."""
    try:
        yield
    except (BadFileError, OSError) as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from None


def kept(name: str, declared: Own, copy: Path, digest: Callable[[Path], str]) -> Path:
    """The copy that an earlier download made, in place of data that are not where they were declared.

    Raises
    ------
    UserError
        Where the copy is not what was declared either; another may be in DVC's cache.
    """
    with suppress(BadFileError, OSError):
        if digest(copy) == declared.files:
            return copy
    raise UserError(
        f"{name}: {declared.path}: no such file or folder; put it there, or set datasets.{name}.path, or run"
        f" `dvc pull data/raw/{name}`"
    )


def verify(name: str, declared: Own, files: str) -> None:
    """Refuse files that are not those declared."""
    if files != declared.files:
        raise UserError(f"{name}: {declared.path} has changed since it was declared: run `{update(name, declared)}`")


def update(name: str, declared: Own) -> str:
    """The command that declares the data anew."""
    return f"replica dataset {name} {shlex.quote(declared.path)} --update"


def named(classes: list[str], where: str) -> list[str]:
    """Refuse classes that are too few or too many, or that no text can name."""
    if not 2 <= len(classes) <= CLASSES:
        raise BadFileError(f"{where}: {len(classes)} classes, where 2 to {CLASSES} were expected")
    for name in classes:
        if not name.isprintable():
            raise BadFileError(f"{where}: the class {name!a}, a name that cannot be printed")
    return classes


def counted(y: np.ndarray, classes: list[str], least: int, where: str) -> None:
    """Refuse a class of which there are too few."""
    for name, count in zip(classes, np.bincount(y, minlength=len(classes)), strict=True):
        if count < least:
            raise BadFileError(f"{where}: {count} of the class {name}, where {least} at least were expected")


def divide(y: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train with and rows to test with, ascending, each class in its share and at least once in both.

    Parameters
    ----------
    y
        Labels, [n]; at least two of each.
    share
        Of each class for the test, rounded.
    """
    test = []
    for label in np.unique(y):
        rows = np.random.default_rng([seed, int(label)]).permutation(np.flatnonzero(y == label))
        test.append(rows[: min(max(round(len(rows) * share), 1), len(rows) - 1)])
    held = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(len(y)), held), held


def shuffled(n: int, seed: int) -> np.ndarray:
    """The order of n training images: a variant's validation takes the last ones, so no class may come last."""
    return np.random.default_rng(seed).permutation(n)
