"""An experiment put into the working folder: its files, and of its models those that DVC's cache holds.

`dvc exp apply` does so too, then fails for every model that was never trained in this clone, and moves what has not
been committed to a stash without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from replica.commands import restorable
from replica.commands.compare.revisions import opened
from replica.commands.git import git
from replica.commands.verify.record import Record
from replica.common.errors import UserError
from replica.schema import check

if TYPE_CHECKING:
    from dvc.repo import Repo

SHOWN = 3  # names in a line
LIVE = "live/"  # what the last training showed while it ran: nobody's work, though a sweep's trials hold theirs


def apply(name: str, base: str | None = None, held: Sequence[str] = ()) -> None:
    """Put an experiment, or with `HEAD` the last commit, into the working folder, and say what came of it.

    What the stages have written since is replaced where a commit or an experiment holds it; other files that the
    experiment did not change stay as they lie. A folder of data or models is replaced where DVC's cache holds what lies
    there and what comes.

    Parameters
    ----------
    name
        An experiment's, or its commit's hash.
    base
        The commit that it starts from, where several have one of that name.
    held
        Trees of files, such as those that it was started from: what lies as in one of them is no loss.

    Raises
    ------
    UserError
        Below the project's root, where there is no such experiment, HEAD has moved on in the same files, or something
        would be lost; then everything is as it was.
    """
    root = Path.cwd()
    with opened() as repo:
        top = Path(git(root, "rev-parse", "--show-toplevel"))
        if top.resolve() != root.resolve():
            raise UserError(f"replica apply: run it from the project's root, {top}")
        rev, base = found(repo, name, base)
        theirs = changed(root, base, rev)
        if moved := unlike(root, held, changed(root, base, "HEAD") & theirs):
            raise UserError(
                f"{name}: starts from commit {base[:7]}, and HEAD has another {few(moved)}; "
                f"`dvc exp branch {name} BRANCH && git switch BRANCH` shows it as it was"
            )
        since = uncommitted(repo, root, theirs, held)
    before = {file: file.read_bytes() if file.is_file() else None for file in map(Path, {*since, *theirs})}
    try:
        restore(root, "HEAD", since - theirs)
        restore(root, rev, theirs)
        put, absent = checkout()
    except BaseException:
        for file, content in before.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(content)
        raise
    finally:
        restorable.forget(root)
    print(f"{name}: {', '.join([f'{len(before)} files', *put])} now in the working folder")
    own = outputs(root, rev).items() - outputs(root, base).items()
    if missing := [path for path, _ in own if path in absent]:
        print(f"not in DVC's cache here: {few(missing)}; `replica repro` makes anew what is needed")
    elif absent:
        print(f"not in DVC's cache here, and left as they were: {few(absent)}")


def found(repo: Repo, name: str, base: str | None = None) -> tuple[str, str]:
    """The commits of an experiment, and of what it starts from; of two of one name, that of `base`, or else HEAD's."""
    from dvc.repo.experiments.utils import exp_refs

    head = repo.scm.get_rev()
    if name == "HEAD":
        return head, head
    known = [(ref.name, repo.scm.get_ref(str(ref)), ref.baseline_sha) for ref in exp_refs(repo.scm)]
    named = [each for each in known if name == each[0] or (len(name) >= 7 and each[1].startswith(name))]
    if not named:
        names = sorted({each[0] for each in known})
        hint = check.nearest(name, names) or ("" if names else "there are none yet; ")
        raise UserError(f"{name}: no experiment of that name; {hint}`replica experiments` lists them")
    mine = [each for each in named if each[2] == (base or head)] or named
    if len({each[1] for each in mine}) > 1:
        raise UserError(
            f"{name}: {len(mine)} experiments; allowed: one's hash, {', '.join(each[1][:9] for each in mine)}"
        )
    return mine[0][1:]


def changed(root: Path, before: str, after: str) -> set[str]:
    """The files that differ between two commits."""
    return set(filter(None, git(root, "diff", "--name-only", "--no-renames", "-z", before, after).split("\0")))


