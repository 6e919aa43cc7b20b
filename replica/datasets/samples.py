"""The first examples of a dataset, with their labels."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from replica.figures import style

ROWS, COLUMNS = 3, 10


def draw(name: str, classes: list[str], x: np.ndarray, y: np.ndarray) -> Figure:
    """Draw the first 30 training images, or, of points, all of them over their first two features.

    Parameters
    ----------
    x, y
        Images uint8 [n, height, width, channels] or features float32 [n, features], and labels [n].
    """
    if x.ndim == 2:
        made, axes = style.figure(
            4.2, 4.5, margins=(0.6, 0.5, 0.15, 0.7), title=name, note=f"{len(x):,} training points"
        )
        for label, title in enumerate(classes):
            axes[0, 0].scatter(x[y == label, 0], x[y == label, 1], s=12, linewidths=0, label=title)
        axes[0, 0].set(xlabel="x1", ylabel="x2", aspect="equal")
        style.legend(made, axes[0, 0])
    else:
        made, axes = style.figure(
            8.0, 3.3, ROWS, COLUMNS, margins=(0.12, 0.12, 0.12, 0.7), gaps=(0.1, 0.3), title=name,
            note=f"the first {ROWS * COLUMNS} of {len(x):,} training images",
        )  # fmt: skip
        for ax, image, label in zip(axes.flat, x, y, strict=False):
            ax.imshow(image, cmap="gray_r" if image.shape[-1] == 1 else None, vmin=0, vmax=255, interpolation="nearest")
            ax.set_title(classes[label], fontsize=8, loc="center", pad=3)
            ax.axis("off")
    return made
