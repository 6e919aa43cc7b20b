"""What holds of any name and any number."""

from __future__ import annotations

import re
from typing import Any

from replica.common.errors import UserError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")  # as they stand, a shell, a path and DVC's `a.b` take these
SMALLEST, LARGEST = 2.0**-126, (2.0 - 2.0**-23) * 2.0**127  # of float32's normal numbers


SECTIONS = ("datasets", "networks", "variants", "searches")


def names(parameters: dict[str, Any]) -> None:
    """Refuse an entry by a name that a shell, a file system or DVC would read as more than a name.

    Raises
    ------
    UserError
        With the first that is no name.
    """
    for section in SECTIONS:
        for name in parameters.get(section) or {}:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                allowed = "up to 100 letters, digits, _ and -, not - first"
                raise UserError(f"{section}: {repr(name)[:80]} is no name; allowed: {allowed}")


def finite(value: Any, where: str) -> None:
    """Refuse a number that float32, in which networks compute, would make infinite or zero.

    Raises
    ------
    UserError
        With its place.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            finite(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for inner in value:
            finite(inner, where)
    elif isinstance(value, int | float) and value and not SMALLEST <= abs(value) <= LARGEST:
        raise UserError(f"{where}: got {str(value)[:40]}; allowed: 0, or {SMALLEST:.2g} to {LARGEST:.2g} (float32)")
