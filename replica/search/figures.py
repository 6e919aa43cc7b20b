"""Figures of a random search: its trials as parallel coordinates, and validation accuracy over each hyperparameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from replica.figures import scales, style

Trials = list[dict[str, Any]]
Scale = Callable[..., np.ndarray]
ACCURACY = "validation_accuracy"
HALO = {"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8}


def logarithmic(values: np.ndarray) -> bool:
    """Whether values span so many powers of ten that a logarithmic axis reads better."""
    return bool(values.min() > 0 and values.max() / values.min() >= 100)


def parallel(trials: Trials, names: list[str]) -> Figure:
    """A line a trial through its hyperparameters to its validation accuracy; the chosen one is bold.

    The accuracy's scale is stretched towards 100%, so that trials that failed do not squash the others.

    Parameters
    ----------
    trials
        Each with its hyperparameters by name and `validation_accuracy`, 0 to 1.
    names
        The hyperparameters, in the order of the axes.
    """
    made, axes = style.figure(8.0, 3.9, margins=(0.5, 0.6, 0.3, 0.75), title="Trials", note="a line a trial")
    ax = axes[0, 0]
    heights = []
    for place, name in enumerate((*names, ACCURACY)):
        values = np.array([float(trial[name]) for trial in trials])
        scaled, marks, words = scaling(values, name)
        low, high = min(scaled(values).min(), *scaled(marks)), max(scaled(values).max(), *scaled(marks))
        heights.append((scaled(values) - low) / ((high - low) or 1))
        ax.axvline(place, color=style.FAINT, linewidth=0.8, zorder=1)
        for mark, height in zip(marks, (scaled(marks) - low) / ((high - low) or 1), strict=True):
            ax.plot((place - 0.02, place), (height, height), color=style.FAINT, linewidth=0.8, zorder=1)
            ax.text(place - 0.035, height, words(mark, None), ha="right", va="center", fontsize=8, zorder=4, bbox=HALO)
    best = chosen(trials)
    for number, line in enumerate(np.array(heights).T):
        label = ("the others", "chosen: best on validation images")[number == best]
        look = (
            {"color": style.VERMILLION, "linewidth": 2.6, "zorder": 3}
            if number == best
            else {"color": style.BLUE, "linewidth": 1.1, "alpha": 0.6, "zorder": 2}
        )
        ax.plot(line, label=label, **look)
    ax.set_xticks(range(len(heights)), [name.replace("_", " ") for name in (*names, ACCURACY)])
    ax.set(xlabel="Hyperparameters, and what came of them", ylabel="Each from low to high", yticks=[])
    ax.set(ylim=(-0.04, 1.04), xlim=(-0.4, len(heights) - 0.6))
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    style.legend(made, ax)
    return made


def scatter(trials: Trials, names: list[str]) -> Figure:
    """Validation accuracy over each hyperparameter, a point a trial, on a scale stretched towards 100%."""
    made, axes = style.figure(
        max(2.7 * len(names) + 0.75, 4.5), 3.2, columns=len(names), margins=(0.75, 0.55, 0.2, 0.75), gaps=(0.3, 0),
        title="Trials", note="a point a trial",
    )  # fmt: skip
    best = chosen(trials)
    accuracy = np.array([trial[ACCURACY] for trial in trials])
    others = np.arange(len(trials)) != best
    for ax, name in zip(axes[0], names, strict=True):
        values = np.array([float(trial[name]) for trial in trials])
        ax.scatter(
            values[others], accuracy[others], color=style.BLUE, s=28, linewidths=0, alpha=0.8, label="the others"
        )
        ax.scatter(
            values[best], accuracy[best], color=style.VERMILLION, marker="D", s=36, zorder=3,
            label="chosen: best on validation images",
        )  # fmt: skip
        if logarithmic(values):
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(scales.PLAIN)
            ax.xaxis.set_major_locator(LogLocator(numticks=4))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.margins(x=0.12)
        scales.stretch(ax, accuracy.min(), accuracy.max(), 0.005)
        ax.set(xlabel=name.replace("_", " "), ylabel="Validation accuracy" if ax is axes[0, 0] else "")
        ax.tick_params(labelleft=ax is axes[0, 0])
    style.legend(made, axes[0, 0])
    return made


def chosen(trials: Trials) -> int:
    """The place of the trial with the highest validation accuracy; of equals the first."""
    return int(np.argmax([trial[ACCURACY] for trial in trials]))


def scaling(values: np.ndarray, name: str) -> tuple[Scale, np.ndarray, FuncFormatter]:
    """How an axis places a column's values, which of them it writes, and in what words."""
    low, high = float(values.min()), float(values.max())
    if name == ACCURACY:
        marks = np.unique([np.floor(100 * low) / 100, *(mark for mark in scales.ticks(low, high) if mark >= 0.5)])
        return scales.stretched, marks, scales.PERCENT
    if logarithmic(values):
        return np.log10, 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1), scales.PLAIN
    return np.asarray, np.array(MaxNLocator(4).tick_values(low, high)), scales.PLAIN
