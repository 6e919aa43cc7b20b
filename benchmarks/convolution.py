"""The vectorised convolution beside the loop a beginner writes, in turns: `python -m benchmarks.convolution`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from replica.convolution.arithmetic import convolve

ROUNDS = 5


def loop(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Place by place and cell by cell, as documents A, B and D do it."""
    height, width = (image.shape[side] - kernel.shape[side] + 1 for side in range(2))
    result = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            for m in range(kernel.shape[0]):
                for n in range(kernel.shape[1]):
                    result[i, j] += image[i + m, j + n] * kernel[m, n]
    return result


def seconds(function: Callable[..., np.ndarray], *arguments: np.ndarray) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def main() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3))
    print("| image | loop, ms | vectorised, ms | ratio |\n| --- | --- | --- | --- |")
    for side in (28, 128, 512):
        image = random.normal(size=(side, side))
        assert np.allclose(loop(image, kernel), convolve(image, kernel))
        pairs = [(seconds(loop, image, kernel), seconds(convolve, image, kernel)) for _ in range(ROUNDS)]
        slow, fast = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"| {side}×{side} | {slow:,.1f} | {fast:.2f} | {ratio:.0f} |")


if __name__ == "__main__":
    main()
