"""Where bytes differ from the record's: stages, files, the first epoch of a history, the first tensor of a model."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replica.commands.git import git
from replica.commands.verify.record import Record
from replica.common import files


@dataclass(frozen=True)
class Side:
    """One side of the comparison: a dvc.lock, and the folder with its cache; `listings` are of folders not in it."""

    record: Record
    root: Path
    listings: dict[str, dict[str, str]] = field(default_factory=dict)

    def cached(self, md5: str) -> Path:
        from dvc.config import Config

        chosen = Config(str(self.root / ".dvc"))["cache"].get("dir") or self.root / ".dvc/cache"
        return Path(chosen, "files/md5", md5[:2], md5[2:])

    def listing(self, path: str, md5: str) -> dict[str, str]:
        """A folder's files and their MD5, from the cache or a witness; none where neither knows."""
        try:
            entries = json.loads(self.cached(md5).read_text())
        except (OSError, ValueError):
            return {f"{path}/{name}": value for name, value in self.listings.get(md5, {}).items()}
        return {f"{path}/{entry['relpath']}": entry["md5"] for entry in entries}


@dataclass(frozen=True)
class Difference:
    """A stage whose outputs have other bytes.

    `files` are in the order of the outputs, and of names within a folder; a folder alone where the record's files are
    known nowhere here. `epoch` is the first that differs in history.csv, where any does; `tensor` the first of
    `weights` that does.
    """

    stage: str
    files: list[str]
    epoch: int | None = None
    weights: str | None = None
    tensor: str | None = None


def find(recorded: Side, ours: Side, names: list[str]) -> list[Difference]:
    """The differing stages among these, in their order; a stage that was not recorded is none."""
    found = []
    for name in names:
        before, after = recorded.record.outs(name), ours.record.outs(name)
        paths = [path for path in before if before[path] != after.get(path)]
        if paths:
            others = [
                file for path in paths for file in inside(path, before[path], after.get(path, ""), recorded, ours)
            ]
            found.append(described(name, others, recorded, ours))
    return found


def inside(path: str, before: str, after: str, recorded: Side, ours: Side) -> list[str]:
    """The files that differ in an output, or itself."""
    if not before.endswith(".dir"):
        return [path]
    theirs = recorded.listing(path, before)
    mine = ours.listing(path, after)
    if theirs and mine:
        return sorted(file for file in {**theirs, **mine} if theirs.get(file) != mine.get(file)) or [path]
    tracked = git(ours.root, "diff", "--name-only", "HEAD", "--", path).splitlines()
    return sorted(
        [*tracked, *git(ours.root, "ls-files", "--others", "--exclude-standard", "--", path).splitlines()]
    ) or [path]


def described(name: str, others: list[str], recorded: Side, ours: Side) -> Difference:
    """The epoch and the tensor of what a stage has trained or scored."""
    stage, _, variant = name.partition("@")
    epoch = first_epoch(recorded.root, ours.root, variant) if stage in ("train", "evaluate") else None
    for weights in (file for file in others if file.endswith(".weights.h5")):
        if tensor := first_tensor(weights, name, recorded, ours):
            return Difference(name, others, epoch, weights, tensor)
    return Difference(name, others, epoch)


def first_epoch(root: Path, folder: Path, variant: str) -> int | None:
    """The first epoch whose training or validation figures differ, in six digits, from the committed history.csv's."""
    file = f"plots/variants/{variant}/history.csv"
    committed = committed_text(root, file)
    runs = sorted(folder.glob(f"models/{variant}/seed-*"))
    if not committed or not runs:
        return None
    before = {tuple(row[key] for key in files.HISTORY) for row in csv.DictReader(committed.splitlines())}
    after = {
        tuple(str(files.cell(item)) for item in row)
        for run in runs
        if (run / "history.csv").exists()
        for row in files.history(run, int(run.name.removeprefix("seed-")))
    }
    return min((int(row[0]) for row in before ^ after), default=None)


def first_tensor(weights: str, stage: str, recorded: Side, ours: Side) -> str | None:
    """The first array in a file of weights that differs, and by how much; None where the record's is not at hand."""
    import h5py
    import numpy as np

    folder = next(path for path in recorded.record.outs(stage) if weights.startswith(f"{path}/"))
    md5 = recorded.listing(folder, recorded.record.outs(stage)[folder]).get(weights, "")
    if not md5 or not recorded.cached(md5).is_file() or not (ours.root / weights).is_file():
        return None
    with h5py.File(recorded.cached(md5)) as theirs, h5py.File(ours.root / weights) as mine:
        names: list[str] = []
        theirs.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in names:
            if name not in mine:
                return f"{name}: not there"
            a, b = np.asarray(theirs[name]), np.asarray(mine[name])
            if a.shape != b.shape:
                return f"{name}: shape {list(b.shape)}, where {list(a.shape)} is recorded"
            if a.tobytes() != b.tobytes():
                count = int((a != b).sum())
                return f"{name}: {count} of {a.size} values, by {np.abs(a - b).max():.3g} at most"
    return None


def digests(side: Side, names: list[str]) -> dict[str, dict[str, Any]]:
    """Each stage's outputs and their MD5, and the files of its models."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        found[name] = dict(side.record.outs(name))
        for path, md5 in side.record.outs(name).items():
            if path.startswith("models/"):
                found[name] |= side.listing(path, md5)
    return found


def committed_text(root: Path, file: str) -> str:
    """A file as HEAD has it; nothing where it has none."""
    return git(root, "show", f"HEAD:{file}") if git(root, "ls-tree", "HEAD", "--", file) else ""
