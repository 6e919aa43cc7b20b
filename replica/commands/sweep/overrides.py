"""A trial's overrides put into the parameters, and what a sweep needs checked before its first trial."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from replica.common import parameters
from replica.common.errors import UserError
from replica.schema import check

if TYPE_CHECKING:
    from replica.commands.sweep.space import Space


def assign(values: Any, key: str, value: Any) -> None:
    """Set `key`, dots between its parts, in nested mappings; those on the way are made where there are none.

    Raises
    ------
    UserError
        Where a part on the way is no mapping.
    """
    *way, last = key.split(".")
    for depth, part in enumerate(way, start=1):
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise UserError(f"{'.'.join(way[:depth])}: is {values!r}, with nothing below it to set; set it as a whole")
    values[last] = value


def overridden(declared: dict[str, Any], variant: str, values: dict[str, Any]) -> dict[str, Any]:
    """The parameters with one variant's overrides; nothing else is copied."""
    entry = copy.deepcopy(parameters.entry_of(declared, "variants", variant))
    changed = {**declared, "variants": {**declared["variants"], variant: entry}}
    for key, value in values.items():
        assign(changed, key, value)
    return changed


def check_sweep(declared: dict[str, Any], space: Space) -> set[str]:
    """Check a sweep before it begins: params.yaml itself, then the variant at the space's corners.

    Returns
    -------
    set of str
        The datasets that its trials use.

    Raises
    ------
    UserError
        Where a value is refused, or trials would have no validation images to be compared by.
    """
    known = check.datasets(declared)
    used = set()
    for draws in space.corners():
        changed = overridden(declared, space.variant, space.values(draws))
        check.check_variant(changed, space.variant, known)
        entry = parameters.variant(changed, space.variant)
        if entry["validation"] in (0, "test"):
            raise UserError(
                f"variants.{space.variant}.data.validation: is {entry['validation']}, and trials are compared by "
                "validation accuracy: hold images back with -S data.validation=0.1"
            )
        used.add(entry["dataset"])
    return used
