"""A clone of HEAD where stages run anew, with a cache of its own: nothing comes from what has run before but data."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configobj import ConfigObj

from replica.commands.git import git
from replica.commands.sweep import workspace
from replica.commands.verify.record import FETCHED, Record
from replica.common.errors import UserError

PASSED = (signal.SIGTERM, signal.SIGHUP)
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def _end_with_parent() -> None:
    """Have Linux send this process SIGTERM when its parent ends, be it killed."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def clone(root: Path) -> Iterator[Path]:
    """Within the block, HEAD's files in a repository below .dvc/tmp, whose DVC cache is `.dvc/cache` there.

    What a killed process of this machine has left there goes.
    """
    place = root / ".dvc/tmp"
    place.mkdir(parents=True, exist_ok=True)
    ours = f"verify-{socket.gethostname()}-"  # a home may be several machines'
    for left in place.glob("verify-*/"):
        made_by = re.fullmatch(r"(\d+)-\w+", left.name.removeprefix(ours))
        if not made_by:
            continue
        try:
            os.kill(int(made_by[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:  # somebody else's
            continue
    prefix = f"{ours}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as folder:
        made = Path(folder, "clone")
        head = git(root, "rev-parse", "HEAD")
        workspace.clone(root, made, workspace.Snapshot(head, f"{head}^{{tree}}"))
        # The project's own remotes and settings stay; its cache, and what a user's configuration says of it, do not.
        settings = ConfigObj({"core": {"autostage": "true", "analytics": "false"}})
        settings["cache"] = {"dir": f"{made.resolve()}/.dvc/cache"}
        settings.filename = str(made / ".dvc/config.local")  # quoted: a path may hold a # or a comma
        settings.write()
        yield made


def prepare(root: Path, folder: Path, record: Record, plan: list[str]) -> None:
    """Take the recorded outputs away, so that every stage runs, and copy the data that the workspace has as recorded.

    DVC still decides whether they are up to date, and makes them anew where their stage's code is newer than dvc.lock.
    """
    for name in plan:
        for path, md5 in record.outs(name).items():
            copy = folder / path
            if not name.startswith(FETCHED):
                shutil.rmtree(copy, ignore_errors=True)
                copy.unlink(missing_ok=True)
            elif path.startswith("data/") and (root / path).is_dir():
                take(root / path, copy, md5, folder / ".dvc/cache/files/md5")


def take(own: Path, copy: Path, md5: str, cache: Path) -> None:
    """Copy a folder, and into DVC's cache, if it has this hash: as DVC has it, the MD5 of its listing."""
    hashes, listing, found = listed(own)
    if found != md5:
        return
    shutil.copytree(own, copy)
    for name, value in hashes.items():
        place = cache / value[:2] / value[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            os.link(copy / name, place)
    place = cache / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(listing)


def listed(folder: Path) -> tuple[dict[str, str], bytes, str]:
    """The MD5 of each file in a folder, the folder's listing as DVC has it, and the hash that dvc.lock has of that."""
    hashes = {}
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                hashes[file.relative_to(folder).as_posix()] = hashlib.file_digest(opened, "md5").hexdigest()
    listing = json.dumps([{"md5": hashes[name], "relpath": name} for name in sorted(hashes)], sort_keys=True).encode()
    return hashes, listing, hashlib.md5(listing).hexdigest() + ".dir"


def reproduce(folder: Path, names: list[str], jobs: int | None) -> None:
    """`replica repro` with the clone's own code; what it says goes to standard error.

    Raises
    ------
    UserError
        Where a stage fails.
    """
    command = [sys.executable, "-m", "replica", "repro", *names, *(["--jobs", str(jobs)] if jobs else [])]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    environment = {**kept, "PYTHONPATH": str(folder), "DVC_SITE_CACHE_DIR": str(folder.parent / "site")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    before = {each: signal.signal(each, lambda number, _: process.send_signal(number)) for each in PASSED}
    try:
        while process.poll() is None:
            try:
                process.wait()
            except KeyboardInterrupt:  # the terminal has sent it to the driver as well, which ends its stages
                continue
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if process.returncode >= 128:
        raise SystemExit(process.returncode)
    if process.returncode:
        raise UserError("replica verify: a stage failed in the scratch copy, as told above; nothing was compared")
