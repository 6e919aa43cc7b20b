"""What commands have left that git does not hold and that can go: listed with sizes and reasons, removed when told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from replica.commands import overview
from replica.commands.git import git
from replica.common import processes
from replica.common.errors import UserError
from replica.schema import check

# By whose name it is called, and where it lies: `{}` is the name.
PLACES = {
    "variant": (
        "models/{}",
        "live/{}",
        "timings/{}.json",
        "metrics/{}.json",
        "metrics/details/{}.json",
        "metrics/test/{}.json",
        "metrics/cards/{}.md",
        "plots/variants/{}",
        "plots/searches/{}",
    ),
    "dataset": ("data/raw/{}", "data/processed/{}", "plots/datasets/{}.png"),
}
DRAWN = {  # what a command makes anew whenever it is asked
    "curves": "figures of `replica plots --output curves`",
    "plots/rendered": "figures of `replica plots`",
    "dvc_plots": "the page of `dvc plots`",
    "build": "the container's or the wheel's parts",
    ".dvc/tmp/assignment": "trainings of `replica assignment grade`",
}


@dataclass(frozen=True)
class Leaving:
    """A place that can go: the files in it that git does not hold, their bytes, those that git holds, and why.

    `writer` is the folder of models/ that a training which writes it has locked.
    """

    place: Path
    files: list[Path]
    size: int
    kept: list[Path]
    why: str
    writer: Path | None = None


def find(declared: dict[str, Any], names: list[str]) -> list[Leaving]:
    """What can go of the working folder, largest first.

    Parameters
    ----------
    names
        Variants or searches whose own leavings can go though they are declared; those of what is no longer declared
        can always.

    Raises
    ------
    UserError
        Outside a git repository, and for a name that is neither declared nor has left anything.
    """
    root = Path(git(Path(), "rev-parse", "--show-toplevel"))
    if root.resolve() != Path.cwd().resolve():
        raise UserError(f"replica clean: run it from the project's root, {root}")
    held = {Path(name) for name in git(Path(), "ls-files", "-z").split("\0") if name}
    pipeline = Path("dvc.yaml").read_text() if Path("dvc.yaml").exists() else ""
    variants = {**declared["variants"], **(declared.get("searches") or {})}
    found = []
    for kind, entries in (("variant", variants), ("dataset", declared["datasets"])):
        for name, place in (each for pattern in PLACES[kind] for each in lying(pattern)):
            known = name in entries or name.lstrip(".").removesuffix(".old") in entries or name in names
            if not known and str(place) not in pipeline:  # an output that the pipeline names is no variant's
                found.append(leaving(place, held, f"no {kind} {name} is declared", writer(kind, name)))
    left = {name for pattern in PLACES["variant"] for name, _ in lying(pattern)}
    for name in names:
        if name not in left:
            check.require("replica clean", name, variants, "variant or search")
        why = "`replica repro` makes it anew" if name in variants else "no longer declared"
        places = [Path(pattern.format(name)) for pattern in PLACES["variant"]]
        found += [leaving(place, held, f"asked for; {why}", writer("variant", name)) for place in places]
    found += [leaving(Path(place), held, why) for place, why in DRAWN.items()]
    return sorted((each for each in found if each.files), key=lambda each: (-each.size, each.place))


def lying(pattern: str) -> Iterator[tuple[str, Path]]:
    """The names for which something lies at a pattern's place."""
    folder, _, last = pattern.rpartition("/")
    for place in Path(folder).glob(last.format("*")):
        suffix = last.format("")
        if suffix or place.is_dir():
            yield place.name.removesuffix(suffix), place


def writer(kind: str, name: str) -> Path | None:
    return Path("models", name) if kind == "variant" else None


def leaving(place: Path, held: set[Path], why: str, writer: Path | None = None) -> Leaving:
    """What lies at a place; links are not followed."""
    files = [place] if place.is_symlink() or place.is_file() else list(walk(place))
    own = [file for file in files if file not in held]
    kept = [file for file in files if file in held]
    return Leaving(place, own, sum(file.lstat().st_size for file in own), kept, why, writer)


def walk(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        yield from (Path(here, name) for name in [*files, *(each for each in folders if Path(here, each).is_symlink())])


def locked(folder: Path | None) -> list[Path]:
    """The folders that trainings lock: a variant's own, and those of a search's trials."""
    if folder is None or not folder.is_dir() or folder.is_symlink():
        return []
    return [folder, *(each for each in folder.glob("trial-*/") if not each.is_symlink())]


def remove(found: list[Leaving]) -> None:
    """Remove the files that were found, and the folders that this leaves empty; none that came since.

    Raises
    ------
    UserError
        Where a training is writing one of the places; what was listed before it is removed.
    """
    for each in found:
        with ExitStack() as locks:
            for folder in locked(each.writer):
                locks.enter_context(processes.sole(folder))
            for file in each.files:
                file.unlink(missing_ok=True)
            for here, _, _ in os.walk(each.place, topdown=False):
                with suppress(OSError):  # not empty
                    Path(here).rmdir()


def clean(declared: dict[str, Any], names: list[str], yes: bool) -> None:
    """Print what can go, and remove it only where `yes`; raises what `find` and `remove` do."""
    found = find(declared, names)
    if not found:
        print("Nothing to remove: all that lies here is declared, or in git.")
        return
    table = overview.grid("place", ">size", "why it can go")
    for each in found:
        kept = f"; {len(each.kept)} files in git stay" if each.kept else ""
        table.add_row(str(each.place), size(each.size), Text(each.why + kept))
    overview.console().print(table, soft_wrap=True)
    total = f"{sum(len(each.files) for each in found):,} files, {size(sum(each.size for each in found))}"
    if yes:
        remove(found)
        print(f"Removed: {total}. Nothing of git's was touched.")
    else:
        print(f"Nothing was removed. `{' '.join(['replica clean', *names, '--yes'])}` removes these: {total}.")


def size(count: int) -> str:
    """Bytes in the largest unit of which there is one."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
