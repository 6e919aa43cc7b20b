"""Bounds on what a file may make its reader do, whatever the file says of itself."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

from replica.datasets.mirrors import BadFileError

HEADER = 512  # bytes; a tar file's headers come in blocks of so many
HEADERS = 100  # of a tar file; CIFAR-10's has nine members
UNPACKED = 256 * 2**20  # bytes of a tar file; CIFAR-10's has 186 MB


class Pieces(io.BufferedReader):
    """A file of which no more than `LARGEST` bytes are read at once: a header that claims more ends the reading."""

    LARGEST = 2**20

    def __init__(self, file: Path) -> None:
        super().__init__(io.FileIO(file))

    def read(self, size: int | None = -1) -> bytes:
        asked = self.LARGEST + 1 if size is None or size < 0 else size
        content = super().read(min(asked, self.LARGEST + 1))
        if len(content) > self.LARGEST:
            raise BadFileError(f"a header of more than {self.LARGEST:,} bytes")
        return content


class Unpacked(gzip.GzipFile):
    """A gzipped tar file as tarfile reads it, bounded in all: bytes, headers, and bytes of one of them.

    Tarfile holds every header in memory, and reads as much of an extended one as that says; the data of a member are
    read in pieces of `PIECE` at most.
    """

    PIECE = 64 * 2**10

    def __init__(self, file: Path) -> None:
        super().__init__(file, "rb")
        self.headers = 0

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= self.PIECE:
            raise BadFileError(f"has a header of more than {self.PIECE:,} bytes")
        self.headers += size == HEADER
        if self.headers > HEADERS:
            raise BadFileError(f"has more than {HEADERS} members and extended headers")
        self.within(self.tell() + size)
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.within(offset)
        return super().seek(offset, whence)

    def within(self, place: int) -> None:
        if place > UNPACKED:
            raise BadFileError(f"unpacks to more than {UNPACKED:,} bytes")
