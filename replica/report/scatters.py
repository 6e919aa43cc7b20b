"""Figures of several variants as dots: accuracy over seconds with the front, and which starts of a training succeed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from replica.figures import scales, style
from replica.report.results import Results

SOLVED = 0.1  # the test loss that document E wants below

Variants = Mapping[Any, str]  # what a figure calls a variant, to its name
Entry = Mapping[str, Any]  # of claims.yaml


def front(results: Results, variants: Variants, declared: Entry, theirs: Mapping[str, float]) -> Figure:
    """Test accuracy over the seconds of training, a panel a dataset; a line through those that none beats in both."""
    rows = costs(results, variants)[1]
    datasets = list(dict.fromkeys(row[1] for row in rows))
    made, axes = style.figure(
        9.2, 4.2, columns=len(datasets), margins=(0.75, 0.45, 0.3, 0.85), gaps=(0.75, 0),
        title=declared["title"], note=declared.get("note", ""),
    )  # fmt: skip
    for ax, dataset in zip(axes[0], datasets, strict=True):
        of = [row for row in rows if row[1] == dataset]
        for own, label, marker in ((False, "the documents'", "o"), (True, "our own", "D")):
            places = [(row[2], row[3]) for row in of if (results.documents and row[0] not in results.documents) == own]
            if places:
                colour = (style.BLUE, style.GREEN)[own]
                ax.scatter(*zip(*places, strict=True), s=22, color=colour, marker=marker, label=label, zorder=3)
        best = [row for row in of if row[4]]
        ax.step([row[2] for row in best], [row[3] for row in best], where="post", color=style.VERMILLION, linewidth=1.2)
        scales.stretch(ax, min(row[3] for row in of), max(row[3] for row in of))
        ax.set(title=dataset, xscale="log", xlabel="Seconds of training, a seed", ylabel="Test accuracy")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(scales.PLAIN)
        ax.margins(x=0.25)
        names(ax, {row[0]: (row[2], row[3]) for row in best}, np.array([(row[2], row[3]) for row in of]))
    style.legend(made, *axes[0])
    return made


def names(ax: Axes, named: Mapping[str, tuple[float, float]], dots: np.ndarray) -> None:
    """Write names beside their dots, where they cover neither a dot nor each other and as little as can be of a line.

    Parameters
    ----------
    named
        Places by name, in the axes' own units.
    dots
        All dots' places, [n, 2].
    """
    ax.autoscale_view()
    inside, pixels = ax.get_window_extent(), ax.transData.transform
    centres = pixels(dots)
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in centres]
    path = np.concatenate([pixels(line.get_path().interpolated(30).vertices) for line in ax.lines])

    def cost(spot: tuple[int, Bbox], own: np.ndarray) -> tuple[int, float]:
        distance, box = spot
        outside = box.x0 < inside.x0 or box.x1 > inside.x1 + 15 or box.y0 < inside.y0 or box.y1 > inside.y1
        covered = sum(bool(box.padded(1).overlaps(other)) for other in taken)
        gaps = np.abs(centres - np.clip(centres, box.min, box.max)).max(axis=1)
        nearer = int((gaps < np.abs(own - np.clip(own, box.min, box.max)).max()).sum())  # would seem to be another's
        return covered + nearer + 4 * outside, distance + 3 * box.count_contains(path)

    for name, place in named.items():
        text = ax.annotate(
            name, place, (0, 0), textcoords="offset pixels", fontsize=8, zorder=4, va="bottom",
            arrowprops={"arrowstyle": "-", "color": style.FAINT, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip
        x, y = pixels(place)
        size = Text.get_window_extent(text)
        spots = [
            (distance, Bbox.from_bounds(x + across, y + up - size.height / 2, size.width, size.height))
            for distance in range(7, 80, 6)
            for across in (distance, -distance - size.width, -size.width / 2)
            for up in (0, distance, -distance)
            if across != -size.width / 2 or abs(up) > size.height / 2 + 4
        ]
        distance, spot = min(spots, key=partial(cost, own=pixels(place)))
        taken.append(spot)
        text.set_position((spot.x0 - x, spot.y0 - y))
        if distance < 15 and text.arrow_patch:  # near enough to need no line
            text.arrow_patch.set_visible(False)


def costs(results: Results, variants: Variants) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows of what front shows, the quickest first: whether none is quicker and at least as good."""
    places = sorted(
        (float(results.seconds[name]["train_seconds"]), -results.sample(name, "test.accuracy").mean, name)
        for name in variants.values()
    )
    best: dict[str, float] = {}
    rows = []
    for seconds, wrong, name in places:
        dataset = results.variants[name]["data"]["dataset"]
        leads = -wrong > best.get(dataset, 0.0)
        best[dataset] = max(-wrong, best.get(dataset, 0.0))
        rows.append((name, dataset, seconds, -wrong, int(leads)))
    order = list(dict.fromkeys(results.variants[name]["data"]["dataset"] for name in variants.values()))
    rows.sort(key=lambda row: order.index(row[1]))
    return ("variant", "dataset", "seconds", "accuracy", "front"), rows


