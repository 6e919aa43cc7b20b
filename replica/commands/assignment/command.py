"""What the four commands of `replica assignment` do."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import yaml
from rich.text import Text

from replica.commands import overview
from replica.commands.assignment import declaration, starter
from replica.commands.assignment.submission import STUDENT, mapping, student_of
from replica.common import parameters
from replica.common.errors import UserError, plain
from replica.schema import check

HIDDEN_SEEDS = 5
DRAWN = ("split_seed", "seed")  # of a dataset: which images it has, and which of them train


def listed() -> None:
    """Print the assignments that come with the project."""
    table = overview.grid("assignment", ">points", "title", "from")
    table.columns[-1].no_wrap = False  # the only one that gives way
    for name in declaration.names():
        _, chapter = declaration.chapter(name)
        points = sum(each.points + (each.reach.hidden if each.reach else 0) for each in chapter.questions)
        table.add_row(name, f"{points:g}", chapter.title, chapter.source)
    overview.console().print(table, width=min(overview.console().width, overview.WIDTH))


def new(name: str, folder: Path, student: str) -> None:
    """Write a starter.

    Raises
    ------
    UserError
        Where there is no such assignment, it is wrong, the name is none, or the folder's place is taken.
    """
    assignment = declaration.deal(*declaration.chapter(name), named(student))
    declaration.verify(assignment)
    made = starter.write(assignment, folder)
    dealt = ", ".join(f"{key}: {value}" for key, value in assignment.dealt.items())
    print(f"{folder}: {len(made)} files, committed" + (f"; dealt {dealt}" if dealt else ""))


def named(student: str) -> str:
    """A student's name as files and answers.yaml can hold it; raises UserError for another."""
    if student and not STUDENT.fullmatch(student):
        raise UserError(f"--student: got {student[:80]!r}; allowed: up to 80 letters, digits and . _ @ + -")
    return student


def hide(name: str, file: Path) -> None:
    """Draw what the teacher keeps, and write it to a new file that only its owner can read.

    Raises
    ------
    UserError
        Where the assignment is wrong, the file is there already, or its folder is not.
    """
    stem, chapter = declaration.chapter(name)
    assignment = declaration.deal(stem, chapter, "")
    declaration.verify(assignment)
    facts = check.datasets({**parameters.declared(), "variants": {}, "searches": {}})
    drawn: dict[str, dict[str, int]] = {}
    for dataset in dict.fromkeys(entry["data"]["dataset"] for entry in assignment.params["variants"].values()):
        keys = [key for key in DRAWN if hasattr(facts[dataset], key)]
        drawn |= {dataset: {keys[0]: secrets.randbelow(2**31)}} if keys else {}
    seeds = sorted(10_000 + secrets.randbelow(2**31) for _ in range(HIDDEN_SEEDS))
    content = {"assignment": stem, "seeds": seeds, "data": drawn, "questions": []}
    text = "# What the grader tries and students do not know. Keep it out of every repository of theirs.\n"
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{file}: stands there already; students were graded by it, so keep it or move it") from None
    except FileNotFoundError:
        raise UserError(f"{file}: no folder {file.parent}; make it first") from None
    with os.fdopen(handle, "w") as out:
        out.write(text + yaml.safe_dump(content, sort_keys=False))
    print(f"{file}: {len(seeds)} seeds, and other images of {', '.join(drawn) or 'no dataset'}; keep it to yourself")


def grade(name: str, folders: list[Path], student: str, hidden: Path | None, form: str) -> None:
    """Grade submissions and print each grade in its form; several of them as text alone, with a table at the end.

    Raises
    ------
    UserError
        For a mistake that is the teacher's; students' mistakes stand in their grades.
    """
    from replica.commands.assignment import forms, grade  # SciPy

    check.require("--format", form, forms.FORMS, "format")
    if len(folders) > 1 and (student or form != "text"):
        raise UserError("--student and --format are of one submission: grade them one after the other, or as text")
    stem, chapter = declaration.chapter(name)
    kept = declaration.hidden(hidden, stem) if hidden else None
    declaration.verify(declaration.deal(stem, chapter, ""), kept.questions if kept else ())
    grades = []
    for folder in folders:
        assignment = declaration.deal(stem, chapter, named(student) or student_of(folder))
        grades.append(grade.grade(assignment, folder, kept))
        print(getattr(forms, form)(grades[-1]), end="\n\n" if len(folders) > 1 else "\n", flush=True)
    if len(folders) > 1:
        table = overview.grid("submission", "student", ">points", ">of", "status")
        for folder, each in zip(folders, grades, strict=True):
            table.add_row(
                Text(plain(str(folder))), each.student or "–", f"{each.points:g}", f"{each.most:g}", each.status
            )
        overview.console().print(table)
        for line in alike(chapter, folders, [each.student for each in grades]):
            print(f"look closer: {plain(line)}")


def alike(chapter: declaration.Chapter, folders: list[Path], students: list[str]) -> Iterator[str]:
    """Submissions that are of one name, or answer a question in the same words."""
    seen: dict[tuple[str, str], Path] = {}
    for folder, student in zip(folders, students, strict=True):
        try:
            answers = mapping(folder, "answers.yaml")
        except UserError:
            answers = {}
        written = {each.id: answers.get(each.id) for each in chapter.questions if each.words}
        said = {key: " ".join(text.lower().split()) for key, text in written.items() if isinstance(text, str)}
        for key in {"student": student, **said}.items():
            if key[1] and (other := seen.setdefault(key, folder)) != folder:
                yield f"{other} and {folder}: " + (
                    f"both of {student}" if key[0] == "student" else f"{key[0]} word for word"
                )
