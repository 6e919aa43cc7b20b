"""Axes of shares: per cent, and a scale on which a network that failed does not squash those that did not."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.6g}%")
COUNT = FuncFormatter(lambda number, _: f"{number:,.6g}")
PLAIN = FuncFormatter(lambda number, _: f"{number:.10f}".rstrip("0").rstrip("."))
TICKS = ((0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95), (0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995))


def stretched(share: Any) -> Any:
    """Shares on a scale where 99% and 99.5% are as far apart as 90% and 95%."""
    return -np.log10(np.maximum(1.0001 - share, 1e-4))


def gathered(place: Any) -> Any:
    """The inverse of `stretched`."""
    return 1.0001 - 10.0**-place


def ticks(low: float, high: float) -> list[float]:
    """Shares to write at a stretched axis from low to high."""
    return [tick for tick in TICKS[int(high > 0.95)] if low < tick < high]


def stretch(ax: Axes, low: float, high: float, room: float = 0.05) -> None:
    """Let the y axis be stretched, in per cent, from a little below `low` to a little above `high`."""
    bottom, top = stretched(low), stretched(high)
    ends = (gathered(bottom - 0.1 * (top - bottom) - room), gathered(top + 0.1 * (top - bottom) + room))
    ax.set_yscale("function", functions=(stretched, gathered))
    ax.set_ylim(ends)
    ax.yaxis.set_major_locator(FixedLocator(ticks(*ends)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(PERCENT)
