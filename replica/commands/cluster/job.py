"""What travels between the driver and a node: plain data."""

from __future__ import annotations

import importlib.metadata
import re
import urllib.parse
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from replica.common import kernels

DONE, FAILED, REFUSED = "done", "failed", "refused"
REQUEST, ANSWER = "job.json", "result.json"  # between a worker and the process of a job


@dataclass(frozen=True)
class Job:
    """One stage, for a node that has nothing yet.

    Attributes
    ----------
    project
        What a node keeps this project's clones and cache under.
    stage
        Such as `train@mnist_cnn`.
    base, files, packs
        See `travel.Commits`; of each commit, the MD5 of its pack on the remote.
    remote
        Its options as dvc.yaml's reader has them, `url` among them, without secrets: a node has its own.
    inputs
        Paths of what is on the remote, and its MD5: what other stages have made.
    before
        The same of outputs that are kept over a run, as recorded last; a node does without those that are gone.
    expected
        Every dependency's MD5, code among them: a node that comes to another refuses.
    versions
        Of the libraries.
    cpu
        The kind of CPU, where the stage's bytes depend on it (`kernels: native`); else nothing.
    beside
        Files that are no outputs, to be brought back if there are.
    remember
        Whether a result of the same inputs may be taken from the remote, and left there.
    """

    project: str
    stage: str
    base: str
    files: str
    packs: dict[str, str]
    remote: dict[str, Any]
    inputs: dict[str, str]
    before: dict[str, str]
    expected: dict[str, str]
    versions: dict[str, str]
    cpu: list[Any] | None = None
    beside: list[str] = field(default_factory=list)
    remember: bool = True

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Result:
    """How a job ended.

    Attributes
    ----------
    status
        `done`, `failed` (its command did), or `refused`: this node can't, another may.
    words
        Why not.
    exit
        The exit status of a command that failed, as a shell has it: above 128 where a signal ended it.
    entry
        The stage's entry in the node's dvc.lock.
    files
        Of `Job.beside`, those that are there.
    seconds
        What each part took: `prepare`, `pull`, `run`, `push`.
    host
        The node's name.
    remembered
        Whether nothing ran, as the remote had the result.
    memory
        MiB at the most.
    """

    status: str
    words: str = ""
    exit: int = 1
    entry: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    host: str = ""
    remembered: bool = False
    memory: float = 0.0

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def versions() -> dict[str, str]:
    """The versions of the libraries that the project names: its bytes are theirs."""
    found = {}
    for line in importlib.metadata.requires("replica") or []:
        if "extra ==" in line:
            continue
        name = re.match(r"[A-Za-z0-9_.-]+", line)
        try:
            found[name[0]] = importlib.metadata.version(name[0])  # type: ignore[index]
        except importlib.metadata.PackageNotFoundError:  # of another platform
            continue
    return found


def begun(place: Path, stage: str) -> Path:
    """Beside a clone: says which job of a stage has begun there and not ended, so that it may go on where it was."""
    return place / f"begun-{urllib.parse.quote(stage, safe='')}"


def unfit(job: Job) -> str:
    """Why this machine's results would not be the record's; empty where they are."""
    ours = versions()
    others = [
        f"{name} {ours.get(name, 'is missing')}, not {wanted}" if name in ours else f"no {name}"
        for name, wanted in job.versions.items()
        if ours.get(name) != wanted
    ]
    if others:
        return f"other libraries than the driver's: {'; '.join(others)}"
    if job.cpu is not None:
        mine = kernels.describe("native")["cpu"]
        if mine != job.cpu:
            return f"{job.stage} has native kernels, whose bytes are of one kind of CPU, and this is another"
    elif kernels.cpu().warning:
        return kernels.cpu().warning
    return ""
