"""Processes that must not outlive each other: a stage ends with what started it, and a folder has one writer."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from replica.common.errors import UserError

PARENT = "REPLICA_PARENT"  # in a command's environment: the process of `replica repro` that runs it
PATIENCE = 10.0  # seconds in which an orphan has seen that it is one, and ended


def environment(process: int | str) -> dict[str, str]:
    """What a process was started with; empty where that can't be read."""
    try:
        words = Path(f"/proc/{process}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def ancestors(process: int | str) -> Iterator[int]:
    """The parent of a process, the parent's, and so on."""
    with suppress(OSError, ValueError):
        while (parent := int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])) > 0:
            yield parent
            process = parent


def starter(process: int | str) -> int | None:
    """The process that runs this one as a stage's command: DVC, or the driver; None where it is gone.

    The driver gives its number. DVC gives each command the name of its stage, so that the first process upwards without
    it is DVC, or else what adopts orphans.
    """
    mine = environment(process)
    if PARENT in mine:
        return int(mine[PARENT]) if int(mine[PARENT]) in ancestors(process) else None
    found = next((each for each in ancestors(process) if "DVC_STAGE" not in environment(each)), None)
    with suppress(OSError):
        if found == 1 and not Path("/proc/1/comm").read_text().startswith(("python", "dvc")):
            return None
    return found


def follow() -> None:
    """End this process, if it is a stage's, at once when what started it is gone, even when that was killed.

    Linux alone tells of another process's end; elsewhere `end_orphans` and the lock of `sole` are what there is.
    """
    if "DVC_STAGE" not in os.environ or not hasattr(os, "pidfd_open") or not Path("/proc/self/environ").exists():
        return
    parent, watched = starter("self"), None
    if parent is not None:
        try:
            watched = os.pidfd_open(parent)
        except ProcessLookupError:
            pass
        except OSError:  # a kernel or a container that refuses
            return
    threading.Thread(target=_end_after, args=(parent, watched), daemon=True).start()


def end_with(parent: int) -> None:
    """End this process and its group once its parent is gone; for a thread."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.killpg(0, signal.SIGKILL)


def _end_after(parent: int | None, watched: int | None) -> None:
    if watched is not None and parent in set(ancestors("self")):  # else its number may be another's by now
        select.select([watched], [], [])
    os.kill(os.getpid(), signal.SIGKILL)


def end_orphans(root: Path) -> list[int]:
    """Kill the commands that a killed driver of this project has left, whatever they run, and return their numbers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        started = environment(folder.name)
        if PARENT in started and Path(started.get("DVC_ROOT", "")) == root and starter(folder.name) is None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(folder.name), signal.SIGKILL)
                found.append(int(folder.name))
    return found


@contextmanager
def sole(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Make a folder, and be the only process that writes it within the block: a lock that goes with the process.

    Raises
    ------
    UserError
        Where another one still has it after so many seconds; the message names it.
    """
    until = time.monotonic() + patience
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            if _lock(handle) and os.path.samestat(os.fstat(handle), folder.stat()):
                break
            if time.monotonic() >= until:
                raise UserError(f"{folder}: {holder(folder)} is writing it; wait for its end, or end it")
            os.close(handle)
        except FileNotFoundError:  # removed meanwhile
            os.close(handle)
        except BaseException:
            os.close(handle)
            raise
        time.sleep(0.1)
    try:
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network's file system without such locks
        return True
    return True


def holder(file: Path) -> str:
    """Who has locked a file or a folder, in words."""
    with suppress(OSError):
        inode = file.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
                command = Path(f"/proc/{words[4]}/cmdline").read_text().replace("\0", " ")
                return f"process {words[4]} ({textwrap.shorten(command, 80)})"
    return "another process"
