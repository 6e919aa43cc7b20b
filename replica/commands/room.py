"""Room in DVC's cache, asked for before a stage runs: where it lacks, DVC says so and records the stage nonetheless."""

from __future__ import annotations

import shutil
from configparser import ConfigParser
from pathlib import Path

from dvc.dirs import global_config_dir, system_config_dir

from replica.common.errors import UserError

LEAST = 256  # MB; the largest output, CIFAR-10 as it is downloaded, takes 187


def cache(root: Path) -> Path:
    """The folder of DVC's cache, by the settings of the system, the user and the repository, each before the next."""
    found, everybody, own = root / ".dvc/cache", (system_config_dir(), global_config_dir()), root / ".dvc"
    for file in (*(Path(folder, "config") for folder in everybody), own / "config", own / "config.local"):
        settings = ConfigParser(interpolation=None, strict=False)
        settings.read(file)
        if told := settings.get("cache", "dir", fallback=""):
            found = file.parent / Path(told).expanduser()
    return found


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
