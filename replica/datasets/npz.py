"""NumPy's .npz files: https://numpy.org/doc/stable/reference/generated/numpy.savez.html describes them."""

from __future__ import annotations

import hashlib
import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from replica.datasets import own
from replica.datasets.bounds import Pieces
from replica.datasets.declaration import ArrayNames, Npz
from replica.datasets.mirrors import BadFileError, regular

LARGEST = 4 * 2**30  # bytes unpacked
WHOLE, SPLIT = ("x", "y"), ("x_train", "y_train", "x_test", "y_test")


def fetch(name: str, declared: Npz, folder: Path, kept: Path) -> None:
    """Copy the file into `folder`, and hold it against the declaration; where it is not at hand, `kept`'s will do."""
    source = Path(declared.path)
    with own.refusing(name):
        if not regular(source).exists():
            source = own.kept(name, declared, kept / source.name, digest)
        copy = Path(shutil.copyfile(source, folder / source.name))
        own.verify(name, declared, digest(copy))


def digest(file: Path) -> str:
    """SHA-256 of the file."""
    with regular(file).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def read(file: Path, names: ArrayNames) -> dict[str, np.ndarray]:
    """The arrays x and y, or x_train, y_train, x_test and y_test: images uint8 [n, h, w, 1 or 3], labels uint8 [n].

    Raises
    ------
    BadFileError
        Where it is no .npz file of such arrays; the message begins with the file.
    """
    try:
        with Pieces(regular(file)) as content, np.load(content, allow_pickle=False) as loaded:
            if not isinstance(loaded, np.lib.npyio.NpzFile) or loaded.zip is None:
                raise BadFileError("one array, and no .npz file of them")
            members = {member.filename.removesuffix(".npy"): member for member in loaded.zip.infolist()}
            if (size := sum(member.file_size for member in members.values())) > LARGEST:
                raise BadFileError(f"{size:,} bytes unpacked, {LARGEST:,} at most")
            keys = next((keys for keys in (SPLIT, WHOLE) if all(getattr(names, key) in loaded for key in keys)), ())
            if not keys:
                split, whole = (", ".join(getattr(names, key) for key in keys) for keys in (SPLIT, WHOLE))
                raise BadFileError(f"holds {', '.join(loaded) or 'nothing'}, where {whole} or {split} were expected")
            for key in keys:
                hold(loaded.zip, members[getattr(names, key)], images if key.startswith("x") else column)
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


def hold(packed: zipfile.ZipFile, member: zipfile.ZipInfo, kind: Callable[[np.ndarray, str], np.ndarray]) -> None:
    """Refuse an array by its header: before its bytes are read, and where these would be more or fewer than it says."""
    name = member.filename.removesuffix(".npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
        raise BadFileError(f"{name} is packed otherwise than by np.savez and np.savez_compressed")
    with packed.open(member) as content:
        if (version := np.lib.format.read_magic(content)) != (1, 0):  # the later ones are for records
            raise BadFileError(f"{name} has a header of version {version[0]}.{version[1]}, where 1.0 was expected")
        shape, _, dtype = np.lib.format.read_array_header_1_0(content)
        held = member.file_size - content.tell()
    if dtype.hasobject:
        raise BadFileError(f"{name} holds Python's objects, where images are uint8 and labels integers")
    if (said := math.prod(shape) * dtype.itemsize) != held:
        raise BadFileError(f"{name} says {'×'.join(map(str, shape))} of {dtype}, {said:,} bytes, and holds {held:,}")
    kind(np.broadcast_to(np.empty((), dtype), shape), name)  # as large as it says, and of one number


def images(x: np.ndarray, name: str) -> np.ndarray:
    """As uint8 [n, height, width, channels]."""
    if x.dtype != np.uint8:
        raise BadFileError(f"{name} is {x.dtype}, where images are uint8, from 0 to 255")
    whole = x[..., None] if x.ndim == 3 else x
    if whole.ndim != 4 or whole.shape[-1] not in (1, 3) or not whole.size:
        raise BadFileError(f"{name}'s shape is {x.shape}, where (n, h, w), (n, h, w, 1) or (n, h, w, 3) was expected")
    return whole


def column(y: np.ndarray, name: str) -> np.ndarray:
    """As integers [n]."""
    if y.dtype.kind not in "iu":
        raise BadFileError(f"{name} is {y.dtype}, where labels are integers from 0")
    flat = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if flat.ndim != 1:
        raise BadFileError(f"{name}'s shape is {y.shape}, where (n,) was expected")
    return flat


def labels(y: np.ndarray, name: str) -> np.ndarray:
    """As uint8 [n]; a column is one as well."""
    flat = column(y, name)
    if flat.size and not 0 <= flat.min() <= flat.max() < own.CLASSES:
        raise BadFileError(f"{name} goes from {flat.min()} to {flat.max()}, where 0 to {own.CLASSES - 1} may stand")
    return flat.astype(np.uint8)


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
