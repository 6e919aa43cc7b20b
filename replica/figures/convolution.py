"""Figures of convolution by hand: a digit's strokes (document A), a photograph under two kernels (document B)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from replica.convolution import convolve, max_pool, relu
from replica.figures import style


def grey(file: Path) -> np.ndarray:
    """A picture file in grey: uint8 [height, width]."""
    return np.asarray(Image.open(file).convert("L"))


def show(ax: Axes, image: np.ndarray, title: str, signed: bool = False, ink: bool = True) -> None:
    """One panel; a signed map is drawn around 0, negative red and positive blue."""
    reach = float(abs(image).max()) or 1.0
    if signed:
        ax.imshow(image, cmap="RdBu", vmin=-reach, vmax=reach, interpolation="nearest")
    else:
        ax.imshow(image, cmap="gray_r" if ink else "gray", vmin=0, vmax=reach, interpolation="nearest")
    ax.set_title(title, fontsize=8.5)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)


def strokes(digit: np.ndarray, kernel: np.ndarray, biases: list[int], file: Path) -> None:
    """The digit, and its feature maps for the kernel (horizontal strokes) and its transpose (vertical ones).

    Parameters
    ----------
    digit
        uint8 [28, 28].
    biases
        For the maps with relu, and for those with relu and 2x2 max pooling.
    """
    made, axes = style.figure(
        8.0, 4.5, 2, 4, margins=(0.12, 0.12, 0.12, 0.75), gaps=(0.15, 0.4), title="Strokes of a 4",
        note="document A's kernel, and its transpose",
    )  # fmt: skip
    for row, (name, cells) in enumerate((("horizontal", kernel), ("vertical", kernel.T))):
        active = relu(convolve(digit, cells, bias=biases[0]))
        pooled = max_pool(relu(convolve(digit, cells, bias=biases[1])))
        show(
            axes[row, 0],
            digit if row == 0 else cells,
            "the digit, turned" if row == 0 else "the transposed kernel",
            row == 1,
        )
        show(axes[row, 1], convolve(digit, cells), f"{name} strokes", signed=True)
        show(axes[row, 2], active, f"bias {biases[0]}, relu")
        show(axes[row, 3], pooled, f"bias {biases[1]}, relu, max pooling")
    style.save(made, file)


def kernels(picture: np.ndarray, named: dict[str, np.ndarray], file: Path) -> None:
    """A grey picture [height, width], and what each 3x3 kernel makes of it, cut to 0 to 255."""
    made, axes = style.figure(
        8.0, 2.75, 1, 1 + len(named), margins=(0.12, 0.12, 0.12, 0.75), gaps=(0.15, 0),
        title="A photograph under two kernels", note="document B's kernels",
    )  # fmt: skip
    show(axes[0, 0], picture, "as it is", ink=False)
    for ax, (name, cells) in zip(axes[0, 1:], named.items(), strict=True):
        show(ax, np.clip(convolve(picture, cells), 0, 255), name, ink=False)
    style.save(made, file)
