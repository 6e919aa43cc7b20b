"""dvc.lock, written by DVC, in the order in which `dvc repro` would have written it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc import dvcfile
from dvc.stage import PipelineStage, Stage
from dvc.utils.serialize import _yaml

from replica.commands.repair import START, entries
from replica.commands.repro.contexts import replaced

SHARE = 0.1  # of the time at most goes into writing: each writing parses every stage's entry


class Lockfiles:
    """The records of the stages that have been reproduced, on their way into the lock files.

    They are written in groups: a record that a crash loses is still in DVC's run cache. DVC puts a stage's first record
    at the end of its file, so the order would be that of finishing; `close` makes it the order of `steps`.
    """

    def __init__(self, steps: list[Stage]) -> None:
        self.place = {stage: place for place, stage in enumerate(steps)}
        self.unsaved: list[PipelineStage] = []
        self.files: dict[str, dvcfile.ProjectFile] = {}
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
            with replaced(dvcfile, "modify_yaml", modify_whole):
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
                file = self.files[path]
                with modify_whole(file._lockfile.path) as contents:
                    recorded = contents["stages"]
                    for stage in ordered:
                        recorded[stage.name] = recorded.pop(stage.name)


@contextmanager
def modify_whole(path: str, fs: Any = None) -> Iterator[dict[str, Any]]:
    """DVC's `modify_yaml`, but the file is written beside and then renamed: a kill never leaves half of it.

    Entries of stages that have not been replaced keep their text: for ruamel to parse them for printing and to print
    them takes seconds, and costs a float of 17 digits its last. A file that is not as DVC prints it is printed whole.
    """
    file = Path(path)
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    contents = _yaml.parse_yaml(text, path)  # which `files_parsed_once` remembers
    printed = _entries(text, contents)
    if printed is None:
        contents = _yaml.parse_yaml_for_update(text, path)
    before = dict(contents.get("stages") or {})
    yield contents
    if printed is None:
        text = _yaml.dumps_yaml(contents)
    else:
        stages = contents["stages"].items()
        text = START + "".join(
            printed[name]
            if entry is before.get(name)
            else _yaml.dumps_yaml({"stages": {name: entry}}).removeprefix("stages:\n")
            for name, entry in stages
        )
    part = file.with_name(f".{file.name}.part")  # .dvc/tmp may lie on another disk, which can't rename
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def _entries(text: str, contents: dict[str, Any]) -> dict[str, str] | None:
    """The text of each stage's entry; None where the file has more, or has it otherwise, than DVC prints."""
    outer = re.findall(r"^(?:  )?\S.*\n", text, re.MULTILINE)  # the lines that stand no deeper than a stage's name
    names = [f"  {name}:\n" for name in contents.get("stages") or {}]
    return entries(text) if outer == [*START.splitlines(keepends=True), *names] else None
