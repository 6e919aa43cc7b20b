"""Files from the first mirror that serves them whole: REPLICA_MIRROR's, then each public one in order."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent import futures
from concurrent.futures import Future
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, TypeVar

import pooch
import requests

from replica.common.errors import UserError

T = TypeVar("T")
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two pieces of an answer
DEADLINE = 3600.0  # seconds for a whole file, all tries together
LEAST, WINDOW = 4096, 60.0  # bytes a second, and over how many seconds
TRIES = 3
ADDRESS = ("http://", "https://")
LARGEST = 512 * 2**20  # bytes of an answer; CIFAR-10's archive is 170 MB


class BadFileError(Exception):
    """A file that came, and is not what it should be: cut, altered or hostile."""


class Bounded:
    """A file that refuses to grow beyond the largest answer, or after its transfer was given up."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size, self.closed = file, 0, False

    def write(self, content: bytes) -> None:
        if self.closed:
            raise BadFileError("given up")
        self.size += len(content)
        if self.size > LARGEST:
            raise BadFileError(f"an answer of more than {LARGEST} bytes")
        self.file.write(content)

    def flush(self) -> None:
        self.file.flush()


class Downloader(pooch.HTTPDownloader):
    """Pooch's own, with bounds.

    An answer has a largest size, a least rate, and all tries together a deadline; a host that refuses (HTTP 4xx) or is
    too slow is not asked again.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.until = time.monotonic() + DEADLINE

    def __call__(self, url: str, output_file: str, *request: Any, **options: Any) -> None:
        done: Future[None] = Future()
        with Path(output_file).open("wb") as file:
            bounded = Bounded(file)

            def transfer() -> None:
                try:
                    done.set_result(super(Downloader, self).__call__(url, bounded, *request, **options))
                except BaseException as error:
                    done.set_exception(error)

            # Sockets have a time limit for each piece alone: a host that drips must not hold up who waits for it.
            threading.Thread(target=transfer, daemon=True).start()
            try:
                self.wait(done, bounded)
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code >= 500:
                    raise
                raise BadFileError(reason(error)) from None
            finally:
                bounded.closed = True

    def wait(self, done: Future[None], file: Bounded) -> None:
        """Until the transfer is over, or is given up."""
        while True:
            before = file.size
            futures.wait([done], min(WINDOW, max(self.until - time.monotonic(), 0)))
            if done.done():
                return done.result()
            if time.monotonic() >= self.until:
                raise BadFileError(f"not whole after {DEADLINE:,g} seconds")
            if file.size - before < LEAST * WINDOW:
                raise BadFileError(f"less than {LEAST:,} bytes a second in {WINDOW:g} seconds")


def regular(file: Path) -> Path:
    """The file itself, where it is one; one that is missing is left to its reader.

    Raises
    ------
    BadFileError
        Where it is a pipe, a device, a socket or a folder: to read one may never end.
    """
    if file.exists() and not file.is_file():
        raise BadFileError(f"{file}: no regular file")
    return file


def sources(folder: str, mirrors: Iterable[str]) -> list[str]:
    """Where to look, in order. REPLICA_MIRROR is a folder or an HTTP address that holds a folder a dataset."""
    own = os.environ.get("REPLICA_MIRROR")
    return [*([f"{own.rstrip('/')}/{folder}/"] if own else []), *mirrors]


def kept(file: Path, expected: str) -> bytes | None:
    """The content of a file of an earlier download, or None where there is none of that MD5."""
    content = file.read_bytes() if file.is_file() else b""
    return content if md5(content).hexdigest() == expected else None


def first(
    dataset: str,
    places: list[str],
    file: str,
    use: Callable[[Path], T],
    tries: int = TRIES,
    timeout: tuple[float, float] = TIMEOUT,
) -> T:
    """Fetch `file` from the first place that has it and whose copy `use` accepts, and return what `use` made of it.

    Parameters
    ----------
    dataset
        Its name, for messages.
    places
        Addresses that end in a slash: `https://…/` or a folder of this machine.
    use
        Is called with the file's path, and raises `BadFileError` where the file is not what it should be.
    tries
        How often to ask a host that does not answer or breaks off.
    timeout
        Seconds to connect, and between two pieces of an answer.

    Raises
    ------
    UserError
        Where none has it: every place with its failure, and what can be done.
    """
    failures = []
    for number, place in enumerate(places):
        try:
            return one(place, file, use, tries, timeout)
        except (OSError, ValueError, BadFileError, requests.RequestException) as error:
            failures.append(f"{host(place)}: {reason(error)}")
            if number + 1 < len(places):
                following = host(places[number + 1])
                print(f"{dataset}: {file} failed at {failures[-1]}; next, {following}", file=sys.stderr, flush=True)
    raise UserError(
        f"{dataset}: no mirror served {file}: {'; '.join(failures)}. Name a mirror of your own (a folder or an address"
        f" with {dataset}/{file} in it) in REPLICA_MIRROR, or run `make sample`, which needs no network"
    )


def one(place: str, file: str, use: Callable[[Path], T], tries: int, timeout: tuple[float, float]) -> T:
    """Fetch from one place: a folder's file is read where it lies, an address's into a temporary folder."""
    if not place.startswith(ADDRESS):
        return use(regular(Path(place.removeprefix("file://"), file).expanduser()))
    with TemporaryDirectory(prefix="replica-") as beside:
        fetch = pooch.create(beside, base_url=place, registry={file: None}, retry_if_failed=tries - 1)
        pooch.get_logger().setLevel("ERROR")
        downloader = Downloader(progressbar=sys.stderr.isatty(), timeout=timeout)
        return use(Path(fetch.fetch(file, downloader=downloader)))


def host(place: str) -> str:
    """A place as messages name it: a folder, or an address's host without the password it may hold."""
    return place.split("/")[2].rpartition("@")[2] if place.startswith(ADDRESS) else place


def reason(error: Exception) -> str:
    """A failure in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off"
    if isinstance(error, requests.ConnectionError):
        if "Read timed out" in str(error):
            return "no answer in time"
        return "broke off" if "aborted" in str(error) else "no connection"
    return " ".join(str(error).split()) or type(error).__name__
