"""The starter: a small git and DVC repository of one chapter, made from the project's own files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from replica.commands.assignment.declaration import Assignment, Question
from replica.commands.git import git
from replica.common import parameters
from replica.common.errors import UserError
from replica.report.environment import environment

STAGES = ("download", "preprocess", "train", "evaluate")
COPIED = (
    ".gitattributes",
    ".gitignore",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvc/plots/counts.json",
    ".dvc/plots/history.json",
    "stages/__init__.py",
    *(f"stages/{name}.py" for name in STAGES),
)
HANDED_IN = ("answers.yaml", "params.yaml")
HINTS = {
    "count": "a whole number",
    "score": "a share of the images with four decimals, such as 0.9137",
}


def files(assignment: Assignment, root: Path = Path()) -> dict[str, str]:
    """The starter's files by their paths, from the project, or a starter, at `root`.

    Raises
    ------
    UserError
        Where `root` is none, or has no such dataset.
    """
    try:
        found = {name: (root / name).read_text() for name in COPIED}
        pipeline = parameters.read(root / "dvc.yaml")
        stages = {name: pipeline["stages"][name] for name in STAGES}
        for stage in stages.values():  # the library is installed, not part of the starter
            stage["do"]["deps"] = [name for name in stage["do"]["deps"] if not name.startswith("replica/")]
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; run from the project's root") from None
    except (KeyError, TypeError):
        raise UserError(f"{root / 'dvc.yaml'}: not the project's; `git restore dvc.yaml` brings it back") from None
    facts = parameters.read(root / "datasets.yaml")
    used = dict.fromkeys(entry["data"]["dataset"] for entry in assignment.params["variants"].values())
    datasets = {name: parameters.entry_of(facts, "datasets", name) for name in used}
    templates = environment(Path(__file__).parent)
    templates.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # YAML joins no two halves of a character
    said: dict[str, Any] = {
        "assignment": assignment,
        "questions": [(each, assignment.asked(each), hint(each)) for each in assignment.chapter.questions],
        "images": {name: facts["datasets"][name]["test_examples"] for name in datasets},
    }
    found["README.md"] = templates.get_template("starter.md").render(said) + "\n"
    found["answers.yaml"] = templates.get_template("answers.yaml").render(said) + "\n"
    found["params.yaml"] = assignment.text.rstrip() + "\n"
    found["datasets.yaml"] = dumped({"datasets": datasets})
    found["dvc.yaml"] = dumped({"vars": pipeline["vars"], "stages": stages})
    return found


def hint(question: Question) -> str:
    """How its answer is to look."""
    if question.better:
        return f"{question.better.a}, {question.better.b} or neither"
    if question.words:
        return f"in words of your own, at least {question.words.at_least} of them"
    return HINTS.get(question.kind, "none")


def dumped(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None, width=200)


def write(assignment: Assignment, folder: Path) -> list[str]:
    """Write the starter into a new folder, committed, and return its files.

    Raises
    ------
    UserError
        Where something stands at the folder's place already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: stands there already; name a new folder")
    made = files(assignment)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for name, text in made.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_text(text)
        git(part, "init", "--quiet", "--initial-branch", "main")
        git(part, "add", "--all")
        git(part, *identity(part), "commit", "--quiet", "--no-verify", "--no-gpg-sign", "-m", assignment.chapter.title)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return sorted(made)


def identity(folder: Path) -> list[str]:
    """Who commits: as git is configured, or the project's name where it is not."""
    found = []
    for key, other in (("user.name", "replica"), ("user.email", "replica@localhost")):
        found += ["-c", f"{key}={git(folder, 'config', '--default', other, '--get', key)}"]
    return found
