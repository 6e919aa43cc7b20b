"""Convolution as documents A, B and D do it by hand: cross-correlation, which is what neural networks call convolution.

Vectorised with NumPy's sliding windows; tests hold it to SciPy and to Keras. Images are [height, width] or
[height, width, channels], kernels [height, width] or [height, width, channels, filters], as in Keras.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def output_size(n: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many places a kernel has along a side: floor((n + 2p - d (k - 1) - 1) / s) + 1.

    Documents B (001_2b6acb638f56ea34.txt, without dilation) and D (003_8a3183bfca31b67b.txt).

    Raises
    ------
    ValueError
        Where a size is not above 0, the padding below 0, or the kernel larger than the padded image.
    """
    for name, value in (("image", n), ("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        if value < 1:
            raise ValueError(f"{name}: got {value}; allowed: 1 or more")
    if padding < 0:
        raise ValueError(f"padding: got {padding}; allowed: 0 or more")
    reach = dilation * (kernel - 1) + 1
    if reach > n + 2 * padding:
        raise ValueError(f"kernel: it reaches over {reach} pixels; the padded image has {n + 2 * padding}")
    return (n + 2 * padding - reach) // stride + 1


def convolve(
    image: np.ndarray,
    kernel: np.ndarray,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    bias: np.ndarray | float = 0,
) -> np.ndarray:
    """The kernel laid on every place of the image, products summed, the bias added.

    Parameters
    ----------
    image
        [h, w], or [h, w, channels]; of any number type, computed in float64.
    kernel
        [kh, kw], or [kh, kw, channels, filters].
    stride, padding, dilation
        Pixels between places, zeros put around the image, and pixels between a kernel's cells.
    bias
        One number, or one a filter.

    Returns
    -------
    np.ndarray
        float64 [h', w'], or [h', w', filters].

    Raises
    ------
    ValueError
        Where shapes do not fit together.
    """
    plain = image.ndim == 2 and kernel.ndim == 2
    pixels = np.asarray(image, np.float64)
    cells = np.asarray(kernel, np.float64)
    if plain:
        pixels, cells = pixels[..., None], cells[..., None, None]
    if pixels.ndim != 3 or cells.ndim != 4 or pixels.shape[2] != cells.shape[2]:
        raise ValueError(f"an image of shape {image.shape} does not fit a kernel of shape {kernel.shape}")
    for side in range(2):
        output_size(pixels.shape[side], cells.shape[side], stride, padding, dilation)
    padded = np.pad(pixels, ((padding, padding), (padding, padding), (0, 0)))
    reach = [dilation * (size - 1) + 1 for size in cells.shape[:2]]
    windows = sliding_window_view(padded, reach, axis=(0, 1))[::stride, ::stride, :, ::dilation, ::dilation]
    result = np.tensordot(windows, cells, axes=([2, 3, 4], [2, 0, 1])) + bias
    return result[..., 0] if plain else result


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), cell by cell."""
    return np.maximum(x, 0)


def max_pool(image: np.ndarray, size: int = 2, stride: int | None = None) -> np.ndarray:
    """The largest of each window of an image [h, w] or [h, w, channels], without padding; windows lie side by side.

    Raises
    ------
    ValueError
        Where a window does not fit.
    """
    step = size if stride is None else stride
    for side in image.shape[:2]:
        output_size(side, size, step)
    return sliding_window_view(image, (size, size), axis=(0, 1))[::step, ::step].max(axis=(-2, -1))


def receptive_field(layers: Iterable[tuple[int, int, int]]) -> int:
    """Pixels along a side that one output sees through a stack of (kernel, stride, dilation), the first layer first.

    Each layer adds its reach less one, in steps as wide as the strides before it make them.
    """
    field, step = 1, 1
    for kernel, stride, dilation in layers:
        field += dilation * (kernel - 1) * step
        step *= stride
    return field


def parameters(height: int, width: int, channels: int, filters: int) -> tuple[int, str]:
    """Parameters of a convolution with a bias a filter, and how they come about: 320 = (3·3·1 + 1)·32."""
    count = (height * width * channels + 1) * filters
    return count, f"({height}·{width}·{channels} + 1)·{filters} = {count}"
