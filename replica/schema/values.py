"""What holds of any name and any number."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from math import prod
from typing import Any

from replica.common.errors import UserError
from replica.schema.layers import Layer, Shape, words

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")  # as they stand, a shell, a path and DVC's `a.b` take these
NEVER_NEGATIVE = {"exponential", "hard_sigmoid", "relu", "relu6", "sigmoid", "softmax", "softplus"}
SMALLEST, LARGEST = 2.0**-126, (2.0 - 2.0**-23) * 2.0**127  # of float32's normal numbers
SECTIONS = ("datasets", "networks", "variants", "searches")
TAKEN = ("convolution", "summary")  # metrics/NAME.json of other stages, as dvc.yaml has them


def names(parameters: dict[str, Any]) -> None:
    """Refuse an entry by a name that is more than a name to a shell, a file system or DVC, or has another's outputs.

    Raises
    ------
    UserError
        With the first that is no name, or is taken.
    """
    for section in SECTIONS:
        for name in parameters.get(section) or {}:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                allowed = "up to 100 letters, digits, _ and -, not - first"
                raise UserError(f"{section}: {repr(name)[:80]} is no name; allowed: {allowed}")
            if section in ("variants", "searches") and name in TAKEN:
                writes = f"whose metrics/{name}.json another stage writes"
                raise UserError(f"{section}: got {name!r}, {writes}; allowed: other names than {', '.join(TAKEN)}")
            if section == "searches" and name in parameters["variants"]:
                raise UserError(f"searches: got {name!r}, a variant that writes models/{name}; allowed: another name")


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


def one_output(where: str, activation: str | None, loss: Any) -> None:
    """Refuse a loss or an activation by which one output, trained to -1 or 1, cannot tell two classes apart.

    Raises
    ------
    UserError
        With what would.
    """
    wrong = f"the loss {words(loss)}" if loss else "no loss, which is SparseCategoricalCrossentropy"
    if words(loss) == "MeanSquaredError":
        if activation not in NEVER_NEGATIVE:
            return
        wrong = f"activation: {activation}, which is never below 0"
    raise UserError(
        f"{where}: got one output for two classes, trained to -1 and 1, and {wrong}; "
        "allowed: loss: MeanSquaredError and such as tanh, or units: 2 and any"
    )


def fits(stack: Iterable[tuple[str, Layer, Shape]], batch_size: int, where: str) -> None:
    """Refuse a network that this machine's memory cannot train.

    A weight, its gradient and two moments take 4 bytes each; so does each number that a layer gives for an image of a
    batch, and its gradient.

    Raises
    ------
    UserError
        With what it needs and what there is.
    """
    weights = outputs = 0
    for _, layer, shape in stack:
        weights += sum(count for _, count in layer.parameters(shape))
        outputs += prod(layer.output(shape))
    needed, there = 16 * weights + 8 * outputs * batch_size, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UserError(
            f"{where}: {weights:,} weights and batches of {batch_size:,} need {needed / 2**30:,.1f} GiB to train; "
            f"this machine has {there / 2**30:,.1f}"
        )
