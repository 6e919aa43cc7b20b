"""Figures of several variants at once: lines over a knob, histories laid over each other or side by side.

claims.yaml declares them. Each function draws those of its variants that have been run.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from replica.common import files
from replica.figures import curves, scales, style
from replica.report import scatters
from replica.report.results import NotRunError, Results
from replica.report.scatters import Entry, Variants

METRICS = {"accuracy": "Accuracy", "loss": "Loss"}
SETS = {"training": "history.training.accuracy", "validation": "history.validation.accuracy", "test": "test.accuracy"}


def draw(
    declared: Sequence[dict[str, Any]], results: Results, theirs: Mapping[str, float], folder: Path
) -> dict[Path, str]:
    """Draw every declared figure of which a variant has been run, as `folder/FILE.png`, and say what each shows.

    What a figure draws lies beside it as `FILE.csv`, which `dvc plots` draws.

    Parameters
    ----------
    declared
        Entries of claims.yaml: file, kind, title, note, the knob's name, and variants by what the figure calls them, or
        the datasets all of whose variants are meant, as far as their seconds are known.
    theirs
        The documents' test accuracies, by variant, for the figures that show them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for figure in declared:
        among = figure.get("variants") or {
            name: name
            for name, entry in results.variants.items()
            if entry["data"]["dataset"] in figure["datasets"] and name in results.seconds
        }
        ran = {label: name for label, name in among.items() if results.curves(name)}
        if ran:
            file = folder / f"{figure['file']}.png"
            style.save(KINDS[figure["kind"]](results, ran, figure, theirs), file)
            header, rows = TABLES.get(figure["kind"], by_variant)(results, ran)
            files.write_csv(file.with_suffix(".csv"), header, rows)
            drawn[file] = ", ".join(filter(None, (figure["title"], figure.get("note"))))
    return drawn


def lines(results: Results, variants: Variants, declared: Entry, theirs: Mapping[str, float]) -> Figure:
    """Training, validation and test accuracy over a knob: a dot a seed, a line through their means.

    The sets stand a little beside each other, and the document's own figures, joined by dashes, on the knob's place.
    """
    made, axes = style.figure(
        8.0, 3.4, margins=(0.75, 0.5, 0.15, 0.7), title=declared["title"], note=declared.get("note", "")
    )
    ax = axes[0, 0]
    for beside, (data, quantity) in zip((-0.05, 0.0, 0.05), SETS.items(), strict=True):
        places, means = [], []
        for place, name in enumerate(variants.values()):
            try:
                sample = results.sample(name, quantity)
            except NotRunError:
                continue
            values = list(sample.values.values())
            ax.scatter([place + beside] * len(values), values, s=12, color=style.DATA[data], alpha=0.7, linewidths=0)
            places.append(place + beside)
            means.append(sample.mean)
        if places:
            ax.plot(places, means, color=style.DATA[data], linewidth=1.8, label=data)
    marks = [(place, theirs[name]) for place, name in enumerate(variants.values()) if name in theirs]
    if marks:
        ax.plot(
            *zip(*marks, strict=True), "o--", color=style.INK, linewidth=0.8, markersize=7, markerfacecolor="none",
            label="the document, test",
        )  # fmt: skip
    ax.set_xticks(range(len(variants)), [plain(label) for label in variants])
    ax.set(xlabel=declared.get("knob", ""), ylabel="Accuracy")
    ax.margins(x=0.04)
    ax.yaxis.set_major_formatter(scales.PERCENT)
    style.legend(made, ax)
    return made


def overlay(results: Results, variants: Variants, declared: Entry, theirs: Mapping[str, float]) -> Figure:
    """Accuracy by epoch of several variants laid over each other: on training images, and on those watched."""
    made, axes = style.figure(
        8.0, 3.2, columns=2, margins=(0.75, 0.45, 0.2, 0.65), gaps=(0.75, 0), title=declared["title"],
        note=declared.get("note", ""),
    )  # fmt: skip
    watched = "validation"
    for colour, (label, name) in zip(style.PALETTE, variants.items(), strict=False):
        for (metric, data), runs in results.curves(name).items():
            if metric != "accuracy":
                continue
            ax = axes[0, int(data != "training")]
            watched = data if data != "training" else watched
            epochs, values = table(runs)
            if len(values) > 1:
                ax.plot(epochs, values.T, color=colour, linewidth=0.7, alpha=0.4)
            ax.plot(epochs, values.mean(axis=0), color=colour, linewidth=2, label=str(label))
    for ax, data in zip(axes[0], ("training", watched), strict=True):
        by_epoch(ax)
        ax.set_ylabel(f"Accuracy, {data} images")
        ax.yaxis.set_major_formatter(scales.PERCENT)
    style.legend(made, axes[0, 0])
    return made


