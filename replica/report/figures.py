"""Figures of several variants at once: bars, lines over a knob, histories laid over each other or side by side.

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
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.interpolate import make_smoothing_spline

from replica.common import files
from replica.figures import curves, style
from replica.report.results import NotRunError, Results

METRICS = {"accuracy": "Accuracy", "loss": "Loss"}
SETS = {"training": "history.training.accuracy", "validation": "history.validation.accuracy", "test": "test.accuracy"}
COLOURS = {"training": style.BLUE, "validation": style.VERMILLION, "test": style.GREEN}

TICKS = ((0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95), (0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995))
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.6g}%")

Variants = Mapping[Any, str]  # what a figure calls a variant, to its name


def draw(
    declared: Sequence[dict[str, Any]], results: Results, theirs: Mapping[str, float], folder: Path
) -> dict[Path, str]:
    """Draw every declared figure of which a variant has been run, as `folder/FILE.png`, and say what each shows.

    What a figure draws lies beside it as `FILE.csv`, which `dvc plots` draws.

    Parameters
    ----------
    declared
        Entries of claims.yaml: file, kind, title, note, and variants by what the figure calls them, or the datasets all
        of whose variants are meant, as far as their seconds are known.
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
            file, note = folder / f"{figure['file']}.png", figure.get("note", "")
            style.save(KINDS[figure["kind"]](results, ran, figure["title"], note, theirs), file)
            header, rows = TABLES.get(figure["kind"], by_variant)(results, ran)
            files.write_csv(file.with_suffix(".csv"), header, rows)
            drawn[file] = ", ".join(filter(None, (figure["title"], note)))
    return drawn


def bars(results: Results, variants: Variants, title: str, note: str, theirs: Mapping[str, float]) -> Figure:
    """Test accuracy, a bar a variant with its interval and a dot a seed, beside the document's figure."""
    made, axes = style.figure(8.0, 3.2, margins=(0.6, 0.35, 0.15, 0.8), title=title, note=note)
    ax = axes[0, 0]
    for place, name in enumerate(variants.values()):
        test = results.read(name)["test"]
        seeds = list(results.sample(name, "test.accuracy").values.values())
        error = [[test["accuracy"] - test["accuracy_low"]], [test["accuracy_high"] - test["accuracy"]]]
        ax.bar(place - 0.2, test["accuracy"], 0.38, color=style.BLUE, label="ours" if not place else None)
        ax.errorbar(place - 0.2, test["accuracy"], error, color=style.INK, capsize=3, linewidth=1)
        ax.scatter(np.linspace(place - 0.28, place - 0.12, len(seeds)), seeds, s=9, color=style.SKY, zorder=3)
        ax.text(place - 0.2, 0.03, f"{test['accuracy']:.1%}", ha="center", fontsize=8, color="white")
        if name in theirs:
            ax.bar(place + 0.2, theirs[name], 0.38, color=style.GRID, edgecolor=style.FAINT, linewidth=0.8,
                   label="the document" if not place else None)  # fmt: skip
            ax.text(place + 0.2, 0.03, f"{theirs[name]:.1%}", ha="center", fontsize=8)
    ax.set_xticks(range(len(variants)), [plain(label) for label in variants])
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PERCENT)
    ax.grid(visible=False, axis="x")
    legend(made, ax)
    return made


def lines(results: Results, variants: Variants, title: str, note: str, theirs: Mapping[str, float]) -> Figure:
    """Training, validation and test accuracy over a knob: a dot a seed, a line through their means."""
    made, axes = style.figure(8.0, 3.2, margins=(0.6, 0.35, 0.15, 0.8), title=title, note=note)
    ax = axes[0, 0]
    for data, quantity in SETS.items():
        places, means = [], []
        for place, name in enumerate(variants.values()):
            try:
                sample = results.sample(name, quantity)
            except NotRunError:
                continue
            values = list(sample.values.values())
            ax.scatter([place] * len(values), values, s=10, color=COLOURS[data], alpha=0.6, linewidths=0)
            places.append(place)
            means.append(sample.mean)
        ax.plot(places, means, color=COLOURS[data], linewidth=2, label=data)
    marks = [(place, theirs[name]) for place, name in enumerate(variants.values()) if name in theirs]
    if marks:
        ax.scatter(*zip(*marks, strict=True), s=46, facecolors="none", edgecolors=style.INK, label="the document")
    ax.set_xticks(range(len(variants)), [plain(label) for label in variants])
    ax.margins(x=0.04)
    ax.yaxis.set_major_formatter(PERCENT)
    legend(made, ax)
    return made


def overlay(results: Results, variants: Variants, title: str, note: str, theirs: Mapping[str, float]) -> Figure:
    """Accuracy by epoch of several variants laid over each other: on training images, and on those watched."""
    made, axes = style.figure(8.0, 3.2, columns=2, margins=(0.6, 0.45, 0.2, 1), gaps=(0.6, 0), title=title, note=note)
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
        by_epoch(ax, f"Accuracy, {data} images")
        ax.yaxis.set_major_formatter(PERCENT)
    legend(made, axes[0, 0])
    return made