def starts(results: Results, variants: Variants, declared: Entry, theirs: Mapping[str, float]) -> Figure:
    """The test loss in which each start of a training ends, a dot a start, and how many come below 0.1.

    A ring marks the start that is chosen by its training loss. A variant that has not been run keeps its place.
    """
    made, axes = style.figure(
        8.0, 3.6, margins=(0.75, 0.5, 0.15, 0.85), title=declared["title"], note=declared.get("note", "")
    )
    ax = axes[0, 0]
    rows = by_start(results, variants)[1]
    among = list(declared["variants"])
    for low, label, look in (
        (1, f"below {SOLVED}", {"color": style.BLUE}),
        (0, "not below", {"facecolors": "none", "edgecolors": style.VERMILLION, "linewidths": 0.8}),
    ):
        shown = [row for row in rows if row[4] == low]
        if shown:
            places = [among.index(row[0]) - 0.36 + 0.72 * row[1] for row in shown]
            ax.scatter(places, [row[3] for row in shown], s=14, label=label, **look)
    for place, label in enumerate(among):
        of = [row for row in rows if row[0] == label]
        below = sum(row[4] for row in of)
        ax.text(
            place, 1.02, f"{below} of {len(of)}" if of else "not run", transform=ax.get_xaxis_transform(),
            ha="center", va="bottom", color=style.INK if below else style.FAINT,
        )  # fmt: skip
        if of:
            chosen = min(of, key=lambda row: row[2])
            ax.scatter(
                place - 0.36 + 0.72 * chosen[1], chosen[3], s=90, facecolors="none", edgecolors=style.INK, zorder=3,
                label=None if place > among.index(rows[0][0]) else "chosen by its training loss",
            )  # fmt: skip
    ax.axhline(SOLVED, color=style.INK, linewidth=0.8, linestyle="--")
    ax.set(xlabel=declared.get("knob", ""), ylabel="Test loss", yscale="log", xlim=(-0.5, len(among) - 0.5))
    ax.yaxis.set_major_formatter(scales.PLAIN)
    ax.set_xticks(range(len(among)), among)
    ax.grid(visible=False, axis="x")
    style.legend(made, ax)
    return made


def by_start(results: Results, variants: Variants) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows of each start's last losses; `start` lies from 0 to 1, and `below` says whether it is solved."""
    rows = []
    for label, name in variants.items():
        training, test = (results.sample(name, f"history.{data}.loss").values for data in ("training", "test"))
        for place, (seed, loss) in enumerate(test.items()):
            rows.append((label, place / max(len(test) - 1, 1), training[seed], loss, int(loss < SOLVED)))
    return ("variant", "start", "training", "test", "below"), rows
