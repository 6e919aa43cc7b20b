"""dvc.lock as a record of bytes: what each stage's outputs hash to, and which stages a target needs."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cached_property
from typing import Any

import yaml

from replica.common import reader
from replica.common.errors import UserError

SCORED = {"train": "evaluate", "search": "choose"}  # the stage that gives another's models their scores
FETCHED = ("download@", "preprocess@")  # stages whose outputs are data


class Record:
    """The stages of one dvc.lock.

    Raises
    ------
    UserError
        Where it is no such file.
    """

    def __init__(self, text: str) -> None:
        try:
            content = yaml.load(text, reader.Loader) if text.strip() else {}
        except yaml.YAMLError:
            content = None
        if not isinstance(content, dict):
            raise UserError("dvc.lock: no record of stages; `replica repair` puts back what the last commit has")
        self.stages: dict[str, dict[str, Any]] = content.get("stages") or {}

    @cached_property
    def makers(self) -> dict[str, str]:
        """Each output's path, and the stage that makes it."""
        return {out["path"]: name for name, entry in self.stages.items() for out in entry.get("outs", ())}

    def outs(self, name: str) -> dict[str, str]:
        """The outputs of a stage by path, and their MD5 (of a folder, its listing's, which ends in `.dir`)."""
        return {out["path"]: out.get("md5", "") for out in self.stages.get(name, {}).get("outs", ())}

    def inputs(self, name: str) -> dict[str, Any]:
        """What a stage depends on that no stage makes: code and facts by path, and parameters by name."""
        entry = self.stages.get(name, {})
        found = {dep["path"]: dep.get("md5") for dep in entry.get("deps", ()) if not self.made_by(dep["path"])}
        for file in entry.get("params", {}).values():
            found |= file
        return found

    def made_by(self, path: str) -> list[str]:
        """The stages whose outputs are the path, lie in it, or hold it."""
        if path in self.makers:
            return [self.makers[path]]
        found = [
            maker
            for out, maker in self.makers.items()
            if out.startswith(f"{path}/") or path.startswith(f"{out}/")
        ]  # fmt: skip
        return list(dict.fromkeys(found))

    def named(self, targets: list[str]) -> list[str]:
        """The stages that targets name, and those that score what they train: a stage, a group, a variant, a search.

        Raises
        ------
        UserError
            Where one names none that is recorded.
        """
        found: list[str] = []
        for target in targets:
            several = [name for name in self.stages if name.startswith(f"{target}@")]
            scored = [f"{stage}@{target}" for stage in SCORED.values() if f"{stage}@{target}" in self.stages]
            names = [target] if target in self.stages else several or scored
            if not names:
                known = {*self.stages, *(part for name in self.stages for part in name.split("@"))}
                near = get_close_matches(target, known, 1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise UserError(
                    f"{target}: not in the committed dvc.lock; {hint}"
                    "allowed: a stage or a variant that has run and whose dvc.lock is committed"
                )
            for name in names:
                stage, _, item = name.partition("@")
                found += [name, *(later for later in [f"{SCORED.get(stage)}@{item}"] if later in self.stages)]
        return list(dict.fromkeys(found))

    def plan(self, names: list[str]) -> list[str]:
        """These stages and all that they need, each after what it needs."""
        found: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in found:
                return
            for dep in self.stages[name].get("deps", ()):
                for maker in self.made_by(dep["path"]):
                    if maker != name:
                        visit(maker)
            found[name] = None

        for name in names:
            visit(name)
        return list(found)
