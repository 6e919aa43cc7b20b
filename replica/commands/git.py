"""Git, as its own commands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from replica.common.errors import UserError

# What a hook or `git rebase --exec` hands down: another command's repository and index, in place of the folder's own.
HANDED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")


def git(folder: Path, *words: str, **environment: str) -> str:
    """Run git in a folder, without the user's hooks; return what it says.

    Raises
    ------
    UserError
        Where git refuses.
    """
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", f"core.hooksPath={os.devnull}", *words],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",  # what is no text is refused by who reads it
        check=False,
    )
    if done.returncode:
        raise UserError(f"git {' '.join(words)}: {' '.join(done.stderr.split()) or done.returncode}")
    return done.stdout.strip()
