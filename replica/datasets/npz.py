"""NumPy's .npz files: https://numpy.org/doc/stable/reference/generated/numpy.savez.html describes them."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np

from replica.datasets import own
from replica.datasets.declaration import ArrayNames, Npz
from replica.datasets.mirrors import BadFileError

LARGEST = 4 * 2**30  # bytes unpacked
WHOLE, SPLIT = ("x", "y"), ("x_train", "y_train", "x_test", "y_test")


def fetch(name: str, declared: Npz, folder: Path, kept: Path) -> None:
    """Copy the file into `folder`, and hold it against the declaration; where it is not at hand, `kept`'s will do."""
    source = Path(declared.path)
    with own.refusing(name):
        if not source.is_file():
            source = own.kept(name, declared, kept / source.name, digest)
        copy = Path(shutil.copyfile(source, folder / source.name))
        own.verify(name, declared, digest(copy))


def digest(file: Path) -> str:
    """SHA-256 of the file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def read(file: Path, names: ArrayNames) -> dict[str, np.ndarray]:
    """The arrays x and y, or x_train, y_train, x_test and y_test: images uint8 [n, h, w, 1 or 3], labels uint8 [n].

    Raises
    ------
    BadFileError
        Where it is no .npz file of such arrays; the message begins with the file.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            if (size := sum(member.file_size for member in packed.infolist())) > LARGEST:
                raise BadFileError(f"{size:,} bytes unpacked, {LARGEST:,} at most")
        with np.load(file, allow_pickle=False) as loaded:
            keys = next((keys for keys in (SPLIT, WHOLE) if all(getattr(names, key) in loaded for key in keys)), ())
            if not keys:
                split, whole = (", ".join(getattr(names, key) for key in keys) for keys in (SPLIT, WHOLE))
                raise BadFileError(f"holds {', '.join(loaded) or 'nothing'}, where {whole} or {split} were expected")
            arrays = {key: loaded[getattr(names, key)] for key in keys}
        for x, y in zip(keys[::2], keys[1::2], strict=True):
            arrays[x] = images(arrays[x], getattr(names, x))
            arrays[y] = labels(arrays[y], getattr(names, y))
            if len(arrays[x]) != len(arrays[y]):
                raise BadFileError(f"{len(arrays[x]):,} images and {len(arrays[y]):,} labels")
        first, *rest = (key for key in keys if key.startswith("x"))
        for key in rest:
            if arrays[key].shape[1:] != arrays[first].shape[1:]:
                raise BadFileError(f"{key}'s shape is {arrays[key].shape}, where {first}'s is {arrays[first].shape}")
    except FileNotFoundError:
        raise
    except BadFileError as error:
        raise BadFileError(f"{file}: {error}") from None
    except Exception as error:  # zipfile, zlib and numpy on hostile bytes raise whatever they like
        raise BadFileError(f"{file}: no .npz file of plain arrays ({' '.join(str(error).split())})") from None
    return arrays


def images(x: np.ndarray, name: str) -> np.ndarray:
    """As uint8 [n, height, width, channels]."""
    if x.dtype != np.uint8:
        raise BadFileError(f"{name} is {x.dtype}, where images are uint8, from 0 to 255")
    whole = x[..., None] if x.ndim == 3 else x
    if whole.ndim != 4 or whole.shape[-1] not in (1, 3) or not whole.size:
        raise BadFileError(f"{name}'s shape is {x.shape}, where (n, h, w), (n, h, w, 1) or (n, h, w, 3) was expected")
    return whole


def labels(y: np.ndarray, name: str) -> np.ndarray:
    """As uint8 [n]; a column is one as well."""
    if y.dtype.kind not in "iu":
        raise BadFileError(f"{name} is {y.dtype}, where labels are integers from 0")
    column = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if column.ndim != 1:
        raise BadFileError(f"{name}'s shape is {y.shape}, where (n,) was expected")
    if column.size and not 0 <= column.min() <= column.max() < own.CLASSES:
        raise BadFileError(f"{name} goes from {column.min()} to {column.max()}, where 0 to {own.CLASSES - 1} may stand")
    return column.astype(np.uint8)


def decode(declared: Npz, folder: Path) -> dict[str, np.ndarray]:
    """Images uint8 [n, *shape] and labels uint8 [n]: to train with in a seeded order, to test with in the file's."""
    file = folder / Path(declared.path).name
    arrays = read(file, declared.names)
    if (most := max(int(arrays[key].max()) for key in arrays if key.startswith("y"))) >= len(declared.classes):
        raise BadFileError(f"{file}: a label {most}, where {len(declared.classes)} classes are declared")
    if "x" in arrays:
        if declared.test_share is None:
            raise BadFileError(f"{file}: holds x and y, and no test_share is declared")
        own.counted(arrays["y"], declared.classes, 2, str(file))
        rows = own.divide(arrays["y"], declared.test_share, declared.seed)
        arrays = {
            f"{key}_{split}": arrays[key][of] for split, of in zip(own.SPLITS, rows, strict=True) for key in WHOLE
        }
    for split in own.SPLITS:
        own.counted(arrays[f"y_{split}"], declared.classes, 1, f"{file}: {split}")
    order = own.shuffled(len(arrays["y_train"]), declared.seed)
    return arrays | {key: arrays[key][order] for key in ("x_train", "y_train")}
