"""The driver: one process that holds DVC's lock and does DVC's bookkeeping one stage at a time, commands side by side.

A stage is reproduced by DVC's own `Stage.reproduce`, in a thread that holds the driver's mutex. Where `dvc repro` lets
go of its lock, to run the command, the thread lets go of the mutex instead, and a dask worker runs the command.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvc import output
from dvc.exceptions import DvcException
from dvc.log import logger
from dvc.repo import Repo
from dvc.stage import run as dvc_run
from dvc.stage.exceptions import StageCmdFailedError
from dvc_data.hashfile import transfer as dvc_transfer
from rich.console import Console

from replica.commands.repro import command
from replica.commands.repro.checked import Checked
from replica.commands.repro.contexts import let_go, replaced
from replica.commands.repro.display import Display, duration
from replica.commands.repro.estimates import Estimates
from replica.commands.repro.lockfile import Lockfiles
from replica.commands.repro.needs import Needs
from replica.commands.repro.plan import Longest, Plan, inputs, planned
from replica.commands.repro.summary import Outcome, counts, tell, write_timeline
from replica.commands.repro.workers import Stop, Workers
from replica.common.errors import UserError

if TYPE_CHECKING:
    from dvc.stage import Stage
    from dvc_data.hashfile.transfer import TransferResult


class InterruptedStageError(Exception):
    """The user stopped the run while this stage's command ran."""


def transferred(*objects: Any, **options: Any) -> TransferResult:
    """DVC's copying to its cache; what that cannot copy DVC logs, and records the stage as if it were there."""
    refused: list[BaseException] = []
    with replaced(dvc_transfer, "_log_exception", lambda _, error: refused.append(error)):
        result = dvc_transfer.transfer(*objects, **options)
    if refused:
        reason = getattr(refused[0], "strerror", None) or refused[0]
        raise DvcException(f"DVC's cache could not take the outputs: {reason}; they lie whole where they were made")
    return result


def reproduce(
    targets: list[str],
    jobs: int | None = None,
    force: bool = False,
    run_cache: bool = True,
    console: Console | None = None,
    check: Callable[[], None] | None = None,
) -> int:
    """Reproduce stages as `dvc repro` does, `jobs` commands at once.

    Parameters
    ----------
    targets
        As `dvc repro` takes them: stages, groups, `dvc.yaml` or `.dvc` files; all of `dvc.yaml` where there are none.
    jobs
        How many commands run at once; as many as there are cores if None.
    force
        Run every stage, changed or not.
    run_cache
        Take a stage's outputs from DVC's run cache where it has run before with the same inputs.
    console
        Where to print; standard output if None.
    check
        What `replica check` does, called first; a stage's own command that does so is left out (`Checked`).

    Returns
    -------
    int
        Exit status: 0; 1 where a stage failed; 128 and the signal's number (130 for Ctrl-C) where the user stopped it.

    Raises
    ------
    UserError
        Where there is no project, no such target, or another DVC process holds the lock.
    """
    began = time.monotonic()
    checked = Checked(check)
    if jobs is None:
        from dask.system import CPU_COUNT  # what the container and the affinity leave us

        jobs = CPU_COUNT
    if jobs < 1:
        raise UserError(f"--jobs: {jobs}, but at least 1 must run")
    with planned(targets) as (repo, plan, stop, folder):
        workers = Workers(jobs, folder / "dask")
        driver = Driver(repo, plan, workers, folder, stop, console or Console(), force=force, run_cache=run_cache)
        driver.began, driver.checked = began, checked
        return driver.run()


