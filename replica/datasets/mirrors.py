"""Files from the first mirror that serves them whole: REPLICA_MIRROR's, then each public one in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from urllib.parse import urlparse

import pooch
import requests

from replica.errors import UserError

T = TypeVar("T")
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two pieces of an answer
TRIES = 3


class BadFileError(Exception):
    """A file that came, and is not what it should be: cut, altered or hostile."""


def sources(folder: str, mirrors: Iterable[str]) -> list[str]:
    """Where to look, in order. REPLICA_MIRROR is a folder or an HTTP address that holds a folder a dataset."""
    own = os.environ.get("REPLICA_MIRROR")
    return [*([f"{own.rstrip('/')}/{folder}/"] if own else []), *mirrors]


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
            failures.append(f"{urlparse(place).netloc or place}: {reason(error)}")
            if number + 1 < len(places):
                following = urlparse(places[number + 1]).netloc or places[number + 1]
                print(f"{dataset}: {file} failed at {failures[-1]}; next, {following}", file=sys.stderr, flush=True)
    raise UserError(
        f"{dataset}: no mirror served {file}: {'; '.join(failures)}. Name a mirror of your own (a folder or an address"
        f" with {dataset}/{file} in it) in REPLICA_MIRROR, or run `make sample`, which needs no network"
    )


def one(place: str, file: str, use: Callable[[Path], T], tries: int, timeout: tuple[float, float]) -> T:
    """Fetch from one place: a folder's file is read where it lies, an address's into a temporary folder."""
    if urlparse(place).scheme not in ("http", "https"):
        return use(Path(place.removeprefix("file://"), file))
    with TemporaryDirectory(prefix="replica-") as beside:
        fetch = pooch.create(beside, base_url=place, registry={file: None}, retry_if_failed=tries - 1)
        pooch.get_logger().setLevel("ERROR")
        downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=timeout)
        return use(Path(fetch.fetch(file, downloader=downloader)))


def reason(error: Exception) -> str:
    """A failure in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, requests.ConnectionError):
        inner = str(error)
        if "Read timed out" in inner:
            return "no answer in time"
        return "broke off" if "IncompleteRead" in inner or "aborted" in inner else "no connection"
    return " ".join(str(error).split()) or type(error).__name__
