"""Figures of convolution by hand: a digit's strokes (document A), a photograph under two kernels (document B)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from replica.convolution.arithmetic import convolve, max_pool, relu
from replica.figures import style

PIECE = 0.13, 0.38  # where the enlarged piece begins, as shares of the height and width: the astronaut's eyes


def red(file: Path, side: int = 0) -> np.ndarray:
    """A picture file's red channel, which is what document B convolves: uint8 [height, width], or [side, side]."""
    image = Image.open(file).convert("RGB")
    return np.asarray(image.resize((side, side), Image.Resampling.BOX) if side else image)[..., 0]


def show(ax: Axes, image: np.ndarray, title: str, colours: str, low: float, high: float) -> None:
    """One panel, framed, pixels as squares."""
    ax.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    ax.set_title(title, fontsize=8.5)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set(visible=True, color=style.GRID)


def signed(ax: Axes, image: np.ndarray, title: str, numbers: bool = False, **look: Any) -> None:
    """A panel drawn around 0, negative red and positive blue; with its numbers, where asked."""
    reach = float(abs(image).max()) or 1.0
    pale = 2.5 if numbers else 1  # so that black ink is legible on every cell
    show(ax, image, title, "RdBu", -pale * reach, pale * reach)
    if numbers:
        write(ax, image, **look)


def write(ax: Axes, image: np.ndarray, **look: Any) -> None:
    for (row, column), value in np.ndenumerate(image):
        ax.text(column, row, f"{value:g}".replace("-", "−"), ha="center", va="center", **look)


def by_hand(digit: np.ndarray, corner: tuple[int, int], side: int, kernel: np.ndarray, bias: float) -> Figure:
    """The digit, the square X of it, the kernel, and the three results, as numbers.

    Parameters
    ----------
    digit
        uint8 [28, 28].
    corner
        X's first row and column, from 0.
    """
    made, axes = style.figure(
        9.6, 2.45, 1, 6, margins=(0.12, 0.12, 0.12, 0.7), gaps=(0.2, 0), title="By hand",
        note="document A's X, a piece of the turned 4",
    )  # fmt: skip
    top, left = corner
    x = digit[top : top + side, left : left + side]
    valid = convolve(x, kernel)
    show(axes[0, 0], digit, "the digit, turned, and X", "gray_r", 0, 255)
    axes[0, 0].add_patch(
        Rectangle((left - 0.5, top - 0.5), side, side, fill=False, edgecolor=style.VERMILLION, linewidth=1.6)
    )
    for ax, image, title in zip(
        axes[0, 1:],
        (x, kernel, valid, relu(valid + bias), max_pool(x)),
        ("X", "kernel", "convolved", f"+ bias {bias}, relu", "X, 2×2 max pooling"),
        strict=True,
    ):
        if image.min() < 0:
            signed(ax, image, title, numbers=True)
        else:
            show(ax, image, title, "gray_r", 0, 700)  # pale, so that black ink is legible on every cell
            write(ax, image)
    return made


def strokes(digit: np.ndarray, kernel: np.ndarray, biases: list[int]) -> Figure:
    """The feature maps of a digit for the kernel (horizontal strokes) and its transpose (vertical ones).

    Parameters
    ----------
    digit
        uint8 [28, 28].
    biases
        For the maps with relu, and for those with relu and 2x2 max pooling.
    """
    made, axes = style.figure(
        8.0, 4.4, 2, 4, margins=(0.12, 0.12, 0.12, 0.7), gaps=(0.15, 0.35), title="Strokes of a 4",
        note="document A's kernel and its transpose on the turned digit; maps: blue above 0, red below",
    )  # fmt: skip
    words = [f"bias {bias}, relu".replace("-", "−") for bias in biases]
    for row, (name, cells) in enumerate((("horizontal", kernel), ("vertical", kernel.T))):
        signed(axes[row, 0], cells, "the kernel" if row == 0 else "its transpose", numbers=True)
        signed(axes[row, 1], convolve(digit, cells), f"{name} strokes")
        maps = relu(convolve(digit, cells, bias=biases[0])), max_pool(relu(convolve(digit, cells, bias=biases[1])))
        for ax, image, title in zip(axes[row, 2:], maps, (words[0], f"{words[1]}, max pooling"), strict=True):
            show(ax, image, title, "gray_r", 0, float(image.max()) or 1.0)
    return made


def kernels(picture: np.ndarray, named: dict[str, np.ndarray]) -> Figure:
    """A picture of one channel, [height, width], and what each kernel makes of it after relu; below, a piece of each.

    White is what a plain white area becomes, or, where plain areas vanish, the brightest hundredth. The piece is a
    seventh of the picture's height, so that each pixel is seen: a sharpening shows at edges alone.
    """
    made, axes = style.figure(
        9.0, 6.5, 2, 1 + len(named), margins=(0.12, 0.12, 0.12, 0.7), gaps=(0.15, 0.1),
        title="A photograph under two kernels", note="document B's kernels, then relu; below, a piece enlarged",
    )  # fmt: skip
    side = max(picture.shape[0] // 7, 8)
    top, left = (round(share * size) for share, size in zip(PIECE, picture.shape, strict=True))
    panels = {"as it is": Normalize(0, 255)(picture)}
    for name, cells in named.items():
        image = relu(convolve(picture, cells))
        white = 255.0 * cells.sum() if cells.sum() > 0 else float(np.percentile(image, 99))
        panels[f"{name}: plain areas × {cells.sum():g}"] = Normalize(0, white, clip=True)(image)
    for (whole, piece), (title, image) in zip(axes.T, panels.items(), strict=True):
        show(whole, image, title, "gray", 0, 1)
        whole.add_patch(
            Rectangle((left - 0.5, top - 0.5), side, side, fill=False, edgecolor=style.VERMILLION, linewidth=1.2)
        )
        show(piece, image[top : top + side, left : left + side], "", "gray", 0, 1)
        piece.spines[:].set(edgecolor=style.VERMILLION, linewidth=1.2)
    return made


def heatmaps(picture: np.ndarray, named: dict[str, np.ndarray]) -> Figure:
    """What each kernel makes of a picture [height, width], signs kept: red below 0, white at 0, blue above."""
    made, axes = style.figure(
        8.0, 4.75, 1, len(named), margins=(0.12, 0.12, 0.12, 0.7), gaps=(0.15, 0),
        title="Signed heat maps", note="document B's kernels at stride 1; red below 0, blue above",
    )  # fmt: skip
    for ax, (name, cells) in zip(axes[0], named.items(), strict=True):
        image = convolve(picture, cells)
        reach = float(np.percentile(abs(image), 99)) or 1.0
        show(ax, image, f"{name}: from −{reach:.0f} to {reach:.0f}", "RdBu", -reach, reach)
    return made


def tables(picture: np.ndarray, named: dict[str, np.ndarray], stride: int) -> Figure:
    """What each kernel makes of a picture [height, width] at a stride that leaves few enough numbers to read."""
    made, axes = style.figure(
        9.6, 9.4, len(named), 1, margins=(0.12, 0.12, 0.12, 0.7), gaps=(0, 0.3),
        title=f"At stride {stride}", note="document B's kernels, as numbers; red below 0, blue above",
    )  # fmt: skip
    for ax, (name, cells) in zip(axes[:, 0], named.items(), strict=True):
        image = convolve(picture, cells, stride=stride)
        signed(ax, image, name, numbers=True, fontsize=8)
        ax.set_aspect("auto")
    return made
