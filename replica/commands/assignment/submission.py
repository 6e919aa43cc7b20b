"""What comes back, read as data alone: two YAML files, and what the student's own runs have recorded.

Nothing of a submission is run, imported, unpickled or followed as a link.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replica.commands.assignment import starter
from replica.commands.assignment.declaration import Assignment
from replica.common import reader
from replica.common.errors import UserError
from replica.schema.entries import Data, Training

STUDENT = re.compile(r"[\w.@+-]{1,80}")
LARGEST = 2_000_000  # bytes of a file
LEFT = (  # not looked into: what runs leave, and what a course or a person puts beside
    *("metrics", "plots", "report", "live", "data", "models", "timings", ".dvc/cache", ".dvc/tmp"),
    *(".git", ".github", ".venv"),
)
SHOWN = 6
HELD = {*Data.model_fields, *Training.model_fields}  # a knob of that name overrides what `data` or `training` has


@dataclass
class Submission:
    """A folder's answers and declared parameters.

    `changed` has a line for each entry of params.yaml that was changed and is not the student's to change, `notes` for
    what was not looked at, `problems` for what could not be read, `unnamed` why nobody knows whose numbers it has.
    """

    folder: Path
    answers: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unnamed: str = ""


def text(folder: Path, name: str) -> str:
    """A submission's file, where it is a regular one inside of it.

    Raises
    ------
    UserError
        Where it is missing, a link, a pipe, too large, or not UTF-8.
    """
    file = folder / name
    if any(each.is_symlink() for each in (file, *file.parents) if each.is_relative_to(folder) and each != folder):
        raise UserError(f"{name}: a link; hand in the file itself")
    if not file.exists():
        raise UserError(f"{name}: missing")
    if not file.is_file() or file.stat().st_size > LARGEST:
        raise UserError(f"{name}: no file of up to {LARGEST:,} bytes")
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 at byte {error.start}") from None


def mapping(folder: Path, name: str) -> dict[str, Any]:
    """A YAML file's sections; raises UserError where there are none."""
    found = reader.load(text(folder, name), name)
    if not isinstance(found, dict):
        raise UserError(f"{name}: a {type(found).__name__}, where names and values were expected")
    return found


def student_of(folder: Path) -> str:
    """Whom a submission says it is of; nobody where it does not."""
    try:
        name = mapping(folder, "answers.yaml").get("student")
    except UserError:
        return ""
    return name if isinstance(name, str) and STUDENT.fullmatch(name) else ""


def read(assignment: Assignment, folder: Path) -> Submission:
    """A submission, held to its assignment. What is wrong in it is in it as lines; nothing is raised for that.

    Raises
    ------
    UserError
        Where there is no such folder, or no project here.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; a submission is a folder with answers.yaml and params.yaml")
    found = Submission(folder)
    for name, into in (("answers.yaml", found.answers), ("params.yaml", found.params)):
        try:
            into.update(mapping(folder, name))
        except UserError as error:
            found.problems.append(str(error))
            if into is found.answers and not assignment.student:  # whose numbers, nobody can tell
                found.unnamed = str(error)
    wanted = {"assignment", "student", *(question.id for question in assignment.chapter.questions)}
    if unknown := [str(key)[:40] for key in found.answers if key not in wanted]:
        found.notes.append(f"answers.yaml: {', '.join(unknown[:SHOWN])}: no such question")
    if (other := found.answers.get("assignment")) is not None and str(other) != assignment.name:
        found.problems.append(f"answers.yaml: of the assignment {str(other)[:40]}, where {assignment.name} is graded")
    other = found.answers.get("student")
    if assignment.student and isinstance(other, str) and other not in ("", assignment.student):
        found.changed.append(f"answers.yaml: student: got {other[:80]}; this is graded for {assignment.student}")
    if not assignment.student and not isinstance(other, str | None):  # 007 is 7: whose numbers, nobody can tell
        got = f"got {str(other)[:40]}, which is no text"
        found.unnamed = f"answers.yaml: student: {got}; put the name into quotes, as it was given"
        found.problems.append(found.unnamed)
    if found.params and not found.unnamed:
        found.changed += list(differences(assignment, found.params))
    found.notes += ignored(folder, starter.files(assignment))
    return found


def differences(assignment: Assignment, params: Mapping[str, Any]) -> Iterator[str]:
    """A line for each value that is not the student's to change, and is another than in the starter."""
    before, after = flat(assignment.params), flat(within(assignment.params, params))
    for name in {**before, **after}:
        if before.get(name, ...) != after.get(name, ...) and not own(assignment, name):
            got = repr(after[name])[:60] if name in after else "nothing"
            leaves = f"leaves it at {before[name]!r}" if name in before else "has no such entry"
            yield f"params.yaml: {name}: got {got}; this assignment {leaves}"


