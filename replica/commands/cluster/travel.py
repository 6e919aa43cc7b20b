"""How a project's files reach another machine: a git pack of a commit, and one of what is changed upon it.

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


def pack(root: Path, commit: str, file: Path, without: str = "") -> None:
    """Write the pack of a commit, without its history and without what another commit has."""
    names = _objects(root, commit)
    if without:
        names -= _objects(root, without)
    with file.open("wb") as packed:
        done = subprocess.run(
            ["git", "-C", str(root), "-c", "pack.threads=1", "pack-objects", "--quiet", "--stdout"],
            input="".join(f"{name}\n" for name in sorted(names)).encode(),
            stdout=packed,
            stderr=subprocess.PIPE,
            check=False,
        )
    if done.returncode:
        raise UserError(f"git pack-objects: {' '.join(done.stderr.decode(errors='replace').split())}")


def _objects(root: Path, commit: str) -> set[str]:
    listed = git(root, "rev-list", "--objects", "--no-walk", commit)
    return {line.split(" ")[0] for line in listed.splitlines()}


def known(clone: Path, commit: str) -> bool:
    """Whether a clone has a commit already."""
    if not (clone / ".git").is_dir():
        return False
    try:
        git(clone, "cat-file", "-e", commit)
    except UserError:
        return False
    return True


def unpack(clone: Path, file: Path, base: str) -> None:
    """Take a pack into a clone, which is made where there is none; of `base` it will lack the history."""
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
    shallow.write_text("".join(f"{each}\n" for each in sorted(before | {base})))


def check_out(clone: Path, wanted: Commits) -> None:
    """Give a clone the commits' files; what git ignores (models, data) stays where it is."""
    git(clone, "checkout", "--quiet", "--force", "--detach", wanted.files)
    git(clone, "clean", "--quiet", "-d", "--force")