def facets(results: Results, variants: Variants, declared: Entry, theirs: Mapping[str, float]) -> Figure:
    """A column a variant, a row a metric: the seeds' mean, a point an epoch, joined by straight lines."""
    made, axes = style.figure(
        max(4.0, 1.85 * len(variants) + 0.8), 4.4, 2, len(variants), margins=(0.75, 0.45, 0.15, 0.95),
        gaps=(0.55, 0.42), title=declared["title"], note=declared.get("note", ""),
    )  # fmt: skip
    for column, (label, name) in enumerate(variants.items()):
        for (metric, data), runs in results.curves(name).items():
            epochs, values = table(runs)
            axes[list(METRICS).index(metric), column].plot(
                epochs, values.mean(axis=0), "o-", color=style.DATA[data], markersize=3, linewidth=1.2, label=data
            )
        for ax in axes[:, column]:
            by_epoch(ax)
        axes[0, column].set(title=str(label), xlabel="")
        axes[0, column].yaxis.set_major_formatter(scales.PERCENT)
    for row, text in enumerate(METRICS.values()):
        axes[row, 0].set_ylabel(text)
    style.legend(made, *axes[0])
    return made


def history(results: Results, variants: Variants, declared: Entry, theirs: Mapping[str, float]) -> Figure:
    """One variant's curves with the number of images and, from the committed record, the seconds of training."""
    name = next(iter(variants.values()))
    rows = [
        (epoch, value, metric, data, seed)
        for (metric, data), runs in results.curves(name).items()
        for seed, run in runs.items()
        for epoch, value in run.items()
    ]
    images = results.values(name, "history.training.accuracy")[1]
    seconds = results.values(name, "seconds")[0]
    shape = results.datasets[results.variants[name]["data"]["dataset"]]["shape"]
    taken = float(seconds[0]) if seconds else None
    return curves.history(rows, images, declared["title"], taken, "images" if len(shape) > 1 else "points")


KINDS: dict[str, Callable[..., Figure]] = {
    kind.__name__: kind for kind in (lines, overlay, facets, history, scatters.front, scatters.starts)
}


def knob(results: Results, variants: Variants) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows of the accuracies that lines show, means over the seeds."""
    rows = []
    for label, name in variants.items():
        for data, quantity in SETS.items():
            with contextlib.suppress(NotRunError):
                rows.append((plain(label), results.sample(name, quantity).mean, data))
    return ("variant", "accuracy", "data"), rows


def by_variant(results: Results, variants: Variants) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows of the accuracy by epoch that overlays and facets show, means over the seeds."""
    rows = []
    for label, name in variants.items():
        for (metric, data), runs in results.curves(name).items():
            if metric == "accuracy":
                epochs, values = table(runs)
                means = zip(epochs.astype(int).tolist(), values.mean(axis=0).tolist(), strict=True)
                rows += [(str(label), epoch, mean, data) for epoch, mean in means if math.isfinite(mean)]
    return ("variant", "epoch", "accuracy", "data"), rows


TABLES = {"lines": knob, "front": scatters.costs, "starts": scatters.by_start}


def table(runs: Mapping[int, Mapping[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs, [n], and values, [seeds, n]; epochs that a seed lacks are not a number there."""
    epochs = sorted(set().union(*runs.values()))
    return np.array(epochs, float), np.array([[run.get(epoch, math.nan) for epoch in epochs] for run in runs.values()])


def by_epoch(ax: Axes) -> None:
    ax.set_xlabel("Epoch")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    ax.margins(x=0.04)


def plain(label: Any) -> str:
    """A number without exponent, or text as it stands."""
    if isinstance(label, float):
        return f"{label:f}".rstrip("0").rstrip(".")
    return f"{label:,}" if isinstance(label, int) else str(label)
