"""The driver of `replica repro` with nodes of their own in place of this machine's processes.

It holds DVC's lock and decides what has changed, as the local one; a node runs the stage and says what dvc.lock is to
record. That is taken over only where the inputs here are still what the node had. Metrics and plots are brought back;
models and data stay on the remote, but where they are here already.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvc.config import NoRemoteError
from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.stage import PipelineStage
from dvc.stage.loader import StageLoader
from dvc.stage.serialize import to_single_stage_lockfile
from rich.console import Console

from replica.commands.cluster import objects
from replica.commands.cluster.fleet import Fleet
from replica.commands.cluster.job import FAILED, REFUSED, Job, Result, versions
from replica.commands.cluster.parcel import Parcel
from replica.commands.repro.contexts import let_go
from replica.commands.repro.driver import Driver, InterruptedStageError, planned
from replica.common import kernels, parameters
from replica.common.errors import UserError

if TYPE_CHECKING:
    from distributed import Client
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc.stage import Stage
    from dvc_data.hashfile.hash_info import HashInfo

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
    with planned(targets) as (repo, plan, stop, folder):
        try:
            parcel = Parcel(repo, remote, console)
            with connect as client:
                driver = ClusterDriver(repo, plan, client, jobs, parcel, folder, stop, console, force=force)
                driver.began = began
                return driver.run()
        except (DvcException, NoRemoteError) as error:
            raise UserError(" ".join(str(error).split())) from error


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
        self.fleet, self.parcel = Fleet(client, jobs, self._hear, self._say), parcel
        # of which the local driver asks what it shares with Workers: how many at once, stop and close
        super().__init__(repo, plan, self.fleet, folder, stop, console, **options)  # type: ignore[arg-type]
        self.versions = versions()
        self.makers = {out.fs_path: out for stage in repo.index.stages for out in stage.outs}
        self.there: set[HashInfo] = set()  # on the remote, for all that this run knows
        self.sending = threading.Lock()
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
        self.repo._reset()
        job = self._job(stage)
        log = self._log(name)
        log.unlink(missing_ok=True)
        log.touch()
        outcome.began = time.monotonic() - self.began
        self.display.started(name, log, self.expected[name])
        with let_go(self.mutex):
            result = self.fleet.run(job)
        outcome.seconds = time.monotonic() - self.began - outcome.began
        self.overheads.append({"stage": name, "host": result.host, **result.seconds, "all": round(outcome.seconds, 3)})
        if self.stop and result.status in (FAILED, REFUSED):
            raise InterruptedStageError
        if result.status == FAILED:
            raise DvcException(f"{result.host}: {result.words}")
        if result.status == REFUSED:
            raise DvcException(result.words)
        self._accept(stage, job, result)
        outcome.state = "cached" if result.remembered else "done"
        self.lockfiles.add(stage)

    def _job(self, stage: PipelineStage) -> Job:
        """What a node needs to run a stage; what lies here alone goes to the remote."""
        self._looked(stage, {})
        inputs, expected = {}, {}
        for dep in stage.deps:
            if isinstance(dep, ParamsDependency):
                continue
            expected[dep.def_path] = str(dep.hash_info.value)
            if self._made(dep.fs_path):
                inputs[dep.def_path] = str(dep.hash_info.value)
                if dep.exists:
                    self._send(dep)
        persistent = [out for out in stage.outs if out.persist and out.use_cache and out.hash_info]
        before = {out.def_path: str(out.hash_info.value) for out in persistent}
        item = stage.addressing.partition("@")[2]
        native = self._native(stage.addressing)
        return Job(
            project=self.parcel.project,
            stage=stage.addressing,
            base=self.parcel.commits.base,
            files=self.parcel.commits.files,
            pack=self.parcel.pack,
            remote=self.parcel.remote,
            inputs=inputs,
            before=before,
            expected=expected,
            versions=self.versions,
            cpu=kernels.describe("native")["cpu"] if native else None,  # type: ignore[arg-type]
            beside=[f"timings/{item}.json", f"live/{item}/metrics.json"] if item else [],
            remember=not native and not self.options["force"],
        )

    def _looked(self, stage: PipelineStage, sent: dict[str, str]) -> None:
        """Note the inputs' hashes as they are now; of one that is not here, what was `sent`, or its maker recorded."""
        stage.save_deps(allow_missing=True)
        for dep in stage.deps:
            if isinstance(dep, ParamsDependency) or dep.exists:
                continue
            maker = self.makers.get(dep.fs_path)
            if dep.def_path in sent:
                dep.hash_info = objects.hashed(sent[dep.def_path])
            elif maker is not None and maker.hash_info:
                dep.hash_info, dep.meta = maker.hash_info, maker.meta
            else:
                raise DvcException(f"{dep}: neither here nor recorded in dvc.lock")

    def _made(self, path: str) -> bool:
        """Whether stages make what is at a path, below it, or around it: git may not have it."""
        return any(_within(path, made) or _within(made, path) for made in self.makers)

    def _send(self, item: Output) -> None:
        with self.sending:
            obj = objects.kept(item)
            if obj not in self.there:
                with let_go(self.mutex):
                    objects.push(self.repo, self.parcel.name, [obj])
                self.there.add(obj)

    def _native(self, name: str) -> bool:
        group, _, item = name.partition("@")
        if group not in ("train", "search"):
            return False
        with suppress(UserError, KeyError):
            declared = parameters.declared(Path(self.repo.root_dir))
            entry = declared["variants" if group == "train" else "searches"][item]
            return (entry.get("kernels") or declared["training"]["kernels"]) == "native"
        return False

    def _accept(self, stage: PipelineStage, job: Job, result: Result) -> None:
        """Take a node's outputs and record, if the inputs are still what they were when it began."""
        self._looked(stage, job.inputs)
        ours, theirs = json.loads(json.dumps(to_single_stage_lockfile(stage))), result.entry
        for part in ("deps", "params", "cmd"):
            if part == "deps":
                had, now = ({dep["path"]: dep["md5"] for dep in each.get("deps", [])} for each in (theirs, ours))
            else:
                had, now = ({part: each.get(part)} for each in (theirs, ours))
            if changed := sorted(key for key in now if had.get(key) != now[key]):
                raise DvcException(f"{', '.join(changed)} changed while it ran: nothing is recorded; run it again")
        StageLoader.fill_from_lock(stage, theirs)
        stage.cmd_changed = False
        for out in stage.outs:
            Path(out.fs_path).parent.mkdir(parents=True, exist_ok=True)
            out.ignore()
            self.there.add(out.hash_info)
            if not out.use_cache or out.exists:
                with let_go(self.mutex):
                    objects.pull(self.repo, self.parcel.name, [out.hash_info])
                objects.place(self.repo, out.fs_path, out.hash_info)
            self.makers[out.fs_path] = out
        for name, text in result.files.items():
            path = Path(self.repo.root_dir, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _report(self) -> int:
        (self.folder / "cluster.json").write_text(json.dumps(self.overheads, indent=1) + "\n")
        return super()._report()


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
