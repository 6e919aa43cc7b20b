"""Where a trial runs: a clone of the repository as it was when the sweep began, thrown away afterwards.

`dvc exp run --temp` would stash and restore the user's own files for every trial; here git makes a copy beside them, in
a fifth of a second, and nothing in the user's folder is touched.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from replica.commands.git import git
from replica.common.errors import UserError

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo


class Snapshot(NamedTuple):
    """The commit that the experiments belong to, and the tree of files that they start from, changes among them."""

    base: str
    tree: str


def snapshot(root: Path, added: Sequence[str] = ("dvc.lock",)) -> Snapshot:
    """Note the state of the tracked files, and of what is `added` where it is there; git's own index is left alone."""
    index = Path(root, git(root, "rev-parse", "--git-path", "index"))
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder, "index")
        shutil.copyfile(index, copied)
        git(root, "add", "--update", GIT_INDEX_FILE=str(copied))
        for name in added:
            if Path(root, name).exists():  # whatever the user ignores in all repositories, such as *.lock or *.png
                git(root, "-c", f"core.excludesFile={os.devnull}", "add", name, GIT_INDEX_FILE=str(copied))
        return Snapshot(git(root, "rev-parse", "HEAD"), git(root, "write-tree", GIT_INDEX_FILE=str(copied)))


def untracked(root: Path) -> list[str]:
    """Files that git neither tracks nor ignores: they stay behind, as in `dvc exp run --temp`."""
    names = git(root, "ls-files", "--others", "--exclude-standard").splitlines()
    return [name for name in names if name != "dvc.lock"]


def clone(root: Path, folder: Path, state: Snapshot) -> None:
    """Fill an empty folder with the files of a snapshot, in a repository that borrows `root`'s objects."""
    git(root, "clone", "--quiet", "--shared", "--no-checkout", ".", str(folder))
    objects = Path(root, git(root, "rev-parse", "--git-path", "objects")).resolve()
    (folder / ".git/objects/info/alternates").write_text(f"{objects}\n")  # git shares none of a shallow clone's
    git(folder, "checkout", "--quiet", "--detach", state.base)
    git(folder, "read-tree", "-m", "-u", state.base, state.tree)


def publish(root: Path, folder: Path, ref: str, message: str, added: list[str]) -> None:
    """Commit the clone's tracked files, and `added` ones, and bring the commit to `root` under a reference."""
    git(folder, "add", "--update")
    if added:
        git(folder, "add", "--force", *added)
    quietly = ("--quiet", "--no-verify", "--no-gpg-sign", "--allow-empty")
    # the clone lacks what the user may have set for this repository alone
    git(folder, *identity(root), "commit", *quietly, "--message", message)
    options = ("--quiet", "--no-write-fetch-head", "--no-auto-gc", "--no-tags")
    git(root, "fetch", *options, str(folder), f"+HEAD:{ref}")


def identity(root: Path) -> list[str]:
    """Whose commit it is, as options of git: the user's, or ours where git knows none."""
    options = []
    for key, other in (("user.name", "replica"), ("user.email", "replica@localhost")):
        options += ["-c", f"{key}={git(root, 'config', '--default', other, '--get', key) or other}"]
    return options


def arrays(repo: Repo, dataset: str) -> list[Output]:
    """What `preprocess@DATASET` has left in DVC's cache, as dvc.lock records it.

    Raises
    ------
    UserError
        Where it is not there.
    """
    name = f"preprocess@{dataset}"
    outs = [out for out in repo.stage.load_one(name=name).outs if out.use_cache]
    for out in outs:
        if not out.hash_info or out.changed_cache():
            raise UserError(f"{out}: not in DVC's cache; make it first: dvc repro {name}")
    return outs


def experiments(root: Path, base: str, name: str) -> list[str]:
    """The names of a commit's experiments that are `name` and a trial's number."""
    refs = git(root, "for-each-ref", "--format=%(refname)", f"refs/exps/{base[:2]}/{base[2:]}").splitlines()
    return [found[1] for ref in refs if (found := re.search(rf"/({re.escape(name)}-\d{{3,}})$", ref))]
