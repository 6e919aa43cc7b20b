"""Data files that Python packages ship."""

from __future__ import annotations

import shutil
from hashlib import md5
from importlib.util import find_spec
from pathlib import Path

from replica.errors import UserError


def copy(dataset: str, file: str, expected: str, folder: Path) -> None:
    """Copy `PACKAGE/path/in/it` into `folder`, verified; nothing of the package is imported.

    Raises
    ------
    UserError
        Where the package is not installed, has no such file, or another.
    """
    package, _, inside = file.partition("/")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"{dataset}: the package {package} is not installed; run `make setup`")
    source = Path(found.submodule_search_locations[0], inside)
    if not source.exists():
        raise UserError(f"{dataset}: {package} ships no {inside}; run `make setup` for the locked version")
    if (got := md5(source.read_bytes()).hexdigest()) != expected:
        raise UserError(f"{dataset}: {package}'s {inside} has the MD5 {got}, where {expected} was expected")
    shutil.copyfile(source, folder / source.name)
