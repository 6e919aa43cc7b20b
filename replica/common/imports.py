"""Imports in less than half of the time: a library's optional companions stay away, and the collector waits."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Import what is named in the block as if `names` were not installed, unless they are loaded already.

    A library that only asks whether another is there (`try: import pandas`) takes its way without it. Afterwards
    anyone may import them. What the block has loaded lives as long as the process: the garbage collector is told to
    pass it over, which is a fifth of TensorFlow's import, and most of a second when its process ends.
    """
    hidden = [name for name in names if name not in sys.modules]
    collecting = gc.isenabled()
    gc.disable()
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        if collecting:
            gc.enable()
