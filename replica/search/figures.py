"""Figures of a random search: its trials as parallel coordinates, and validation accuracy over each hyperparameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from replica.figures import style

Trials = list[dict[str, Any]]


def logarithmic(values: list[float]) -> bool:
    """Whether values span so many powers of ten that a logarithmic axis reads better."""
    return min(values) > 0 and max(values) / min(values) >= 100


def parallel(trials: Trials, names: list[str], file: Path) -> None:
    """A line a trial through its hyperparameters to its validation accuracy; the best is drawn bold.

    Parameters
    ----------
    trials
        Each with its hyperparameters by name and `validation_accuracy`, 0 to 1.
    names
        The hyperparameters, in the order of the axes.
    """
    columns = [*names, "validation_accuracy"]
    places, ticks = [], []
    for name in columns:
        values = [float(trial[name]) for trial in trials]
        scaled = np.log10(values) if logarithmic(values) else np.array(values)
        low, high = scaled.min(), scaled.max()
        places.append((scaled - low) / ((high - low) or 1))
        ticks.append((min(values), max(values)))
    made, axes = style.figure(7.2, 3.4, margins=(0.6, 0.55, 0.6, 0.75), title="Trials", note="the best one bold")
    ax = axes[0, 0]
    accuracy = [trial["validation_accuracy"] for trial in trials]
    best = int(np.argmax(accuracy))
    for number, heights in enumerate(np.array(places).T):
        chosen = number == best
        colour = style.VERMILLION if chosen else style.BLUE
        ax.plot(heights, color=colour, linewidth=2.6 if chosen else 1.1, alpha=1 if chosen else 0.55, zorder=2 + chosen)
    for place, (name, (low, high)) in enumerate(zip(columns, ticks, strict=True)):
        ax.axvline(place, color=style.FAINT, linewidth=0.8, zorder=1)
        ax.text(place, 1.04, f"{high:.4g}", ha="center", fontsize=8, color=style.INK)
        ax.text(place, -0.09, f"{low:.4g}", ha="center", fontsize=8, color=style.INK)
        ax.text(place, 1.15, name.replace("_", " "), ha="center", fontweight="bold")
    ax.set(xticks=[], yticks=[], ylim=(-0.02, 1.02), xlim=(-0.3, len(columns) - 0.7))
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    style.save(made, file)


def scatter(trials: Trials, names: list[str], file: Path) -> None:
    """Validation accuracy over each hyperparameter, a point a trial."""
    made, axes = style.figure(
        2.7 * len(names) + 0.6,
        2.9,
        columns=len(names),
        margins=(0.65, 0.55, 0.2, 0.6),
        gaps=(0.55, 0),
        title="Validation accuracy",
    )
    for ax, name in zip(axes[0], names, strict=True):
        points(ax, trials, name)
    style.save(made, file)


def points(ax: Axes, trials: Trials, name: str) -> None:
    """One hyperparameter's panel."""
    values = [float(trial[name]) for trial in trials]
    accuracy = [trial["validation_accuracy"] for trial in trials]
    best = int(np.argmax(accuracy))
    colours = [style.VERMILLION if number == best else style.BLUE for number in range(len(trials))]
    ax.scatter(values, accuracy, c=colours, s=28, linewidths=0, alpha=0.85)
    ax.set_xlabel(name.replace("_", " "))
    if logarithmic(values):
        ax.set_xscale("log")
