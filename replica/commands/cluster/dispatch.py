"""A stage's way to a node and back: what a job is made of, and what of its result is taken over."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.stage.loader import StageLoader
from dvc.stage.serialize import to_single_stage_lockfile

from replica.commands.cluster import objects
from replica.commands.cluster.job import Job, Result, versions
from replica.commands.repro.contexts import let_go
from replica.common import kernels, parameters
from replica.common.errors import UserError

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc.stage import PipelineStage
    from dvc_data.hashfile.hash_info import HashInfo

    from replica.commands.cluster.parcel import Parcel

ALIKE = {"surface": "train@spiral"}  # a stage that computes with another one's kernels


class Dispatch:
    """Makes jobs of a repository's stages, and records their results.

    Parameters
    ----------
    parcel
        The project's files, as the nodes have them.
    mutex
        Held by the callers of all methods; let go of while something is transferred.
    remember
        Whether results may come from the remote.
    """

    def __init__(self, repo: Repo, parcel: Parcel, mutex: threading.Lock, remember: bool = True) -> None:
        self.repo, self.parcel, self.mutex, self.remember = repo, parcel, mutex, remember
        self.versions = versions()
        self.makers = {out.fs_path: out for stage in repo.index.stages for out in stage.outs}
        self.there: set[HashInfo] = set()  # on the remote, for all that this run knows
        self.sending = threading.Lock()

    def job(self, stage: PipelineStage) -> Job:
        """What a node needs to run a stage; what lies here alone goes to the remote."""
        self._looked(stage, {})
        inputs, expected = {}, {}
        for dep in stage.deps:
            if isinstance(dep, ParamsDependency):
                continue
            expected[dep.def_path] = str(dep.hash_info.value)
            if maker := self._maker(dep.fs_path):
                inputs[dep.def_path] = str(dep.hash_info.value)
                self._send(dep, maker)
        persistent = [out for out in stage.outs if out.persist and out.use_cache and out.hash_info]
        before = {out.def_path: str(out.hash_info.value) for out in persistent}
        item = stage.addressing.partition("@")[2]
        native = self._native(stage.addressing)
        return Job(
            project=self.parcel.project,
            stage=stage.addressing,
            base=self.parcel.commits.base,
            files=self.parcel.commits.files,
            packs=self.parcel.packs,
            remote=self.parcel.remote,
            inputs=inputs,
            before=before,
            expected=expected,
            versions=self.versions,
            cpu=kernels.describe("native")["cpu"] if native else None,  # type: ignore[arg-type]
            beside=[f"timings/{item}.json", f"live/{item}/metrics.json"] if item else [],
            remember=self.remember and not native,
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

    def _maker(self, path: str) -> str:
        """The stage that makes what is at a path, below it, or around it: git may not have it; else nothing."""
        found = (out for made, out in self.makers.items() if _within(path, made) or _within(made, path))
        return next((out.stage.addressing for out in found), "")

    def _send(self, item: Output, maker: str) -> None:
        """Bring an input to the remote, unless this machine lacks it: then it must be there."""
        if item.exists:
            obj = objects.kept(item)
        elif objects.whole(self.repo, item.hash_info):
            obj = item.hash_info
        else:
            self._ask(item, maker)
            return
        if obj not in self.there:
            with let_go(self.mutex), self.sending:  # in this order: who waits for the pipe must not hold the mutex
                objects.push(self.repo, self.parcel.name, [obj])
            self.there.add(obj)

    def _ask(self, item: Output, maker: str) -> None:
        """See that the remote has an input: else every node would refuse, and none could say what to do."""
        if item.hash_info in self.there:
            return
        with let_go(self.mutex):
            found = objects.there(self.repo, self.parcel.name, item.hash_info)
        if not found:
            raise DvcException(
                f"{item}: neither here nor on the remote {self.parcel.name}: `replica repro {maker}` makes it"
            )
        self.there.add(item.hash_info)

    def _native(self, name: str) -> bool:
        group, _, item = ALIKE.get(name, name).partition("@")
        if group not in ("train", "search"):
            return False
        with suppress(UserError, KeyError):
            declared = parameters.declared(Path(self.repo.root_dir))
            entry = declared["variants" if group == "train" else "searches"][item]
            return (entry.get("kernels") or declared["training"]["kernels"]) == "native"
        return False

    def accept(self, stage: PipelineStage, job: Job, result: Result) -> None:
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
        for name in set(job.beside) & set(result.files):  # nothing that was not asked for
            path = Path(self.repo.root_dir, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(result.files[name])


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
