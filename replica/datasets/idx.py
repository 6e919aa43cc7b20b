"""MNIST's own files: http://yann.lecun.com/exdb/mnist/ describes the IDX format."""

from __future__ import annotations

import gzip
import zlib
from functools import partial
from hashlib import md5
from pathlib import Path

import numpy as np

from replica.datasets import mirrors
from replica.datasets.declaration import Idx
from replica.datasets.mirrors import BadFileError

ARRAYS = {  # each array's file, and its name in the declaration
    "x_train": ("train-images-idx3-ubyte", "train_images"),
    "y_train": ("train-labels-idx1-ubyte", "train_labels"),
    "x_test": ("t10k-images-idx3-ubyte", "test_images"),
    "y_test": ("t10k-labels-idx1-ubyte", "test_labels"),
}
LARGEST = 64 * 2**20  # bytes unpacked; the training images are 47 MB


def fetch(name: str, declared: Idx, folder: Path, kept: Path) -> None:
    """Write the four files, unpacked and verified, into `folder`; what `kept` has is not fetched."""
    places = mirrors.sources(declared.folder, declared.mirrors)
    for file, key in ARRAYS.values():
        expected = getattr(declared.md5, key)
        content = mirrors.kept(kept / file, expected)
        if content is None:
            content = mirrors.first(name, places, f"{file}.gz", partial(unpack, expected=expected))
        (folder / file).write_bytes(content)


def unpack(path: Path, expected: str) -> bytes:
    """The content of a gzip file, up to the largest size that any of the four has.

    Raises
    ------
    BadFileError
        Where it is no whole gzip file, or its content is another.
    """
    try:
        with gzip.open(path) as file:
            content = file.read(LARGEST + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadFileError(f"{path.name} is no whole gzip file ({error})") from None
    if len(content) > LARGEST:
        raise BadFileError(f"{path.name} unpacks to more than {LARGEST} bytes")
    if (got := md5(content).hexdigest()) != expected:
        raise BadFileError(f"{path.name} has the MD5 {got} unpacked, where {expected} was expected")
    return content


def decode(declared: Idx, folder: Path) -> dict[str, np.ndarray]:
    """Images uint8 [n, 28, 28, 1] and labels uint8 [n]."""
    arrays = {name: parse((folder / file).read_bytes(), file) for name, (file, _) in ARRAYS.items()}
    return {name: array[..., None] if name.startswith("x") else array for name, array in arrays.items()}


def parse(content: bytes, name: str) -> np.ndarray:
    """An IDX file of bytes as an array.

    Raises
    ------
    BadFileError
        Where the header is no IDX header, or does not agree with the length.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 4:
        raise BadFileError(f"{name} does not begin as an IDX file of bytes")
    sides = content[3]
    if len(content) < 4 + 4 * sides:
        raise BadFileError(f"{name} ends inside its header")
    shape = np.frombuffer(content, ">u4", sides, 4).astype(int)
    if int(np.prod(shape, dtype=object)) != len(content) - 4 - 4 * sides:
        raise BadFileError(f"{name} says {'×'.join(map(str, shape))}, and holds {len(content) - 4 - 4 * sides} bytes")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * sides).reshape(shape)