def facets(results: Results, variants: Variants, title: str, note: str, theirs: Mapping[str, float]) -> Figure:
    """A column a variant, a row a metric: a point an epoch (the seeds' mean), with a smoothing spline through them."""
    made, axes = style.figure(
        max(4.0, 1.85 * len(variants) + 0.8), 4.4, 2, len(variants), margins=(0.72, 0.45, 0.15, 1), gaps=(0.5, 0.42),
        title=title, note=note,
    )  # fmt: skip
    for column, (label, name) in enumerate(variants.items()):
        for (metric, data), runs in results.curves(name).items():
            ax = axes[list(METRICS).index(metric), column]
            epochs, values = table(runs)
            mean = values.mean(axis=0)
            ax.scatter(epochs, mean, s=9, color=COLOURS[data], linewidths=0, label=data)
            if len(epochs) >= 5 and np.isfinite(mean).all():
                fine = np.linspace(epochs[0], epochs[-1], 100)
                ax.plot(fine, make_smoothing_spline(epochs, mean)(fine), color=COLOURS[data], linewidth=1.4)
        by_epoch(axes[0, column], str(label))
        by_epoch(axes[1, column], "")
        axes[0, column].set_xlabel("")
        axes[0, column].yaxis.set_major_formatter(PERCENT)
    for row, text in enumerate(METRICS.values()):
        axes[row, 0].set_ylabel(text)
    legend(made, *axes[0])
    return made


def history(results: Results, variants: Variants, title: str, note: str, theirs: Mapping[str, float]) -> Figure:
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
    return curves.history(rows, images, title, float(seconds[0]) if seconds else None)


def front(results: Results, variants: Variants, title: str, note: str, theirs: Mapping[str, float]) -> Figure:
    """Test accuracy over the seconds of training, a panel a dataset; a line through those that none beats in both."""
    rows = costs(results, variants)[1]
    datasets = list(dict.fromkeys(row[1] for row in rows))
    made, axes = style.figure(
        9.2, 4.2, columns=len(datasets), margins=(0.6, 0.45, 0.3, 0.85), gaps=(0.65, 0), title=title, note=note
    )
    for ax, dataset in zip(axes[0], datasets, strict=True):
        of = [row for row in rows if row[1] == dataset]
        for own, label in ((False, "the documents'"), (True, "our own")):
            places = [(row[2], row[3]) for row in of if (results.documents and row[0] not in results.documents) == own]
            if places:
                ax.scatter(
                    *zip(*places, strict=True), s=22, color=(style.BLUE, style.GREEN)[own], label=label, zorder=3
                )
        best = [row for row in of if row[4]]
        ax.step([row[2] for row in best], [row[3] for row in best], where="post", color=style.VERMILLION, linewidth=1.2)
        for place, (name, _, seconds, accuracy, _) in enumerate(best):  # in turn above and below, not over each other
            side = {"xytext": (-4, 3), "ha": "right"} if place % 2 else {"xytext": (4, -4), "va": "top"}
            ax.annotate(name, (seconds, accuracy), textcoords="offset points", fontsize=7, **side)
        low, high = (stretched(end(row[3] for row in of)) for end in (min, max))
        ends = [gathered(low - 0.1 * (high - low) - 0.05), gathered(high + 0.1 * (high - low) + 0.05)]
        ticks = [tick for tick in TICKS[int(ends[1] > 0.95)] if ends[0] < tick < ends[1]]
        ax.set_yscale("function", functions=(stretched, gathered))
        ax.set(title=dataset, xscale="log", xlabel="Seconds of training, a seed", yticks=ticks, ylim=ends)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
        ax.yaxis.set_major_formatter(PERCENT)
        ax.margins(x=0.2)
    legend(made, *axes[0])
    return made


KINDS: dict[str, Callable[..., Figure]] = {
    kind.__name__: kind for kind in (bars, lines, overlay, facets, history, front)
}


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


def knob(results: Results, variants: Variants) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows of the accuracies that bars and lines show, means over the seeds."""
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
                rows += [(str(label), epoch, mean, data) for epoch, mean in means]
    return ("variant", "epoch", "accuracy", "data"), rows


TABLES = {"bars": knob, "lines": knob, "front": costs}


def legend(made: Figure, *panels: Axes) -> None:
    """One row below the title, where it hides nothing, of what stands in any of the panels."""
    entries: dict[str, Any] = {}
    for ax in panels:
        handles, labels = ax.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    place = (0.06 / made.get_figwidth(), 1 - 0.33 / made.get_figheight())
    made.legend(
        entries.values(), entries.keys(), loc="upper left", bbox_to_anchor=place, borderaxespad=0, ncols=len(entries)
    )


def table(runs: Mapping[int, Mapping[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs, [n], and values, [seeds, n]; epochs that a seed lacks are not a number there."""
    epochs = sorted(next(iter(runs.values())))
    return np.array(epochs, float), np.array([[run.get(epoch, math.nan) for epoch in epochs] for run in runs.values()])


def stretched(accuracy: Any) -> Any:
    """Accuracies on a scale where 99% and 99.5% are as far apart as 90% and 95%."""
    return -np.log10(np.maximum(1.0001 - accuracy, 1e-4))


def gathered(place: Any) -> Any:
    """The inverse of `stretched`."""
    return 1.0001 - 10.0**-place


def by_epoch(ax: Axes, title: str) -> None:
    ax.set(title=title, xlabel="Epoch")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    ax.margins(x=0.04)


def plain(label: Any) -> str:
    """A number without exponent, or text as it stands."""
    if isinstance(label, float):
        return f"{label:f}".rstrip("0")
    return f"{label:,}" if isinstance(label, int) else str(label)
