"""Figures of one evaluated variant: its confusion, and its most confident mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from replica.figures import scales, style

ROWS, COLUMNS = 2, 6  # of mistakes, at most
SHADES = PowerNorm(0.5, 0, 1)
DIGIT = 8 * 0.64 / 72  # inches that a digit of 8 points is wide
LETTER = 8 * 1.4 / 72  # inches that a line of 8 points is high


def confusion(
    matrices: Mapping[str, np.ndarray], dummies: Mapping[str, np.ndarray], classes: Sequence[str], title: str
) -> Figure:
    """Confusion matrices, two in a row: counts in each cell, its shade the share of the true class.

    Counts that a cell has no room for are left out, and names that a row has none for. The dummies stand below, small,
    without counts.

    Parameters
    ----------
    matrices, dummies
        Counts [true class, predicted class], by what stands above them.
    classes
        Names, in the order of the matrices.
    """
    names = [shorten(name, 20) for name in classes]
    longest = max(map(len, names))
    turned = longest > 2
    label = 0.065 * longest + 0.1
    left, below, head, row = label + 0.45, (label if turned else 0.2) + 0.35, 0.75, math.ceil(len(matrices) / 2)
    side = (8.0 - left - 0.15 - 0.3) / 2
    small = (8.0 - left - 0.15 - 0.2 * max(len(dummies) - 1, 0)) / max(len(dummies), 4)
    height = head + row * (side + 0.45) - 0.45 + below + (0.5 + small + 0.25 if dummies else 0)
    made, axes = style.figure(
        8.0, height, row, 2, margins=(left, below + (0.5 + small + 0.25 if dummies else 0), 0.15, head),
        gaps=(0.3, 0.45), title=title, note="counts",
    )  # fmt: skip
    for ax, (name, counts) in zip(axes.flat, matrices.items(), strict=False):
        share = shade(ax, counts, name)
        if (len(str(counts.max())) + 0.6) * DIGIT < side / len(classes):
            for (actual, guess), count in np.ndenumerate(counts):
                if count:
                    light = "white" if share[actual, guess] > 0.35 else style.INK
                    ax.text(guess, actual, str(count), ha="center", va="center", fontsize=8, color=light)
        shown = range(0, len(classes), math.ceil(LETTER * len(classes) / side))
        ax.set(xticks=shown, yticks=shown, xlabel="Predicted")
        ax.set_xticklabels(names[:: shown.step], rotation=90 if turned else 0, fontsize=8)
        ax.set_yticklabels(names[:: shown.step] if ax.get_subplotspec().is_first_col() else [], fontsize=8)
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel("True")
    for ax in axes.flat[len(matrices) :]:
        ax.set_visible(False)
    for place, (name, counts) in enumerate(dummies.items()):
        start = (left + place * (small + 0.2)) / 8.0
        ax = made.add_axes((start, 0.25 / height, small / 8.0, small / height))
        shade(ax, counts, name.replace(", ", ",\n", 1), fontsize=8)
        ax.set(xticks=[], yticks=[], xlabel="Predicted")
        ax.set_ylabel("" if place else "True")
    key = made.add_axes(((8.0 - 1.95) / 8.0, 1 - 0.2 / height, 1.6 / 8.0, 0.1 / height))
    made.colorbar(ScalarMappable(SHADES, "Blues"), cax=key, orientation="horizontal", ticks=[0, 0.05, 0.2, 0.5, 1])
    key.xaxis.set_major_formatter(scales.PERCENT)
    key.tick_params(labelsize=8, pad=1)
    key.set_xlabel("share of the true class", ha="right", va="center")
    key.xaxis.set_label_coords(-0.03, 0.5)
    key.minorticks_off()
    return made


def shade(ax: Axes, counts: np.ndarray, title: str, fontsize: float = 9.5) -> np.ndarray:
    """Draw each true class's shares, and return them: [true class, predicted class]."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", norm=SHADES, aspect="auto")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=fontsize)
    return share


