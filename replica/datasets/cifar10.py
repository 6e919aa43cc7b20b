"""CIFAR-10's python archive: https://www.cs.toronto.edu/~kriz/cifar.html describes it."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zlib
from functools import partial
from hashlib import md5
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from replica.datasets import mirrors
from replica.datasets.bounds import Unpacked
from replica.datasets.declaration import Cifar10
from replica.datasets.mirrors import BadFileError

LARGEST = 64 * 2**20  # bytes of a member; a batch is 31 MB
PICKLED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
TRAIN = [f"data_batch_{number}" for number in range(1, 6)]


def fetch(name: str, declared: Cifar10, folder: Path, kept: Path) -> None:
    """Write the archive's members, each verified, into `folder`; where `kept` has them all, nothing is fetched."""
    good = {member: mirrors.kept(kept / member, expected) for member, expected in declared.md5.items()}
    members = {member: content for member, content in good.items() if content is not None}
    if len(members) < len(good):
        places = mirrors.sources(declared.folder, declared.mirrors)
        members = mirrors.first(name, places, declared.archive, lambda path: unpack(path, declared.md5))
    for member, content in members.items():
        (folder / member).write_bytes(content)


def unpack(path: Path, expected: dict[str, str]) -> dict[str, bytes]:
    """The wanted members of a tar archive by name; nothing is written.

    Raises
    ------
    BadFileError
        Where it is no whole archive, is larger than any such (`Unpacked`), holds a member that would lie outside its
        folder, or a wanted member is missing or another.
    """
    members: dict[str, bytes] = {}
    try:
        with Unpacked(path) as content, tarfile.open(fileobj=content, mode="r:") as archive:
            for member in archive:
                place = PurePosixPath(
                    member.name
                )  # tarfile's own filters came with Python 3.11.4; nothing is unpacked here
                if place.is_absolute() or ".." in place.parts or not (member.isfile() or member.isdir()):
                    raise BadFileError(f"has a member that is no file or folder below it: {member.name!r}")
                name = place.name
                if member.isfile() and name in expected:
                    if member.size > LARGEST:
                        raise BadFileError(f"has a {name} of {member.size} bytes")
                    if file := archive.extractfile(member):
                        members[name] = b"".join(iter(partial(file.read, Unpacked.PIECE), b""))
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadFileError(f"{path.name} is no whole tar archive ({error})") from None
    except BadFileError as error:
        raise BadFileError(f"{path.name} {error}") from None
    for name, wanted in expected.items():
        if name not in members:
            raise BadFileError(f"{path.name} has no member {name}")
        verify(f"{path.name}'s {name}", members[name], wanted)
    return members


def verify(what: str, content: bytes, expected: str | None) -> None:
    """Refuse content of another MD5."""
    if (got := md5(content).hexdigest()) != expected:
        raise BadFileError(f"{what} has the MD5 {got}, where {expected} was expected")


class Unpickler(pickle.Unpickler):
    """Unpickles arrays, lists, strings and numbers, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PICKLED:
            raise BadFileError(f"a pickle asks for {module}.{name}, where only arrays may stand")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def unpickle(content: bytes, name: str) -> dict[bytes, Any]:
    """A batch as a dictionary.

    Raises
    ------
    BadFileError
        Where it is no pickle of a dictionary, or asks for anything but arrays.
    """
    try:
        batch = Unpickler(io.BytesIO(content), encoding="bytes").load()
    except BadFileError as error:
        raise BadFileError(f"{name}: {error}") from None
    except Exception as error:
        raise BadFileError(f"{name} is no pickle ({error})") from None
    if not isinstance(batch, dict):
        raise BadFileError(f"{name} holds a {type(batch).__name__}, where a dictionary was expected")
    return batch


def read(declared: Cifar10, folder: Path, name: str) -> dict[bytes, Any]:
    """A batch's file, verified before it is unpickled.

    Raises
    ------
    BadFileError
        Where it is another file, or its rows and labels are not a batch's.
    """
    content = (folder / name).read_bytes()
    verify(name, content, declared.md5.get(name))
    batch = unpickle(content, name)
    rows, classes = batch.get(b"data"), batch.get(b"labels")
    if not (isinstance(rows, np.ndarray) and rows.dtype == np.uint8 and rows.shape[1:] == (3072,)):
        raise BadFileError(f"{name}: its data are no rows of 3,072 bytes")
    if not (isinstance(classes, list) and all(type(each) is int and 0 <= each < 256 for each in classes)):
        raise BadFileError(f"{name}: its labels are no list of numbers from 0 to 255")
    return batch


def decode(declared: Cifar10, folder: Path) -> dict[str, np.ndarray]:
    """Images uint8 [n, 32, 32, 3] in the order of the batches, and labels uint8 [n]."""
    train = [read(declared, folder, name) for name in TRAIN]
    test = [read(declared, folder, "test_batch")]
    return {
        f"{kind}_{split}": make(batches)
        for split, batches in (("train", train), ("test", test))
        for kind, make in (("x", images), ("y", labels))
    }


def images(batches: list[dict[bytes, Any]]) -> np.ndarray:
    """Rows of 3,072 bytes, colour by colour, as images with their channels last."""
    rows = np.concatenate([batch[b"data"] for batch in batches])
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def labels(batches: list[dict[bytes, Any]]) -> np.ndarray:
    return np.array([label for batch in batches for label in batch[b"labels"]], np.uint8)
