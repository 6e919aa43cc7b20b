"""dvc.lock, written by DVC, in the order in which `dvc repro` would have written it."""

from __future__ import annotations

import time

from dvc.dvcfile import ProjectFile
from dvc.stage import PipelineStage, Stage
from dvc.utils.serialize import modify_yaml

SHARE = 0.1  # of the time at most goes into writing: each writing parses and prints every stage's entry


class Lockfiles:
    """The records of the stages that have been reproduced, on their way into the lock files.

    They are written in groups: a record that a crash loses is still in DVC's run cache. DVC puts a stage's first record
    at the end of its file, so the order would be that of finishing; `close` makes it the order of `steps`.
    """

    def __init__(self, steps: list[Stage]) -> None:
        self.place = {stage: place for place, stage in enumerate(steps)}
        self.unsaved: list[PipelineStage] = []
        self.files: dict[str, ProjectFile] = {}
        self.before: dict[str, list[str]] = {}
        self.added: dict[str, list[PipelineStage]] = {}
        self.next = 0.0

    def add(self, stage: Stage) -> None:
        """Record a reproduced stage; a `.dvc` file is its own record and is written at once."""
        if not isinstance(stage, PipelineStage):
            stage.dump(update_pipeline=False)
            return
        if stage.path not in self.files:
            self.files[stage.path] = stage.dvcfile
            self.before[stage.path] = list(stage.dvcfile.lockfile_contents.get("stages", {}))
        self.unsaved.append(stage)

    def due(self) -> bool:
        return bool(self.unsaved) and time.monotonic() >= self.next

    def write(self) -> None:
        """Write what has been added."""
        began = time.monotonic()
        self.unsaved.sort(key=self.place.__getitem__)
        for path, file in self.files.items():
            stages = [stage for stage in self.unsaved if stage.path == path]
            file.dump_stages(stages, update_pipeline=False)
            known = set(self.before[path]) | {stage.name for stage in self.added.get(path, ())}
            self.added.setdefault(path, []).extend(stage for stage in stages if stage.name not in known)
        self.unsaved.clear()
        ended = time.monotonic()
        self.next = ended + (ended - began) / SHARE

    def close(self) -> None:
        """Write what is left, and put new entries in the order of `steps`."""
        self.write()
        for path, stages in self.added.items():
            ordered = sorted(stages, key=self.place.__getitem__)
            if ordered != stages:
                with modify_yaml(self.files[path]._lockfile.path) as contents:
                    entries = contents["stages"]
                    for stage in ordered:
                        entries[stage.name] = entries.pop(stage.name)