class Driver:
    """One run of `plan` on `workers`; `options` are those of DVC's `Stage.reproduce`, `folder` is for its own files."""

    def __init__(
        self,
        repo: Repo,
        plan: Plan,
        workers: Workers,
        folder: Path,
        stop: Stop,
        console: Console,
        **options: bool,
    ) -> None:
        self.repo, self.plan, self.workers, self.folder = repo, plan, workers, folder
        self.stop, self.console, self.options = stop, console, options
        self.began = time.monotonic()
        self.checked = Checked(None)
        self.estimates = Estimates(Path(repo.root_dir), self.folder / "estimates.json")
        self.names = [stage.addressing for stage in plan.steps]
        self.expected = self.estimates.of(self.names)
        self.needs = Needs(Path(repo.root_dir), self.folder / "memory.json")
        self.lockfiles = Lockfiles(plan.steps)
        self.mutex = threading.Lock()  # only its holder uses DVC
        self.events: queue.SimpleQueue[Stage] = queue.SimpleQueue()
        self.active: dict[Stage, Outcome] = {}
        self.outcomes: dict[Stage, Outcome] = {}
        self.display = Display(console, self.summary)

    def run(self) -> int:
        """Reproduce every stage; return the exit status."""
        # DVC runs a stage's command as `unlocked_repo(cmd_run)(stage)`: here its lock is kept, and a worker runs it
        kept = replaced(dvc_run, "unlocked_repo", lambda run: run)
        on_worker = replaced(dvc_run, "cmd_run", self._run_command)
        whole = replaced(output, "otransfer", transferred)
        with ThreadPoolExecutor(self.workers.most) as pool, kept, on_worker, whole, self.display:
            try:
                self._loop(pool)
                self.lockfiles.close()
            except BaseException:
                self.stop.note(signal.SIGTERM)
                self.workers.stop(signal.SIGKILL)
                raise
            finally:
                self.workers.close()
        return self._report()

    def _loop(self, pool: ThreadPoolExecutor) -> None:
        paths = self.plan.paths(self.expected)
        waiting, ready = Longest(self.plan, paths), Longest(self.plan, paths)
        waiting.add(stage for stage in self.plan.steps if not self.plan.missing[stage])
        while self.active or (not self.stop and (waiting or ready)):
            if self.stop:
                self.workers.stop(self.stop.number)
            else:
                if waiting:
                    stage = waiting.pop()
                    if self._changed(stage):
                        ready.add([stage])
                    else:
                        waiting.add(self._end(stage, Outcome("unchanged")))
                while ready and len(self.active) < self.workers.jobs:
                    stage = ready.pop()
                    self.active[stage] = Outcome()
                    pool.submit(self._reproduce, stage)
            for stage in self._ended(wait=bool(self.stop) or (bool(self.active) and not waiting)):
                waiting.add(self._end(stage, self.active.pop(stage)))
            self.display.refresh()
            if self.lockfiles.due():
                with self.mutex:
                    self.lockfiles.write()

    def _ended(self, wait: bool) -> list[Stage]:
        """The stages whose threads have come to an end, after waiting a little for the first."""
        stages: list[Stage] = []
        try:
            while True:
                stages.append(self.events.get(wait and not stages, timeout=0.2))
        except queue.Empty:
            return stages

    def _changed(self, stage: Stage) -> bool:
        with self.mutex:
            if stage.frozen and not stage.is_import:
                logger.warning("%s is frozen. Its dependencies are not going to be reproduced.", stage)
            try:
                return self.options["force"] or stage.changed(upstream=self.plan.upstream[stage])
            except Exception:  # it comes again in _reproduce, where it is told
                return True

    def _reproduce(self, stage: Stage) -> None:
        """Let DVC reproduce a stage; in a thread of the pool."""
        outcome = self.active[stage]
        try:
            with self.mutex:
                try:
                    if self.stop:
                        outcome.state = "interrupted"
                    elif stage.reproduce(upstream=self.plan.upstream[stage], **self.options):
                        self.lockfiles.add(stage)
                    else:
                        outcome.state = "unchanged"
                except InterruptedStageError:
                    outcome.state = "interrupted"
                    stage.remove_outs(ignore_remove=False, force=False)
        except Exception as error:
            outcome.state, outcome.words = "failed", " ".join(str(error).split()) or repr(error)
        self.events.put(stage)

    def _run_command(self, stage: Stage, dry: bool = False, run_env: dict[str, str] | None = None) -> None:
        """DVC's `cmd_run`, on a worker; the caller holds the mutex, and others may have it while the command runs."""
        self.repo._reset()  # as DVC does where it lets go of its lock
        texts = self.checked.left(dvc_run._enforce_cmd_list(stage.cmd))
        commands = [dvc_run._make_cmd(command.shell(dvc_run.get_executable()), text) for text in texts]
        options = dvc_run.prepare_kwargs(stage, run_env=run_env)
        options["env"].setdefault("PYTHONUNBUFFERED", "1")  # so that the log shows each line as it comes
        log = self._log(stage.addressing)
        log.unlink(missing_ok=True)
        outcome = self.active[stage]
        outcome.state, outcome.began = "done", time.monotonic() - self.began
        if self.stop:
            raise InterruptedStageError
        self.display.started(stage.addressing, log, self.expected[stage.addressing])
        before = inputs(stage)
        with let_go(self.mutex):
            words = (commands, options["cwd"], options["env"], log)
            ended = self.workers.execute(self.needs.of(stage.addressing), stage.addressing, *words)
        outcome.seconds, outcome.memory = ended.seconds, ended.memory
        if ended.status and self.stop:
            raise InterruptedStageError
        if ended.status:
            raise StageCmdFailedError(texts[ended.command], ended.status)
        after = inputs(stage)
        if changed := [name for name in {**before, **after} if before.get(name) != after.get(name)]:
            raise DvcException(f"{', '.join(changed[:3])}: changed while it ran; nothing is recorded: run it again")

    def _end(self, stage: Stage, outcome: Outcome) -> list[Stage]:
        """Note how a stage ended; return the stages that wait no longer."""
        self.outcomes[stage] = outcome
        name, ended = stage.addressing, [stage]
        if outcome.state in ("failed", "interrupted"):
            skipped = [other for other in self.plan.descendants(stage) if other not in self.outcomes]
            self.outcomes |= {other: Outcome("skipped", words=name) for other in skipped}
            ended += skipped
            self.display.ended(name, f"{outcome.state} {outcome.words}".strip(), "bold red")
        elif outcome.state == "done":
            self.estimates.measured[name] = outcome.seconds
            self.expected = self.estimates.of(self.names)
            self.display.ended(name, f"done in {duration(outcome.seconds)}", "green")
        elif outcome.state == "cached":
            self.display.ended(name, "taken from the run cache" if stage.cmd else "verified", "green")
        return [other for gone in ended for other in self.plan.release(gone) if other not in self.outcomes]

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name.replace(os.sep, '_')}.log"

    def summary(self) -> str:
        """What is done and what is left, in a line."""
        left = [stage for stage in self.plan.steps if stage not in self.outcomes]
        line = ", ".join(filter(None, [counts(list(self.outcomes.values())), f"{len(left)} left"]))
        if self.stop:
            return f"{line}, stopping; Ctrl-C again kills what runs"
        if not left or not self.estimates.known():
            return line
        now = time.monotonic() - self.began
        rest = {stage.addressing: self.expected[stage.addressing] for stage in left}
        for stage, outcome in list(self.active.items()):
            if outcome.began and stage.addressing in rest:
                rest[stage.addressing] = max(0.0, rest[stage.addressing] - (now - outcome.began))
        return f"{line}, about {duration(self.plan.duration(rest, self.workers.jobs))}"

    def _report(self) -> int:
        outcomes = {stage.addressing: self.outcomes[stage] for stage in self.plan.steps if stage in self.outcomes}
        done = {name: outcome for name, outcome in outcomes.items() if outcome.state == "done"}
        self.estimates.record({name: outcome.seconds for name, outcome in done.items()})
        self.needs.record({name: outcome.memory for name, outcome in done.items()})
        if any(outcome.seconds for outcome in outcomes.values()):
            write_timeline(self.folder / "timeline.csv", outcomes)
        tell(self.console, outcomes, time.monotonic() - self.began, self._log)
        if self.stop:
            self.console.print(
                "stopped; no output is half-written, and the next run goes on from here", highlight=False
            )
            return self.stop.status
        return int(any(outcome.state == "failed" for outcome in outcomes.values()))
