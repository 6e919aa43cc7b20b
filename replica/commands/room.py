"""Room in DVC's cache, asked for before a stage runs: where it lacks, DVC says so and records the stage nonetheless."""

from __future__ import annotations

import shutil
from configparser import ConfigParser
from pathlib import Path

from replica.common.errors import UserError

LEAST = 256  # MB; the largest output, CIFAR-10 as it is downloaded, takes 178


def cache(root: Path) -> Path:
    """The folder of DVC's cache, by the repository's own settings."""
    settings = ConfigParser(interpolation=None, strict=False)
    settings.read([root / ".dvc/config", root / ".dvc/config.local"])
    return root / ".dvc" / Path(settings.get("cache", "dir", fallback="cache")).expanduser()


def ask(root: Path) -> None:
    """Let a stage begin only where its outputs can be kept.

    Raises
    ------
    UserError
        Where the disk of DVC's cache has less than `LEAST` left.
    """
    folder = cache(root)
    place = folder.resolve()
    disk = shutil.disk_usage(next(each for each in (place, *place.parents) if each.exists()))
    free = disk.free // 10**6
    if disk.total and free < LEAST:  # some network disks tell nothing of themselves
        raise UserError(
            f"{folder}: {free} MB are free; allowed: {LEAST} MB at least, since DVC records a stage also where it "
            "cannot keep the outputs; free some space, and run it again"
        )
