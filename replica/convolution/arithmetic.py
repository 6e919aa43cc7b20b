"""Convolution as documents A, B and D do it by hand: cross-correlation, which is what neural networks call convolution.

Vectorised with NumPy's sliding windows; tests hold it to SciPy and to Keras. Images are [height, width],
[height, width, channels] or [n, height, width, channels]; kernels are [height, width] or
[height, width, channels, filters], as in Keras.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from replica.common.errors import UserError


def output_size(n: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many places a kernel has along a side: floor((n + 2p - d (k - 1) - 1) / s) + 1.

    Documents B (001_2b6acb638f56ea34.txt, without dilation) and D (003_8a3183bfca31b67b.txt).

    Raises
    ------
    UserError
        Where a number is not whole or too small, or the kernel larger than the padded image.
    """
    for name, value in (("image", n), ("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        whole(name, value, 1)
    whole("padding", padding, 0)
    reach = dilation * (kernel - 1) + 1
    if reach > n + 2 * padding:
        raise UserError(f"kernel: it reaches over {reach} pixels; the padded image has {n + 2 * padding}")
    return (n + 2 * padding - reach) // stride + 1


def convolve(
    image: ArrayLike,
    kernel: ArrayLike,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    bias: ArrayLike = 0,
) -> np.ndarray:
    """The kernel laid on every place of the image, products summed, the bias added.

    Parameters
    ----------
    image
        [h, w], [h, w, channels] or [n, h, w, channels]; of any number type, computed in float64, where integers stay
        exact up to 2^53.
    kernel
        [kh, kw] on [h, w], else [kh, kw, channels, filters].
    stride, padding, dilation
        Pixels between places, zeros put around the image, and pixels between a kernel's cells.
    bias
        One number, or [filters].

    Returns
    -------
    np.ndarray
        float64 [h', w'], [h', w', filters] or [n, h', w', filters].

    Raises
    ------
    UserError
        Where shapes do not fit together.
    """
    pixels, cells, added = (np.asarray(each, np.float64) for each in (image, kernel, bias))
    plain = pixels.ndim == 2 and cells.ndim == 2
    if plain:
        pixels, cells = pixels[..., None], cells[..., None, None]
    if pixels.ndim not in (3, 4) or cells.ndim != 4 or pixels.shape[-1] != cells.shape[2]:
        raise UserError(f"an image of shape {np.shape(image)} does not fit a kernel of shape {np.shape(kernel)}")
    if added.shape not in ((), cells.shape[3:]):
        raise UserError(
            f"bias: got shape {added.shape}; allowed: one number, or one for each of {cells.shape[3]} filters"
        )
    for n, size in zip(pixels.shape[-3:-1], cells.shape[:2], strict=True):
        output_size(n, size, stride, padding, dilation)
    padded = np.pad(pixels, (*[(0, 0)] * (pixels.ndim - 3), (padding, padding), (padding, padding), (0, 0)))
    reach = [dilation * (size - 1) + 1 for size in cells.shape[:2]]
    windows = sliding_window_view(padded, reach, axis=(-3, -2))
    windows = windows[..., ::stride, ::stride, :, ::dilation, ::dilation]
    result = np.tensordot(np.moveaxis(windows, -3, -1), cells, axes=3)
    result += added
    return result[..., 0] if plain else result


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), cell by cell."""
    return np.maximum(x, 0)


def max_pool(image: ArrayLike, size: int = 2, stride: int | None = None) -> np.ndarray:
    """The largest of each window of an image, without padding; windows lie side by side, a remainder is left out.

    The image is [h, w], [h, w, channels] or [n, h, w, channels]; its dtype stays.

    Raises
    ------
    UserError
        Where a window does not fit.
    """
    given = np.asarray(image)
    if given.ndim not in (2, 3, 4):
        raise UserError(f"image: got shape {given.shape}; allowed: 2 to 4 axes")
    pixels = given[..., None] if given.ndim == 2 else given
    step = size if stride is None else stride
    for side in pixels.shape[-3:-1]:
        output_size(side, size, step)
    windows = sliding_window_view(pixels, (size, size), axis=(-3, -2))[..., ::step, ::step, :, :, :]
    # A maximum over two short axes takes many times longer than this one, over the positions in the window
    largest = np.maximum.reduce([windows[..., row, column] for row in range(size) for column in range(size)])
    return largest[..., 0] if given.ndim == 2 else largest


def receptive_field(layers: Iterable[tuple[int, int, int]]) -> int:
    """Pixels along a side that one output sees through a stack of (kernel, stride, dilation), the first layer first.

    Each layer adds its reach less one, in steps as wide as the strides before it make them.
    """
    field, step = 1, 1
    for layer in layers:
        kernel, stride, dilation = (
            whole(name, value, 1) for name, value in zip(("kernel", "stride", "dilation"), layer, strict=True)
        )
        field += dilation * (kernel - 1) * step
        step *= stride
    return field


def lines(image: np.ndarray) -> str:
    """`vertical` or `horizontal`: along which more of a map's neighbours are both above 0, [height, width]."""
    seen = image > 0
    along = {"vertical": seen[1:] & seen[:-1], "horizontal": seen[:, 1:] & seen[:, :-1]}
    return max(along, key=lambda way: along[way].sum())


def parameters(height: int, width: int, channels: int, filters: int) -> tuple[int, str]:
    """Parameters of a convolution with a bias a filter, and how they come about: 320 = (3·3·1 + 1)·32."""
    count = (height * width * channels + 1) * filters
    return count, f"({height}·{width}·{channels} + 1)·{filters} = {count}"


def whole(name: str, value: Any, least: int) -> int:
    """The number, where it is whole and not below `least`."""
    try:
        number = index(value)
    except TypeError:
        raise UserError(f"{name}: got {value!r}; allowed: whole numbers from {least}") from None
    if number < least or isinstance(value, bool):
        raise UserError(f"{name}: got {value!r}; allowed: whole numbers from {least}")
    return number
