"""The page's own drawings as plain coordinates, which its templates turn into SVG: small, and of the page's colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.ticker import MaxNLocator

from replica.report.results import Curves

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 340, 170, 44, 22, 8, 8
LONGEST = 120  # points of a line


@dataclass
class Panel:
    """One metric by epoch: lines as (data, kind, points), ticks as (place, text), places in SVG units."""

    metric: str
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)


def panels(curves: Curves) -> list[Panel]:
    """Accuracy and loss by epoch, each seed's line thin (`seed`), their mean's thick (`mean`)."""
    return [panel(metric, {data: runs for (of, data), runs in curves.items() if of == metric})
            for metric in ("accuracy", "loss") if any(of == metric for of, _ in curves)]  # fmt: skip


def panel(metric: str, sets: Mapping[str, Mapping[int, Mapping[int, float]]]) -> Panel:
    """One metric of the training images and of those watched."""
    made = Panel(metric)
    epochs = sorted({epoch for runs in sets.values() for run in runs.values() for epoch in run})
    finite = [value for runs in sets.values() for run in runs.values() for value in run.values()
              if math.isfinite(value)]  # fmt: skip
    if not finite:
        return made
    marks = MaxNLocator(4).tick_values(min(finite), max(finite))
    if metric == "accuracy":  # round ticks reach past what a share can be
        marks = [mark for mark in marks if 0 <= mark <= 1]
    low, high = min(*marks, *finite), max(*marks, *finite)
    high += (high == low) * 1.0

    def place(epoch: int, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (epoch - epochs[0]) / max(epochs[-1] - epochs[0], 1)
        return round(x, 1), round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    scale = 100 if metric == "accuracy" else 1
    digits = max(len(f"{scale * mark:.6g}".partition(".")[2]) for mark in marks)
    for mark in marks:
        text = f"{scale * mark:.{digits}f}"
        made.y_ticks.append((place(epochs[0], mark)[1], text + "%" * (metric == "accuracy")))
    for epoch in sorted({epochs[0], epochs[len(epochs) // 2], epochs[-1]}):
        made.x_ticks.append((place(epoch, low)[0], f"{epoch:,}"))
    step = math.ceil(len(epochs) / LONGEST)
    shown = [*epochs[:-1:step], epochs[-1]]
    for data, runs in sets.items():
        lines = [("seed", run) for run in runs.values()] if len(runs) > 1 else []
        mean = {epoch: average([run[epoch] for run in runs.values() if epoch in run]) for epoch in shown}
        for kind, run in [*lines, ("mean", mean)]:
            points = [place(epoch, run[epoch]) for epoch in shown if math.isfinite(run.get(epoch, math.nan))]
            made.lines.append((data, kind, " ".join(f"{x:g},{y:g}" for x, y in points)))
    return made


def average(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
