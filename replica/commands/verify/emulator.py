"""This command on a CPU that QEMU emulates: by an environment whose `python`, whoever starts it, is emulated."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from replica.common.errors import UserError

QEMU = "qemu-x86_64"


def environment(cpu: str, folder: Path) -> Path:
    """Make an environment like this process's, on an emulated CPU.

    Parameters
    ----------
    cpu
        As `qemu-x86_64 -cpu help` lists them, with features if need be: `Haswell`, `Skylake-Client,l3-cache=off`.
    folder
        Where; what is there of an earlier time is replaced.

    Returns
    -------
    Path
        Its `python`. Processes that it starts by `sys.executable` are emulated, too.

    Raises
    ------
    UserError
        Where there is no QEMU, or it can't: one line of its own.
    """
    if not (qemu := shutil.which(QEMU)):
        raise UserError(f"--emulate: {QEMU} is not installed (Debian and Ubuntu: qemu-user)")
    quiet = f"{cpu},check=off"  # not a line on stderr for each feature that it leaves out, at each start
    tried = subprocess.run([qemu, "-cpu", quiet, sys.executable, "-c", ""], capture_output=True, text=True, check=False)
    if tried.returncode:
        said = tried.stderr.strip().splitlines() or [f"exit status {tried.returncode}"]
        raise UserError(f"--emulate {cpu}: {said[0]}; `{QEMU} -cpu help` lists CPUs")
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    for name in ("lib", "lib64", "pyvenv.cfg"):
        if (real := Path(sys.prefix, name)).exists():
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(real)
    python = folder / "bin/python"
    words = [qemu, "-0", str(python), "-cpu", quiet, sys.executable]
    python.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    python.chmod(0o755)
    return python


def run(cpu: str, root: Path) -> NoReturn:
    """Become this very command on an emulated CPU, by an environment in the project's `.dvc/tmp`; as `environment`."""
    python = environment(cpu, root.resolve() / ".dvc/tmp/emulated" / re.sub(r"[^\w-]+", "-", cpu))
    path = os.pathsep.join((str(python.parent), os.environ["PATH"]))
    os.execve(python, [str(python), "-m", "replica", *sys.argv[1:]], {**os.environ, "PATH": path})
