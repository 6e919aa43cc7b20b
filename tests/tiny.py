"""Small made-up datasets in the formats of the two official ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile

import numpy as np

from replica.datasets import cifar10, idx


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def decoded(arrays: dict[str, np.ndarray]) -> dict:
    """What datasets.yaml says of arrays with two classes."""
    return {
        "shape": list(arrays["x_train"].shape[1:]),
        "classes": ["even", "odd"],
        **{f"{split}_examples": len(arrays[f"y_{split}"]) for split in ("train", "test")},
        "sha256": {key: hashlib.sha256(array.tobytes()).hexdigest() for key, array in arrays.items()},
    }


def made(shape: tuple[int, ...], train: int, test: int) -> dict[str, np.ndarray]:
    """Random images, and labels 0, 1, 0, 1, …"""
    random = np.random.default_rng(0)
    counts = {"train": train, "test": test}
    x = {f"x_{split}": random.integers(0, 256, (n, *shape), np.uint8) for split, n in counts.items()}
    return x | {f"y_{split}": np.arange(n, dtype=np.uint8) % 2 for split, n in counts.items()}


def idx_file(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


DIGITS = made((3, 2, 1), 6, 4)
IDX_FILES = {
    file: idx_file(DIGITS[key][..., 0] if key.startswith("x") else DIGITS[key]) for key, (file, _) in idx.ARRAYS.items()
}
IDX_SERVED = {f"{file}.gz": zipped(content) for file, content in IDX_FILES.items()}
IDX = {"kind": "idx", "md5": {key: md5(IDX_FILES[file]) for file, key in idx.ARRAYS.values()}, **decoded(DIGITS)}


def python2(rows: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2's cPickle and numpy 1 wrote it, which the official files are."""

    def string(content: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(content)) + content

    def integer(number: int) -> bytes:
        return b"J" + struct.pack("<i", number)

    dtype = b"cnumpy\ndtype\n" + string(b"u1") + b"K\0K\1\x87R(K\3" + string(b"|") + b"NNN" + integer(-1) * 2 + b"K\0tb"
    shape = integer(rows.shape[0]) + integer(rows.shape[1]) + b"\x86"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + string(b"b") + b"\x87R"
    array = empty + b"(K\1" + shape + dtype + b"\x89" + string(rows.tobytes()) + b"tb"
    listed = b"](" + b"".join(map(integer, labels)) + b"e"
    return b"\x80\2}(" + string(b"data") + array + string(b"labels") + listed + b"u."


OBJECTS = made((32, 32, 3), 10, 2)


def batch(split: str, start: int) -> bytes:
    two = slice(start, start + 2)
    rows = OBJECTS[f"x_{split}"][two].transpose(0, 3, 1, 2).reshape(2, -1)
    return python2(rows, OBJECTS[f"y_{split}"][two].tolist())


MEMBERS = {
    **{name: batch("train", 2 * number) for number, name in enumerate(cifar10.TRAIN)},
    "test_batch": batch("test", 0),
}
ARCHIVE = "cifar-10-python.tar.gz"


def archive(members: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    """A tar.gz of files in one folder, as the official one is, after `extra` members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        for member in extra:
            file.addfile(member, io.BytesIO(b"x" * member.size))
        for name, content in members.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return zipped(packed.getvalue())


def member(name: str, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def cifar(members: dict[str, bytes]) -> dict:
    return {
        "kind": "cifar10",
        "archive": ARCHIVE,
        "md5": {name: md5(content) for name, content in members.items()},
        **decoded(OBJECTS),
    }
