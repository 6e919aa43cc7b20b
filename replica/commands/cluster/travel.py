"""How a project's files reach another machine: one git pack of a commit, and of what is changed upon it.

The commit keeps its number, its history stays at home (the clone is a shallow one). Changes that are not committed are
an experiment's commit upon it, as `dvc exp run` makes one, under no reference.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from replica.commands.git import git
from replica.commands.sweep import workspace
from replica.common.errors import UserError


class Commits(NamedTuple):
    """The commit that the project stands at, and the one with its files as they are; the same if none is changed."""

    base: str
    files: str


def commits(root: Path) -> Commits:
    """Note the files that git tracks, as they are; git's index and references are left alone."""
    state = workspace.snapshot(root)
    if state.tree == git(root, "rev-parse", f"{state.base}^{{tree}}"):
        return Commits(state.base, state.base)
    words = ("commit-tree", state.tree, "-p", state.base, "-m", "replica repro: changes that are not committed")
    return Commits(state.base, git(root, *workspace.identity(root), *words))


def pack(root: Path, wanted: Commits, file: Path) -> None:
    """Write the pack of commits."""
    names = git(root, "rev-list", "--objects", "--no-walk", *dict.fromkeys(wanted))
    objects = "".join(line.split(" ")[0] + "\n" for line in names.splitlines())
    with file.open("wb") as packed:
        done = subprocess.run(
            ["git", "-C", str(root), "pack-objects", "--quiet", "--stdout"],
            input=objects.encode(),
            stdout=packed,
            stderr=subprocess.PIPE,
            check=False,
        )
    if done.returncode:
        raise UserError(f"git pack-objects: {' '.join(done.stderr.decode(errors='replace').split())}")


def known(clone: Path, wanted: Commits) -> bool:
    """Whether a clone has commits already."""
    if not (clone / ".git").is_dir():
        return False
    try:
        git(clone, "cat-file", "-e", wanted.files)
    except UserError:
        return False
    return True


def unpack(clone: Path, wanted: Commits, file: Path) -> None:
    """Take commits into a clone, which is made where there is none."""
    if not (clone / ".git").is_dir():
        clone.mkdir(parents=True, exist_ok=True)
        git(clone, "init", "--quiet")
    with file.open("rb") as packed:
        done = subprocess.run(
            ["git", "-C", str(clone), "index-pack", "--stdin"], stdin=packed, capture_output=True, check=False
        )
    if done.returncode:
        raise UserError(f"git index-pack: {' '.join(done.stderr.decode(errors='replace').split())}")
    shallow = clone / ".git/shallow"
    before = set(shallow.read_text().split()) if shallow.exists() else set()
    shallow.write_text("".join(f"{each}\n" for each in sorted(before | {wanted.base})))


def check_out(clone: Path, wanted: Commits) -> None:
    """Give a clone the commits' files; what git ignores (models, data) stays where it is."""
    git(clone, "checkout", "--quiet", "--force", "--detach", wanted.files)
    git(clone, "clean", "--quiet", "-d", "--force")
