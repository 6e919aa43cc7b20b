"""TensorFlow and Keras, imported without the greetings that TensorFlow's C++ prints before anyone can turn it down."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from replica.common.imports import without

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def silence() -> Iterator[None]:
    """Send what is written to stderr nowhere, by the C library too; exceptions pass."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


# Keras only asks whether these are there, for what no stage uses; they take 1.4 s to import, the rest 2.0 s.
with silence(), without("matplotlib", "pandas", "scipy", "sklearn"):
    import keras
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")

__all__ = ["keras", "tf"]
