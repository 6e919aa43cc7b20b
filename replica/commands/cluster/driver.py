"""The driver of `replica repro` with nodes of their own in place of this machine's processes.

It holds DVC's lock and decides what has changed, as the local one; a node runs the stage and says what dvc.lock is to
record. That is taken over only where the inputs here are still what the node had. Metrics and plots are brought back;
models and data stay on the remote, but where they are here already.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvc.config import NoRemoteError
from dvc.exceptions import DvcException
from dvc.stage import PipelineStage
from rich.console import Console

from replica.commands.cluster.dispatch import Dispatch
from replica.commands.cluster.fleet import Fleet
from replica.commands.cluster.job import FAILED, REFUSED
from replica.commands.cluster.parcel import Parcel
from replica.commands.repro.contexts import let_go
from replica.commands.repro.driver import Driver, InterruptedStageError, planned
from replica.common.errors import UserError

if TYPE_CHECKING:
    from distributed import Client
    from dvc.repo import Repo
    from dvc.stage import Stage

    from replica.commands.repro.plan import Plan
    from replica.commands.repro.workers import Stop


def reproduce(
    targets: list[str],
    connect: AbstractContextManager[Client],
    jobs: int | None = None,
    force: bool = False,
    remote: str | None = None,
    console: Console | None = None,
) -> int:
    """Reproduce stages as `replica repro` does, each on a node that has a clone of its own.

    Parameters
    ----------
    targets, jobs, force, console
        As `replica.commands.repro.reproduce` has them.
    connect
        Gives a dask client, whose scheduler's workers are the nodes.
    remote
        The DVC remote that this machine and the nodes reach; the default one if None.

    Returns
    -------
    int
        Exit status, as `replica.commands.repro.reproduce`.

    Raises
    ------
    UserError
        As there; and where there is no such remote, or the files can't be sent.
    """
    began = time.monotonic()
    console = console or Console()
    with planned(targets) as (repo, plan, stop, folder), ExitStack() as ending:
        try:
            parcel = Parcel(repo, remote, console)
            with raised(stop):
                client = ending.enter_context(connect)
            driver = ClusterDriver(repo, plan, client, jobs, parcel, folder, stop, console, force=force)
            driver.began = began
            return driver.run()
        except KeyboardInterrupt:
            console.print("stopped; nothing had begun", highlight=False)
            return stop.status
        except (DvcException, NoRemoteError) as error:
            raise UserError(" ".join(str(error).split())) from error


@contextmanager
def raised(stop: Stop) -> Iterator[None]:
    """Within the block, where DVC writes nothing, the first signal is not only noted: KeyboardInterrupt ends a wait."""

    def note(number: int, _: object) -> None:
        stop.note(number)
        if len(stop.signals) == 1:  # a second one must not end the cluster's clearing away
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in stop.before}
    for number, handler in before.items():
        if handler == stop.note:
            signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ClusterDriver(Driver):
    """One run of a plan on nodes."""

    def __init__(
        self,
        repo: Repo,
        plan: Plan,
        client: Client,
        jobs: int | None,
        parcel: Parcel,
        folder: Path,
        stop: Stop,
        console: Console,
        **options: bool,
    ) -> None:
        self.fleet = Fleet(client, jobs, self._hear, self._say)
        # of which the local driver asks what it shares with Workers: how many at once, stop and close
        super().__init__(repo, plan, self.fleet, folder, stop, console, **options)  # type: ignore[arg-type]
        self.dispatch = Dispatch(repo, parcel, self.mutex, remember=not self.options["force"])
        self.overheads: list[dict[str, Any]] = []

    def _hear(self, stage: str, text: str) -> None:
        with self._log(stage).open("a") as log:
            log.write(text)

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def _changed(self, stage: Stage) -> bool:
        with self.mutex:
            try:
                return self.options["force"] or self._differs(stage)
            except Exception:  # it comes again in _reproduce, where it is told
                return True

    def _differs(self, stage: Stage) -> bool:
        """Whether a stage has to run; what is on the remote and not here is no reason."""
        if any(not out.hash_info or (not out.use_cache and not out.exists) for out in stage.outs):
            return True
        return stage.changed(allow_missing=True, upstream=self.plan.upstream[stage])

    def _reproduce(self, stage: Stage) -> None:
        if not isinstance(stage, PipelineStage) or not stage.cmd or stage.frozen:
            super()._reproduce(stage)
            return
        outcome = self.active[stage]
        try:
            with self.mutex:
                if self.stop:
                    outcome.state = "interrupted"
                elif not self.options["force"] and not self._differs(stage):
                    outcome.state = "unchanged"
                else:
                    self._remotely(stage)
        except InterruptedStageError:
            outcome.state = "interrupted"
        except Exception as error:
            outcome.state, outcome.words = "failed", " ".join(str(error).split()) or repr(error)
        self.events.put(stage)

    def _remotely(self, stage: PipelineStage) -> None:
        """Run a stage on a node and record what it did; the caller holds the mutex."""
        outcome, name = self.active[stage], stage.addressing
        began = time.monotonic()
        self.repo._reset()
        job = self.dispatch.job(stage)
        parts = {"send": round(time.monotonic() - began, 3)}
        log = self._log(name)
        log.unlink(missing_ok=True)
        log.touch()
        outcome.began = time.monotonic() - self.began
        self.display.started(name, log, self.expected[name])
        with let_go(self.mutex):
            result = self.fleet.run(job, self.needs.of(name))
        outcome.seconds = time.monotonic() - self.began - outcome.began
        parts |= {**result.seconds, "at": round(outcome.began, 3), "all": round(outcome.seconds, 3)}
        self.overheads.append({"stage": name, "host": result.host, "seconds": parts})
        if self.stop and result.status in (FAILED, REFUSED):
            raise InterruptedStageError
        if result.status == FAILED:
            raise DvcException(f"{result.host}: {result.words}")
        if result.status == REFUSED:
            raise DvcException(result.words)
        began = time.monotonic()
        self.dispatch.accept(stage, job, result)
        parts["take"] = round(time.monotonic() - began, 3)
        outcome.state, outcome.memory = "cached" if result.remembered else "done", result.memory
        self.lockfiles.add(stage)

    def _report(self) -> int:
        (self.folder / "cluster.json").write_text(json.dumps(self.overheads, indent=1) + "\n")
        return super()._report()
