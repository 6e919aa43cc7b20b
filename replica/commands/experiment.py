"""An experiment of DVC's by the driver: what `dvc exp run -S` does, without reading dvc.lock some sixty times.

The overrides are written where they belong, the driver runs as ever, and of what then stands git makes the commit under
`refs/exps` that `dvc exp show`, `apply` and `branch` know. The workspace is never stashed, nor an older commit's files
put into it on the way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from replica.commands import restorable
from replica.commands.git import git
from replica.commands.repro import reproduce
from replica.commands.sweep import workspace
from replica.common.errors import UserError, nearest

WRITTEN = ("dvc.lock", "metrics", "plots", "report")  # what stages leave for git, new files among it


def run(overrides: list[str], targets: list[str], name: str | None, check: Callable[[], None], **options: Any) -> int:
    """Reproduce `targets` with overrides, and keep what comes out as an experiment of the last commit.

    Parameters
    ----------
    overrides
        As `dvc exp run -S` takes them, one value each: `[FILE:]KEY=VALUE`, `+KEY=VALUE` to add, `~KEY` to remove.
    targets
        As `dvc repro` takes them.
    name
        Of the experiment; one of DVC's making where it is None.
    check
        Called once the overrides are in their files.
    options
        As `reproduce` takes them.

    Returns
    -------
    int
        That of `reproduce`. Where it is not 0, or something is raised, the files of parameters are as they were.

    Raises
    ------
    UserError
        Where an override is not understood, or the name is none or taken; and what `check` and `reproduce` raise.
    """
    root = Path(git(Path(), "rev-parse", "--show-toplevel"))
    base = git(root, "rev-parse", "HEAD")
    name, ref = reference(base, name)
    with overridden(overrides) as files:
        os.environ |= {"DVC_EXP_BASELINE_REV": base, "DVC_EXP_NAME": name}
        restorable.forget(root)
        if status := reproduce(targets, check=check, **options):
            put_back(files)
            print(f"no experiment; {', '.join(map(str, files))}: as before")
            return status
    made = workspace.snapshot(root, WRITTEN)
    message = ("-m", f"replica repro: {name}")
    commit = git(root, *workspace.identity(root), "commit-tree", made.tree, "-p", base, *message)
    git(root, "update-ref", ref, commit, "")
    print(f"experiment {name}; `replica experiments` lists it, `replica compare HEAD` says what it changed")
    return 0


def reference(base: str, name: str | None) -> tuple[str, str]:
    """The experiment's name and reference.

    Raises
    ------
    UserError
        Where the name is none that git takes, or is taken.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.experiments.refs import ExpRefInfo
    from dvc.repo.experiments.utils import check_ref_format, get_random_exp_name

    with Repo() as repo:
        name = name or get_random_exp_name(repo.scm, base)
        info = ExpRefInfo(base, name)
        try:
            check_ref_format(repo.scm, info)
        except DvcException as error:
            raise UserError(f"--name: {error}") from None
        if repo.scm.get_ref(str(info)):
            raise UserError(f"--name: there is an experiment {name!r} already; take another name")
    return name, str(info)


@contextmanager
def overridden(overrides: list[str]) -> Iterator[dict[Path, bytes]]:
    """Write overrides to their files; gives these as they were, and puts them back where the block raises.

    Raises
    ------
    UserError
        Where an override is not understood, or names no file or no key that is there.
    """
    from dvc.utils.cli_parse import to_path_overrides

    before: dict[Path, bytes] = {}
    try:
        for path, settings in to_path_overrides(overrides).items():
            if not Path(path).is_file():
                raise UserError(f"-S: {path}: no such file")
            before[Path(path)] = Path(path).read_bytes()
            override(path, settings)
        yield before
    except BaseException:
        put_back(before)
        raise


def override(path: str, settings: list[str]) -> None:
    """Write overrides to one file, as DVC does."""
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides, to_hydra_overrides
    from hydra.errors import HydraException

    for setting in settings:
        try:
            parsed = to_hydra_overrides([setting])[0]
        except HydraException:
            raise UserError(
                f"-S {setting!r}: allowed: KEY=VALUE, +KEY=VALUE to add a key, ~KEY to remove one"
            ) from None
        if parsed.is_sweep_override():
            raise UserError(f"-S {setting!r}: several values are a sweep; see `replica sweep --help`")
    try:
        apply_overrides(path, settings)  # at once: each time, DVC reads and prints the whole file
    except InvalidArgumentError:
        for setting in settings:
            try:
                apply_overrides(path, [setting])
            except InvalidArgumentError as error:
                raise UserError(
                    f"-S {setting!r}: {reason(path, to_hydra_overrides([setting])[0].key_or_group)}"
                ) from error
        raise


def reason(path: str, key: str) -> str:
    """Why there is nothing to override at a key."""
    from replica.common import parameters

    inside: Any = parameters.read(path)
    place = path
    for part in key.split("."):
        if not isinstance(inside, dict):
            return f"{place}: has nothing below it"
        if part not in inside:
            return f"{place}: no {part!r}; {nearest(part, [str(each) for each in inside])}+KEY=VALUE adds one"
        inside, place = inside[part], part if place == path else f"{place}.{part}"
    return f"{place}: DVC refuses this value"


def put_back(files: dict[Path, bytes]) -> None:
    """Files as they were, written beside and renamed."""
    for file, content in files.items():
        part = file.with_name(f".{file.name}.part")
        part.write_bytes(content)
        part.replace(file)
