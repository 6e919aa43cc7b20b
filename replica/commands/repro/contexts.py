"""What holds for the length of a `with` block only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(where: Any, name: str, by: Any) -> Iterator[None]:
    """Within the block, `where.name` is `by`."""
    original = getattr(where, name)
    setattr(where, name, by)
    try:
        yield
    finally:
        setattr(where, name, original)


@contextmanager
def let_go(mutex: threading.Lock) -> Iterator[None]:
    """Within the block, a mutex that the caller holds is free for others."""
    mutex.release()
    try:
        yield
    finally:
        mutex.acquire()


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block DVC says no more than its warnings: the display tells the rest."""
    log = logging.getLogger("dvc")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
