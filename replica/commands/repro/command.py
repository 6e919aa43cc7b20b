"""What a worker does: run one stage's commands, and stop them when told to.

Plain data goes in and comes out, so a worker may be a thread of the driver or a process on another machine that
sees the same files.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from replica.common import processes


class Ended(NamedTuple):
    """How a stage's commands ended: the last one's place and exit status, the seconds of all, and MiB at the most."""

    command: int
    status: int
    seconds: float
    memory: float = 0.0


@functools.cache
def shell(told: str) -> str:
    """The user's shell, which DVC takes, or /bin/sh where it runs nothing, as /bin/true: that would count as done."""
    try:
        runs = subprocess.run([told, "-c", "exit 7"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return "/bin/sh"
    return told if runs.returncode == 7 else "/bin/sh"


_guard = threading.Lock()
_running: dict[str, set[int]] = {}
_stopped: dict[str, int] = {}  # with the last signal sent


def execute(run: str, commands: list[str | list[str]], cwd: str, env: dict[str, str], log: str) -> Ended:
    """Run `commands` in turn until one fails, each in a process group of its own, their output in the file `log`."""
    began = time.monotonic()
    place, status, memory = 0, 0, 0.0
    env = {**env, processes.PARENT: str(os.getpid())}
    with Path(log).open("wb") as file:
        for place, command in enumerate(commands):
            with _guard:  # between the look at _stopped and the entry in _running no stop may slip through
                if run in _stopped:
                    return Ended(place, -signal.SIGINT, time.monotonic() - began, memory)
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=env,
                    shell=isinstance(command, str),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                _running.setdefault(run, set()).add(process.pid)
            status, used = _ended(process)
            memory = max(memory, used)
            if status < 0:
                _left(run, process.pid)
            with _guard:
                _running[run].discard(process.pid)
                if run in _stopped:
                    _kill(process.pid, signal.SIGKILL)  # what the command has left behind
                    status = status or -signal.SIGINT
            if status:
                break
    return Ended(place, status, time.monotonic() - began, memory)


def _ended(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Wait for a process; its exit status, and the most MiB that it, or one that it waited for, had at a time.

    Never less than this process has had: until a new one is its command, Linux counts its parent's pages as its own.
    """
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _left(run: str, group: int) -> None:
    """Wait for what outlives its shell after a stop: it hears the signal, too, and ends while its command tidies up."""
    with suppress(ProcessLookupError):
        while _stopped.get(run, signal.SIGKILL) != signal.SIGKILL:
            os.killpg(group, 0)
            time.sleep(0.02)


def stop(run: str, number: int = signal.SIGINT) -> None:
    """Send a signal to every process group that `run` has on this worker, and let it start no more.

    A command that ends from now on counts as stopped, whatever its status.
    """
    with _guard:
        _stopped[run] = number
        for pid in _running.get(run, ()):
            _kill(pid, number)


def stopped(run: str) -> bool:
    """Whether `run` was told to stop on this worker."""
    with _guard:
        return run in _stopped


def _kill(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
