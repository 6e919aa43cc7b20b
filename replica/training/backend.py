"""TensorFlow and Keras, imported without the greetings that TensorFlow's C++ prints before anyone can turn it down."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
    import keras.src.backend
    import tensorflow as tf
    from tensorflow.python.ops import math_ops

tf.get_logger().setLevel("ERROR")

# Left out, for its rewriting of g / √v, as optimizers have it, to g · rsqrt(v).
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def rsqrt(x: Any, name: str | None = None) -> Any:
    """1/√x by operations that IEEE 754 rounds, in place of the CPU's approximation.

    Each maker has its own of RSQRTPS and of RCPPS, which 1 / √x becomes; their last digits differ, and so do networks.
    """
    return tf.divide(tf.sqrt(x), x, name)


def gelu(x: Any, approximate: bool = True) -> Any:
    """x Φ(x), exactly by erf, whose code divides; TensorFlow's takes erfc, whose code approximates 1/x as above."""
    return tf.nn.gelu(x, approximate=True) if approximate else 0.5 * x * (1 + tf.math.erf(x * 0.5**0.5))


# The names by which Keras's layers reach them.
tf.math.rsqrt = math_ops.rsqrt = keras.src.backend.math.rsqrt = rsqrt
keras.src.backend.nn.gelu = gelu

__all__ = ["keras", "tf"]
