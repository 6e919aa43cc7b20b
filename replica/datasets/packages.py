"""Data files that Python packages ship."""

from __future__ import annotations

import shutil
from hashlib import md5
from importlib.util import find_spec
from pathlib import Path

from replica.common.errors import UserError


def path(what: str, file: str) -> Path:
    """Where the installed package has `PACKAGE/path/in/it`; nothing of the package is imported.

    Raises
    ------
    UserError
        Where the package is not installed, or has no such file; the message begins with `what`.
    """
    package, _, inside = file.partition("/")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"{what}: the package {package} is not installed; run `make setup`")
    source = Path(found.submodule_search_locations[0], inside)
    if not source.exists():
        raise UserError(f"{what}: {package} ships no {inside}; run `make setup` for the locked version")
    return source


def copy(dataset: str, file: str, expected: str, folder: Path) -> None:
    """Copy a package's file into `folder`, verified by its MD5.

    Raises
    ------
    UserError
        Where it is missing, or another.
    """
    source = path(dataset, file)
    if (got := md5(source.read_bytes()).hexdigest()) != expected:
        raise UserError(f"{dataset}: {file} has the MD5 {got}, where {expected} was expected")
    shutil.copyfile(source, folder / source.name)