def within(handed_out: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The sections and entries that were handed out; what a student has added beside them is nobody's concern."""
    found: dict[str, Any] = {}
    for section, entries in handed_out.items():
        declared = params.get(section)
        if isinstance(declared, Mapping) and section in ("networks", "variants"):
            declared = {key: declared[key] for key in entries if key in declared}
        found[section] = declared
    return found


def own(assignment: Assignment, name: str) -> bool:
    """Whether an entry is the student's to change: by the longest of `may_change` and `fixed` that it begins with.

    A knob in `HELD` never is.
    """
    if HELD.intersection(name.split(".")[2:3]):
        return False
    places = {**dict.fromkeys(assignment.chapter.may_change, True), **dict.fromkeys(assignment.chapter.fixed, False)}
    found = [each for each in places if f"{name}.".startswith(f"{each}.")]
    return bool(found) and places[max(found, key=len)]


def flat(value: Any, start: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted names."""
    if not isinstance(value, Mapping) or not value:
        return {start.removesuffix("."): value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        part = repr(str(key)) if "." in str(key) else key  # a key `data.validation` is not the other's `validation`
        found |= flat(item, f"{start}{part}.")
    return found


def ignored(folder: Path, made: Mapping[str, str]) -> list[str]:
    """What else lies in a submission: files that were changed, or that are none of the starter's."""
    found = []
    for here, folders, files in os.walk(folder):
        place = Path(here).relative_to(folder)
        links = [name for name in folders if Path(here, name).is_symlink()]
        folders[:] = [name for name in folders if (place / name).as_posix() not in LEFT and name != "__pycache__"]
        for file in sorted(Path(here, name) for name in (*files, *links)):
            name = file.relative_to(folder).as_posix()
            if file.is_symlink():
                found.append(f"{name} (a link, not followed)")
            elif name not in (*made, "dvc.lock"):
                found.append(f"{name} (not part of the assignment)")
            elif name in made and name not in starter.HANDED_IN and text_or_none(folder, name) != made[name]:
                found.append(f"{name} (changed)")
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return [f"not read, and not run: {', '.join(found[:SHOWN])}{more}"] if found else []


def text_or_none(folder: Path, name: str) -> str | None:
    try:
        return text(folder, name)
    except UserError:
        return None


def claimed(found: Submission, variant: str) -> dict[str, Any]:
    """What the submission's metrics say of a variant, where they can be read: test, train, gap and parameters."""
    try:
        metrics = json.loads(text(found.folder, f"metrics/{variant}.json"))
        test, train = (float(metrics[part]["accuracy"]) for part in ("test", "train"))
        return {"test": test, "train": train, "gap": train - test, "parameters": int(metrics["params_total"])}
    except (UserError, ArithmeticError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def recorded(found: Submission, variant: str) -> Iterator[str]:
    """What dvc.lock gives away: other settings than declared, or scores edited after the stage that wrote them."""
    try:
        stages = mapping(found.folder, "dvc.lock")["stages"]
        trained = dict(stages[f"train@{variant}"]["params"]["params.yaml"])
        outs = {out["path"]: out["md5"] for out in stages[f"evaluate@{variant}"]["outs"]}
    except (UserError, KeyError, TypeError, AttributeError, ValueError):
        return
    declared = flat(found.params)
    for key, value in trained.items():
        before = flat(value, f"{key}.")
        after = {name: item for name, item in declared.items() if f"{name}.".startswith(f"{key}.")}
        for name in {**before, **after}:
            if before.get(name, ...) != after.get(name, ...):
                was, now = (repr(side[name])[:40] if name in side else "nothing" for side in (before, after))
                yield f"dvc.lock: {variant} was trained with {name} at {was}; params.yaml declares {now}"
    name = f"metrics/{variant}.json"
    if (content := text_or_none(found.folder, name)) is None or name not in outs:
        return
    if outs[name] != hashlib.md5(content.encode(), usedforsecurity=False).hexdigest():
        yield f"{name}: not what its stage wrote: its MD5 is another than in dvc.lock"
