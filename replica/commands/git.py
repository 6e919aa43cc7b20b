"""Git, as its own commands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from replica.common.errors import UserError


def git(folder: Path, *words: str, **environment: str) -> str:
    """Run git in a folder; return what it says.

    Raises
    ------
    UserError
        Where git refuses.
    """
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"git {' '.join(words)}: {' '.join(done.stderr.split()) or done.returncode}")
    return done.stdout.strip()
