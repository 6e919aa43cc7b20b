"""Objects of a DVC remote, fetched side by side: each with its own MD5, and none for ever."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fsspec.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from replica.datasets.mirrors import LEAST, WINDOW, BadFileError, host

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB

JOBS = 8  # files at once
GRACE = 1.0  # seconds for those that arrive at the end to be left, so that none is written into a folder that goes


class Traffic(Callback):
    """Counts bytes; ends a transfer of more than there should be, or one that was given up."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.over = most, False

    def relative_update(self, inc: int = 1) -> None:
        self.value += inc
        if self.over or self.value > self.most:
            raise BadFileError(f"more than the {self.most:,} bytes that dvc.lock records")


def arriving(store: HashFileDB, oids: list[str], folder: Path, most: int, name: str) -> Iterator[str]:
    """Fetch objects into a folder, several at once; yield each once it is there with its own MD5.

    Raises
    ------
    FileNotFoundError
        Where the remote does not have one.
    BadFileError
        Where one has other bytes, the transfer breaks off, or is slower than a mirror may be.
    """
    wanted: queue.SimpleQueue[str] = queue.SimpleQueue()
    came: queue.SimpleQueue[tuple[str, Exception | None]] = queue.SimpleQueue()
    traffic = Traffic(most)

    def work() -> None:
        while not traffic.over:
            try:
                oid = wanted.get_nowait()
            except queue.Empty:
                return
            try:
                store.fs.get_file(store.oid_to_path(oid), str(folder / oid), callback=traffic)
                with (folder / oid).open("rb") as file:
                    found = hashlib.file_digest(file, "md5").hexdigest()
                if found != oid.removesuffix(".dir"):
                    raise BadFileError("other bytes than dvc.lock records")
                came.put((oid, None))
            except Exception as error:
                came.put((oid, error))

    for oid in oids:
        wanted.put(oid)
    # What no time limit of a socket ends, a host that drips, must not hold up the end of the program.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(JOBS, len(oids)))]
    for thread in threads:
        thread.start()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(name, total=most)
            since, before = time.monotonic(), 0
            for _ in oids:
                while True:
                    try:
                        oid, error = came.get(timeout=0.2)
                        break
                    except queue.Empty:
                        bar.update(task, completed=traffic.value)
                    if time.monotonic() - since > WINDOW:
                        if traffic.value - before < LEAST * WINDOW:
                            raise BadFileError(f"less than {LEAST:,} bytes a second in {WINDOW:g} seconds")
                        since, before = time.monotonic(), traffic.value
                if isinstance(error, FileNotFoundError):
                    raise FileNotFoundError(oid)
                if error is not None:
                    raise BadFileError(f"{host(store.path)}: {reason(error)}")
                yield oid
    finally:
        traffic.over = True
        until = time.monotonic() + GRACE
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def reason(error: Exception) -> str:
    """A failure in a few words."""
    import aiohttp

    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, aiohttp.ClientError):
        return "broke off"
    return " ".join(str(error).split()) or type(error).__name__
