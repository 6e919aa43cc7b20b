"""Figures of one evaluated variant: its confusion, and its most confident mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from replica.figures import style

ROWS, COLUMNS = 2, 6  # of mistakes


def confusion(matrices: Mapping[str, np.ndarray], classes: Sequence[str], title: str) -> Figure:
    """Confusion matrices, two in a row: counts in each cell, its shade the share of the true class.

    Parameters
    ----------
    matrices
        Counts [true class, predicted class], by what stands above them.
    classes
        Names, in the order of the matrices.
    """
    longest = max(map(len, classes))
    label, columns, rows = 0.065 * longest + 0.1, min(len(matrices), 2), math.ceil(len(matrices) / 2)
    turned = longest > 2
    below = (label if turned else 0.2) + 0.3
    side = (8.0 - label - 0.45 - 0.15 - 0.3) / 2
    made, axes = style.figure(
        label + 0.45 + side * columns + 0.3 * (columns - 1) + 0.15,
        rows * side + (rows - 1) * 0.45 + below + 0.62,
        rows,
        columns,
        margins=(label + 0.45, below, 0.15, 0.62),
        gaps=(0.3, 0.45),
        title=title,
        note="counts, shaded by their share of the true class",
    )
    for ax, (name, counts) in zip(axes.flat, matrices.items(), strict=False):
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        ax.imshow(share, cmap="Blues", norm=PowerNorm(0.5, 0, 1), aspect="auto")
        size = min(8.0, 100 * side / len(classes) / len(str(counts.max())))
        for (row, column), count in np.ndenumerate(counts):
            if count:
                light = "white" if share[row, column] > 0.35 else style.INK
                ax.text(column, row, str(count), ha="center", va="center", fontsize=size, color=light)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        place = ax.get_subplotspec()
        names = (classes if place.is_last_row() else [], classes if place.is_first_col() else [])
        ax.set(title=name, xticks=range(len(classes)), yticks=range(len(classes)))
        ax.set_xticklabels(names[0], rotation=90 if turned else 0, fontsize=8)
        ax.set_yticklabels(names[1], fontsize=8)
        ax.set(xlabel="Predicted" if names[0] else "", ylabel="True" if names[1] else "")
    for ax in axes.flat[len(matrices) :]:
        ax.set_visible(False)
    return made


def mistakes(x: np.ndarray, y: np.ndarray, p: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """The test images that the network gave the highest probability to a wrong class; of equals the first.

    Parameters
    ----------
    x
        Images, uint8 [n, height, width, channels], or features, [n, features], of which the first two are drawn.
    y, p
        Their labels, [n], and each class's probability, [n, classes].
    """
    guess = p.argmax(axis=1)
    wrong = np.flatnonzero(guess != y)
    wrong = wrong[np.argsort(-np.nan_to_num(p[wrong, guess[wrong]]), kind="stable")]
    note = f"{len(wrong):,} of {len(y):,} test images are mistaken" + ("; the most confident" if len(wrong) else "")
    if x.ndim == 2:
        return points(x, y, wrong, classes, title, note.replace("images", "points").partition(";")[0])
    height, width = x.shape[1:3]
    down, across = round(height * 1.35), round(width * 1.1)
    sheet = np.full((ROWS * down, COLUMNS * across, 3), 255, np.uint8)
    side, top = 0.12, 0.45
    tall = (8.0 - 2 * side) * sheet.shape[0] / sheet.shape[1] + top
    made, axes = style.figure(8.0, tall, margins=(side, 0, side, top), title=title, note=note)
    ax = axes[0, 0]
    for place, index in enumerate(wrong[: ROWS * COLUMNS]):
        row, column = place // COLUMNS * down, place % COLUMNS * across
        image = np.broadcast_to(x[index], (height, width, 3))
        sheet[row : row + height, column : column + width] = image if x.shape[3] == 3 else 255 - image
        true, seen = (shorten(classes[label]) for label in (y[index], guess[index]))
        below = {"x": column, "fontsize": 8, "va": "top"}
        ax.text(y=row + height * 1.02, s=f"{true} seen as", color=style.INK, **below)
        ax.text(y=row + height * 1.15, s=f"{seen}  {p[index, guess[index]]:.1%}", color=style.VERMILLION, **below)
    ax.imshow(sheet, extent=(0, sheet.shape[1], sheet.shape[0], 0), aspect="auto", interpolation="nearest")
    ax.set_axis_off()
    return made


def shorten(name: str, longest: int = 10) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"


def points(x: np.ndarray, y: np.ndarray, wrong: np.ndarray, classes: Sequence[str], title: str, note: str) -> Figure:
    """Points in the plane of their first two features, the mistaken ones ringed."""
    made, axes = style.figure(5.6, 5.2, title=title, note=note)
    ax = axes[0, 0]
    for label, name in enumerate(classes):
        ax.scatter(*x[y == label, :2].T, s=14, color=style.PALETTE[label], label=name)
    ax.scatter(*x[wrong, :2].T, s=60, facecolors="none", edgecolors=style.INK, label="mistaken")
    ax.set(xlabel="x1", ylabel="x2")
    style.legend(made, ax)
    return made
