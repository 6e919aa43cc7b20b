"""What a dataset decodes to, against what datasets.yaml says it must."""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from replica.common.errors import UserError
from replica.datasets import own
from replica.datasets.declaration import Decoded, Own


def check(name: str, declared: Decoded, arrays: dict[str, np.ndarray]) -> None:
    """Compare shapes, types and SHA-256; that of the labels holds how many each class has.

    Raises
    ------
    UserError
        With the array, what was expected and what was decoded.
    """

    def expect(what: str, got: object, expected: object) -> None:
        if got != expected:
            raise UserError(f"{name}: {what} is {got}, where datasets.yaml says {expected}; run {repair}")

    repair = f"`{own.update(name, declared)}`" if isinstance(declared, Own) else f"`dvc repro download@{name} -f`"
    dtype = np.uint8 if len(declared.shape) == 3 else np.float32
    for split, examples in (("train", declared.train_examples), ("test", declared.test_examples)):
        expect(f"x_{split}'s shape", arrays[f"x_{split}"].shape, (examples, *declared.shape))
        expect(f"x_{split}'s type", arrays[f"x_{split}"].dtype, np.dtype(dtype))
        expect(f"y_{split}'s shape", arrays[f"y_{split}"].shape, (examples,))
        expect(f"y_{split}'s type", arrays[f"y_{split}"].dtype, np.dtype(np.uint8))
    if not isinstance(declared, Own):
        repair += "; or, where you have changed its entry, put into it what it is now"
    for key, expected in declared.sha256:
        expect(f"{key}'s SHA-256", digest(arrays[key]), expected)


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes in C order."""
    return sha256(np.ascontiguousarray(array).data).hexdigest()
