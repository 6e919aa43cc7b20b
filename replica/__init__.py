"""Replica: every experiment of five course reports on MNIST and CIFAR-10, run again.

In Python, from any folder of a clone: `load(name)` a trained variant, `variants()` and `claims()` as DataFrames.
"""

from importlib import import_module
from typing import Any

from replica.common import kernels

kernels.pin()

__all__ = ["claims", "load", "variants"]


def __getattr__(name: str) -> Any:
    """The functions of `replica.commands.api`, imported when first asked for: stages need neither them nor pandas."""
    if name in __all__:
        return getattr(import_module("replica.commands.api"), name)
    raise AttributeError(f"module 'replica' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
