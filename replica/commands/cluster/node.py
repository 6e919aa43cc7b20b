"""What a dask worker does with a job: a process of its own in a clone of its own, whose lines it sends on.

A node's folder is on its own disk (dask's `temporary-directory`, else the machine's): locks and databases of DVC break
on a network's. It holds DVC's cache, which all jobs of the machine share, and a clone for each that runs at once. Both
stay, so that the next job finds its data there, and a training that was cut off its last epochs.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from replica.commands.cluster.job import ANSWER, FAILED, REFUSED, REQUEST, Job, Result, begun, unfit
from replica.commands.repro import command
from replica.commands.repro.display import tail
from replica.common import processes
from replica.common.errors import UserError

ROOM = 64 * 2**20  # bytes; with less, what goes wrong is the disk
EVERY = 0.5  # seconds between two looks at a log
DYING = 10.0  # seconds in which a worker ends whose job does, after the commands that run in it


def home(project: str) -> Path:
    """This machine's folder for a project, which nobody else may read."""
    import dask

    place = Path(dask.config.get("temporary-directory", None) or tempfile.gettempdir(), f"replica-{getpass.getuser()}")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.stat().st_uid != os.getuid():
        raise UserError(f"{place}: another user's; set dask's temporary-directory")
    (place / project).mkdir(exist_ok=True)
    return place / project


@contextmanager
def slot(folder: Path, stage: str) -> Iterator[Path]:
    """Within the block, a clone's folder that no other job has: best one where this stage was cut off, or ran."""
    model = Path("clone/models", stage.partition("@")[2] or stage)

    def late(place: Path) -> tuple[bool, bool, str]:
        return not begun(place, stage).exists(), not (place / model).is_dir(), place.name

    there = sorted(folder.glob("slot-*"), key=late)
    for place in [*there, *(folder / f"slot-{number}" for number in range(len(there), len(there) + 1000))]:
        taken = processes.sole(place, patience=0)
        try:
            taken.__enter__()
        except UserError:
            continue
        try:
            yield place
        finally:
            taken.__exit__(None, None, None)
        return


def run(run_id: str, plain: dict[str, Any], say: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Run a job to its end; a dask task.

    Parameters
    ----------
    run_id
        What `command.stop` stops.
    plain
        A `Job`.
    say
        Called with pieces of the log as they come; by default they go to the scheduler, under the topic `run_id`.

    Returns
    -------
    dict
        A `Result`.
    """
    job = Job(**plain)
    host = socket.gethostname()
    if reason := unfit(job):
        return Result(REFUSED, reason, host=host).plain()
    try:
        folder = home(job.project)
        with slot(folder, job.stage) as place:
            return _run(run_id, job, place, say or _to_scheduler(run_id, job.stage))
    except (OSError, UserError) as error:
        return Result(REFUSED, f"{host}: {' '.join(str(error).split())}", host=host).plain()


def _run(run_id: str, job: Job, place: Path, say: Callable[[str], None]) -> dict[str, Any]:
    log, answer = place / "log", place / ANSWER
    answer.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    if (free := shutil.disk_usage(place).free) < ROOM:
        return Result(REFUSED, f"the disk of {place} is full: {free / 2**20:.0f} MiB are left").plain()
    (place / REQUEST).write_text(json.dumps(job.plain()))
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("DVC_")},
        "PYTHONUNBUFFERED": "1",
        "DVC_SITE_CACHE_DIR": str(place / "site"),
        "DVC_NO_ANALYTICS": "1",
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
    }
    ended = threading.Event()
    speaker = threading.Thread(target=_follow, args=(log, ended, say), daemon=True)
    speaker.start()
    words = [sys.executable, "-m", "replica.commands.cluster.stage", str(place)]
    outcome = command.execute(run_id, [words], str(place), environment, str(log))
    ended.set()
    speaker.join()
    host = socket.gethostname()
    if outcome.status < 0:
        if not command.stopped(run_id):  # a walltime's end, or a drained node's: then another worker begins anew
            time.sleep(DYING)
        return Result(FAILED, f"ended by signal {-outcome.status}", 128 - outcome.status, host=host).plain()
    if answer.exists():
        return json.loads(answer.read_text()) | {"host": host, "memory": outcome.memory}
    last = "; ".join(tail(log, 1)) or f"exit status {outcome.status}"
    if shutil.disk_usage(place).free < ROOM:
        return Result(REFUSED, f"the disk of {place} is full: {last}", host=host).plain()
    return Result(FAILED, last, outcome.status, host=host).plain()


def _follow(log: Path, ended: threading.Event, say: Callable[[str], None]) -> None:
    """Send on what is written to a log, until its writer has ended."""
    place = 0
    while True:
        last = ended.wait(EVERY)
        try:
            with log.open("rb") as file:
                file.seek(place)
                piece = file.read()
        except OSError:
            piece = b""
        if piece:
            place += len(piece)
            say(piece.decode(errors="replace"))
        if last:
            return


def _to_scheduler(topic: str, stage: str) -> Callable[[str], None]:
    from distributed import get_worker

    worker = get_worker()
    worker.log_event(topic, {"stage": stage, "begun": worker.get_current_task()})

    def say(piece: str) -> None:
        worker.log_event(topic, {"stage": stage, "time": time.time(), "text": piece})

    return say
