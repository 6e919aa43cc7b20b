"""Receptive fields: how many pixels of the input one output sees (document D, 003_8a3183bfca31b67b.txt:434)."""

from __future__ import annotations

from collections.abc import Iterable

from replica.schema.layers import Layer, Shape, pair

Field = tuple[int, int] | None  # height and width in pixels; None where an output sees the whole input


def fields(stack: Iterable[tuple[str, Layer, Shape]]) -> list[Field]:
    """The receptive field of each layer of a network, with the shape that goes into it.

    From the input on, r ← r + d·(k - 1)·j and j ← j·s, for a window of k pixels, d apart, that moves by s; j is how
    many pixels of the input two neighbours of a layer's input lie apart. Document D goes backwards from an output, to
    the same sizes. At a padded border a field is cut, and it may be larger than the input.
    """
    found: list[Field] = []
    reach, apart, whole = [1, 1], [1, 1], False
    for kind, layer, shape in stack:
        size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
        whole = whole or kind == "Flatten" or kind.startswith("Global") or (kind == "Dense" and len(shape) == 1)
        if size and not whole:
            steps = pair(getattr(layer, "strides", None) or size)
            holes = pair(getattr(layer, "dilation_rate", 1))
            for axis, (k, s, d) in enumerate(zip(pair(size), steps, holes, strict=True)):
                reach[axis] += d * (k - 1) * apart[axis]
                apart[axis] *= s
        found.append(None if whole else (reach[0], reach[1]))
    return found
