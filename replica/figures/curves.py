"""A training's curves: accuracy and loss by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from replica.common.files import HistoryRow
from replica.figures import style

METRICS = {"accuracy": "Accuracy", "loss": "Loss"}


def history(rows: Iterable[HistoryRow], images: int, title: str, seconds: float | None = None) -> Figure:
    """Accuracy and loss by epoch, training against validation or test; each seed thin, their mean thick.

    Parameters
    ----------
    rows
        Epoch (from 1), value, metric, data ("training", "validation", "test"), seed.
    images
        How many were trained on; written on the figure.
    seconds
        Of training, written on the figure where given. They differ from run to run, and the figure's bytes with them.
    """
    values: dict[tuple[str, str], dict[int, dict[int, float]]] = {}
    for epoch, value, metric, data, seed in rows:
        values.setdefault((metric, data), {}).setdefault(seed, {})[epoch] = value
    seeds = max((len(runs) for runs in values.values()), default=0)
    note = [f"{images:,} training images"]
    if seeds > 1:
        note.append(f"mean of {seeds} seeds")
    if seconds is not None:
        note.append(f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.1f} s")

    made, axes = style.figure(
        8.0,
        2.9,
        columns=len(METRICS),
        margins=(0.6, 0.45, 0.2, 0.62),
        gaps=(0.65, 0),
        title=title,
        note="  ·  ".join(note),
    )
    for ax, (metric, name) in zip(axes[0], METRICS.items(), strict=True):
        for (of, data), runs in values.items():
            if of == metric:
                curves(ax, runs, data)
        ax.set(title=name, xlabel="Epoch")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        ax.margins(x=0.03)
    axes[0, 0].yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.6g}%"))
    style.legend(made, axes[0, 0])
    return made


def curves(ax: Axes, runs: Mapping[int, Mapping[int, float]], data: str) -> None:
    """One metric on one set: each seed's line, and their mean."""
    colour = style.DATA[data]
    epochs = sorted(next(iter(runs.values())))
    lines = np.array([[run.get(epoch, math.nan) for epoch in epochs] for run in runs.values()])
    lines[~np.isfinite(lines)] = math.nan
    marker = "o" if len(epochs) == 1 else None
    if len(lines) > 1:
        ax.plot(epochs, lines.T, color=colour, linewidth=0.7, alpha=0.45)
    ax.plot(epochs, lines.mean(axis=0), color=colour, linewidth=2, marker=marker, label=data)
    if np.isnan(lines).all():
        ax.text(0.5, 0.5, "not a number", transform=ax.transAxes, ha="center", color=style.FAINT)