def mistakes(x: np.ndarray, y: np.ndarray, runs: Sequence[np.ndarray], classes: Sequence[str], title: str) -> Figure:
    """The test images that the first run gave the highest probability to a wrong class; of equals the first.

    Parameters
    ----------
    x
        Images, uint8 [n, height, width, channels], or features, [n, features], of which the first two are drawn, ringed
        by how many of the runs mistake them.
    y
        Their labels, [n].
    runs
        Each class's probability, [n, classes], by each seed's network.
    """
    if x.ndim == 2:
        return points(x, y, np.sum([p.argmax(axis=1) != y for p in runs], axis=0), len(runs), classes, title)
    p = runs[0]
    guess = p.argmax(axis=1)
    wrong = np.flatnonzero(guess != y)
    wrong = wrong[np.argsort(-np.nan_to_num(p[wrong, guess[wrong]]), kind="stable")]
    shown = wrong[: ROWS * COLUMNS]
    which = "; the most confident" if len(wrong) > len(shown) else ""
    note = f"{len(wrong):,} of {len(y):,} test images {'is' if len(wrong) == 1 else 'are'} mistaken{which}"
    height, width = x.shape[1:3]
    across = round(width * 1.1)
    side, top, words = 0.12, 0.45, 0.42
    inch = (8.0 - 2 * side) / (COLUMNS * across)  # a pixel's
    down = height + math.ceil(words / inch)
    sheet = np.full((max(1, math.ceil(len(shown) / COLUMNS)) * down, COLUMNS * across, 3), 255, np.uint8)
    if not len(shown):
        sheet = sheet[: math.ceil(words / inch)]
    made, axes = style.figure(
        8.0, sheet.shape[0] * inch + top, margins=(side, 0, side, top), title=title, note=note
    )  # fmt: skip
    ax = axes[0, 0]
    for place, index in enumerate(shown):
        row, column = place // COLUMNS * down, place % COLUMNS * across
        image = np.broadcast_to(x[index], (height, width, 3))
        sheet[row : row + height, column : column + width] = image if x.shape[3] == 3 else 255 - image
        true, seen = (shorten(classes[label]) for label in (y[index], guess[index]))
        below = {"x": column, "fontsize": 8, "va": "top"}
        ax.text(y=row + height + 0.04 / inch, s=f"{true} seen as", color=style.INK, **below)
        ax.text(y=row + height + 0.2 / inch, s=f"{seen}  {p[index, guess[index]]:.1%}", color=style.VERMILLION, **below)
    ax.imshow(sheet, extent=(0, sheet.shape[1], sheet.shape[0], 0), aspect="auto", interpolation="nearest")
    ax.set_axis_off()
    return made


def shorten(name: str, longest: int = 10) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"


def points(x: np.ndarray, y: np.ndarray, wrong: np.ndarray, runs: int, classes: Sequence[str], title: str) -> Figure:
    """Points in the plane of their first two features, and rings, the wider the more runs mistake a point."""
    mean = f"; mean of {runs} seeds" if runs > 1 else ""
    note = f"{np.mean(wrong) / runs:.1%} of {len(y):,} test points are mistaken{mean}"
    made, axes = style.figure(6.0, 5.8, margins=(0.6, 0.5, 0.15, 0.75), title=title, note=note)
    ax = axes[0, 0]
    for label, name in enumerate(classes):
        ax.scatter(*x[y == label, :2].T, s=14, color=style.PALETTE[label % 6], marker="os^Dv<"[label % 6], label=name)
    ends = sorted({0, 1, (runs + 1) // 2, runs})
    for fewer, many in pairwise(ends):
        times = (wrong > fewer) & (wrong <= many)
        if times.any():
            by = str(many) if many == fewer + 1 else f"{fewer + 1} to {many}"
            words = "mistaken" if runs == 1 else f"by {by}" if fewer else "mistaken by 1 seed"
            ring = {"s": 40 + 120 * many / runs, "facecolors": "none", "edgecolors": style.INK, "linewidths": 0.8}
            ax.scatter(*x[times, :2].T, label=words, **ring)
    ax.set(xlabel="x1", ylabel="x2")
    style.legend(made, ax)
    return made
