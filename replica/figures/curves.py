"""A training's curves: accuracy and loss by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from replica.common.files import HistoryRow
from replica.figures import scales, style

METRICS = {"accuracy": "Accuracy", "loss": "Loss"}
LINES = 5  # seeds at most that are drawn one by one


def history(
    rows: Iterable[HistoryRow], examples: int, title: str, seconds: float | None = None, kind: str = "images"
) -> Figure:
    """Accuracy and loss by epoch, training against validation or test.

    Up to five seeds have a thin line each, and their mean, as long as all train, a thick one; of more, the median is
    drawn over a band that holds the middle half of them, between thin lines of the lowest and the highest.

    Parameters
    ----------
    rows
        Epoch (from 1), value, metric, data ("training", "validation", "test"), seed.
    examples
        How many were trained on; written on the figure.
    seconds
        Of training, written on the figure where given. They differ from run to run, and the figure's bytes with them.
    kind
        What an example is: `images` or `points`.
    """
    values: dict[tuple[str, str], dict[int, dict[int, float]]] = {}
    for epoch, value, metric, data, seed in rows:
        values.setdefault((metric, data), {}).setdefault(seed, {})[epoch] = value
    seeds = max((len(runs) for runs in values.values()), default=0)
    note = [f"{examples:,} training {kind}"]
    if seeds > LINES:
        note.append(f"{seeds} seeds: their median, middle half and range")
    elif seeds > 1:
        note.append(f"mean of {seeds} seeds")
    if seconds is not None:
        note.append(f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.1f} s")

    made, axes = style.figure(
        8.0,
        3.1,
        columns=len(METRICS),
        margins=(0.75, 0.45, 0.2, 0.65),
        gaps=(0.75, 0),
        title=title,
        note="  ·  ".join(note),
    )
    for ax, (metric, name) in zip(axes[0], METRICS.items(), strict=True):
        for (of, data), runs in values.items():
            if of == metric:
                curves(ax, runs, data)
        ax.set(xlabel="Epoch", ylabel=name)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        ax.xaxis.set_major_formatter(scales.COUNT)
        ax.margins(x=0.03)
    axes[0, 0].yaxis.set_major_formatter(scales.PERCENT)
    style.legend(made, axes[0, 0])
    return made


def curves(ax: Axes, runs: Mapping[int, Mapping[int, float]], data: str) -> None:
    """One metric on one set: each seed's line and their mean, or of many seeds the median, middle half and range."""
    colour = style.DATA[data]
    epochs = sorted(set().union(*runs.values()))  # a seed that stopped early has fewer
    lines = np.array([[run.get(epoch, math.nan) for epoch in epochs] for run in runs.values()])
    lines[~np.isfinite(lines)] = math.nan
    centre = lines.mean(axis=0)
    if len(lines) > LINES:
        low, first, centre, third, high = np.percentile(lines, (0, 25, 50, 75, 100), axis=0)
        ax.fill_between(epochs, first, third, color=colour, alpha=0.18, linewidth=0)
        ax.plot(epochs, np.stack((low, high), axis=1), color=colour, linewidth=0.7, alpha=0.6)
    elif len(lines) > 1:
        ax.plot(epochs, lines.T, color=colour, linewidth=0.7, alpha=0.45)
    ax.plot(epochs, centre, color=colour, linewidth=2, marker="o" if len(epochs) == 1 else None, label=data)
    if np.isnan(lines).all():
        ax.text(0.5, 0.5, "not a number", transform=ax.transAxes, ha="center", color=style.FAINT)
