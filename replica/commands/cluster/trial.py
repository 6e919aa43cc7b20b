"""A sweep's trial whose training runs on a node; the rest of it stays in the trial's own process."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from replica.commands.cluster import security
from replica.commands.cluster.dispatch import Dispatch
from replica.commands.cluster.fleet import Fleet
from replica.commands.cluster.job import DONE, FAILED, Result
from replica.commands.cluster.parcel import Parcel
from replica.commands.repro.needs import Needs
from replica.commands.sweep.trial import AgainError
from replica.common import parameters
from replica.common.errors import UserError

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage


def train(repo: Repo, stage: PipelineStage, scheduler: str, certificate: str, remote: str | None) -> None:
    """Let a node run a clone's train@VARIANT, and record it in the clone's dvc.lock; histories are brought here.

    Parameters
    ----------
    scheduler
        Its address.
    certificate
        A file as `security.written` writes it; empty where none is needed.
    remote
        The DVC remote; the default one if None.

    Raises
    ------
    UserError
        Where a node's training failed of its own.
    AgainError
        Where it did not come to that: a signal, nodes that refuse it, a scheduler or a remote out of reach.
    """
    try:
        result = _trained(repo, stage, scheduler, certificate, remote)
    except Exception as error:
        raise AgainError(" ".join(str(error).split()) or repr(error)) from error
    if result.status != DONE:
        own = result.status == FAILED and result.exit <= 128
        raise (UserError if own else AgainError)(f"{result.host}: {result.words}")


def _trained(repo: Repo, stage: PipelineStage, scheduler: str, certificate: str, remote: str | None) -> Result:
    from distributed import Client

    variant = stage.addressing.partition("@")[2]
    seeds = parameters.variant(parameters.declared(), variant)["seeds"]
    histories = [f"models/{variant}/seed-{seed}/history.csv" for seed in seeds]
    mutex, stopping = threading.Lock(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda *_: stopping.set())
    known = security.read(Path(certificate).read_text()) if certificate else None
    with Client(scheduler, security=known) as client, ThreadPoolExecutor(1) as pool:
        fleet = Fleet(client, 1, lambda _, text: print(text, end="", flush=True), print)
        dispatch = Dispatch(repo, Parcel(repo, remote, Console()), mutex)
        with mutex:
            job = dispatch.job(stage)
        job = replace(job, beside=[*job.beside, *histories])
        needs = Needs(Path(repo.root_dir), Path(repo.tmp_dir, "replica/memory.json")).of(stage.addressing)
        result = _ended(pool.submit(fleet.run, job, needs), fleet, stopping)
        if result.status == DONE:
            with mutex:
                dispatch.accept(stage, job, result)
                stage.dump(update_pipeline=False)
    return result


def _ended(future: Future[Result], fleet: Fleet, stopping: threading.Event) -> Result:
    """Wait for a job's end, and tell it to come when the user does."""
    while True:
        try:
            return future.result(timeout=0.5)
        except TimeoutError:
            if stopping.is_set():
                fleet.stop(signal.SIGINT)