def unlike(root: Path, held: Sequence[str], paths: set[str]) -> set[str]:
    """The files that HEAD has otherwise than each of these trees."""
    if not paths:
        return paths
    head, others = blobs(root, "HEAD", paths), [blobs(root, tree, paths) for tree in held]
    return {path for path in paths if all(head.get(path) != other.get(path) for other in others)}


def blobs(root: Path, rev: str, paths: set[str]) -> dict[str, str]:
    """The files of a commit that are, or lie in, these paths, with git's hashes of their contents."""
    listed = git(root, "--literal-pathspecs", "ls-tree", "-r", "-z", rev, "--", *sorted(paths)).split("\0")
    return {path: head.split()[2] for head, _, path in (entry.partition("\t") for entry in listed if entry)}


def uncommitted(repo: Repo, root: Path, theirs: set[str], further: Sequence[str]) -> set[str]:
    """Which of the stages' files, and of `theirs`, are not as HEAD has them.

    Raises
    ------
    UserError
        Where neither an experiment nor one of the `further` trees holds all of them as they lie.
    """
    from dvc.repo.experiments.utils import exp_refs

    places = {*restorable.WRITTEN, *theirs}
    head = blobs(root, "HEAD", places)
    held = [blobs(root, rev, places) for rev in (*map(str, exp_refs(repo.scm)), *further)]
    paths = sorted(theirs.union(head, *held))
    there = [path for path in paths if (root / path).is_file()]
    hashes = git(root, "hash-object", "--", *there).split() if there else []
    lying = dict(zip(there, hashes, strict=True))
    mine = {path for path in paths if lying.get(path) != head.get(path)}
    own = {path for path in mine if not path.startswith(LIVE)}
    others = ({path for path in own if lying.get(path) != each.get(path)} for each in held)
    if alone := min(others, key=len, default=own):
        raise UserError(
            f"{few(alone)}: changed, and in no commit and no experiment; commit or `git stash` first, or"
            f" `git restore` to drop it"
        )
    return mine


def restore(root: Path, rev: str, files: set[str]) -> None:
    """Write files as a commit has them, and remove those that it lacks; git's index is left alone."""
    there = blobs(root, rev, files) if files else {}
    if there:
        git(root, "--literal-pathspecs", "restore", f"--source={rev}", "--worktree", "--", *sorted(there))
    for file in files - there.keys():
        (root / file).unlink(missing_ok=True)


def checkout() -> tuple[list[str], list[str]]:
    """Put what dvc.lock records into place: what was, and what the cache does not hold, and so is left as it lies.

    Raises
    ------
    UserError
        Where a folder holds what the cache does not.
    """
    from dvc.exceptions import DvcException

    there: list[str] = []
    absent: list[str] = []
    with opened() as repo:
        try:
            for out in repo.index.outs:
                if out.use_cache and out.hash_info and out.workspace_status():
                    (absent if out.changed_cache() else there).append(str(out))
        except DvcException as error:  # dvc.yaml, say, that DVC cannot read
            raise UserError(" ".join(str(error).split())) from error
        put(repo, there)
    return there, absent


def put(repo: Repo, paths: list[str]) -> None:
    """Let DVC put outputs into place that its cache holds.

    Raises
    ------
    UserError
        Where a folder there holds what the cache does not; it is left as it is.
    """
    from dvc.exceptions import DvcException

    try:
        if paths:
            repo.checkout(targets=paths)
    except DvcException as error:
        words = str(error).splitlines()
        lost = [path for path in paths if any(line.startswith(str(Path(repo.root_dir, path))) for line in words)]
        if not lost:
            raise UserError(" ".join(" ".join(words).split())) from None
        raise UserError(f"{lost[0]}: holds files that DVC's cache does not; move it away first") from None


def outputs(root: Path, rev: str) -> dict[str, str]:
    """Every output that a commit's dvc.lock records, with its hash; none where it has no dvc.lock."""
    there = git(root, "ls-tree", "--name-only", rev, "--", "dvc.lock")
    record = Record(git(root, "show", f"{rev}:dvc.lock") if there else "")
    return {path: md5 for name in record.stages for path, md5 in record.outs(name).items()}


def few(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} others" if len(names) > SHOWN else "")
