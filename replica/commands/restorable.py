"""What keeps `git restore` honest after an experiment: git forgets what it believes of the files that stages write."""

from __future__ import annotations

import subprocess
from pathlib import Path

WRITTEN = ("dvc.lock", "live", "metrics", "params.yaml", "plots", "report")
EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # also what `git add --intent-to-add` records


def forget(root: Path) -> None:
    """Take size, time and inode of the stages' files out of git's index, so that git compares their contents.

    `dvc exp run` puts the last commit's files and then the previous experiment's into the same places within a second.
    Where both are as long, as scores are, and the file system gives the same inode again, git's record of the one
    fits the other: `git status` is clean, and `git restore .` leaves the experiment's score. Nothing staged is lost.
    Where there is no git, or its index is being written, nothing is done.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--full-name", "--stage", "-z", "--", *WRITTEN], cwd=root, capture_output=True, check=False
    )
    entries = [entry for entry in listed.stdout.split(b"\0") if entry and EMPTY.encode() not in entry]
    if entries:
        subprocess.run(
            ["git", "update-index", "-z", "--index-info"],
            cwd=root,
            input=b"".join(entry + b"\0" for entry in entries),
            capture_output=True,
            check=False,
        )
