"""Every kind of figure from made-up data, each by itself in tests/golden/figures and all on one sheet: `make figures`.

`FIGURES` is also what tests/figures/test_sheet.py looks at.
"""

from __future__ import annotations

import math
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from replica.common import files  # first, which pins NumPy's kernels

# isort: split
import made_up
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from replica.convolution import figures as convolution
from replica.datasets import samples
from replica.evaluation import figures as evaluation
from replica.figures import curves, style
from replica.report import figures as report
from replica.report.results import Results
from replica.search import figures as search
from stages import surface

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
DIGITS = [str(digit) for digit in range(10)]
KNOBS = {0.0: "v0", 0.00001: "v1", 0.0001: "v2", 0.01: "v3"}
STARTS = {"1 unit": "w1", "2 units": "w2", "3 units": "w3", "random halves": "later"}


def rows(seeds: int, epochs: int, watched: str) -> list[files.HistoryRow]:
    return [
        (epoch, 1 - 0.7 * math.exp(-epoch / epochs * 3) - 0.02 * seed - gap if metric == "accuracy"
         else 2.3 * math.exp(-epoch / epochs * 3) + 0.05 * seed + gap, metric, data, seed)
        for seed in range(seeds)
        for epoch in range(1, epochs + 1)
        for data, gap in (("training", 0.0), (watched, 0.08))
        for metric in ("accuracy", "loss")
    ]  # fmt: skip


@cache
def results() -> Results:
    """Variants over a knob, with a failed one; a spiral's starts; seconds of all but the starts."""
    root = Path(tempfile.mkdtemp())
    accuracies = {"v0": [0.62, 0.6, 0.61], "v1": [0.69, 0.7, 0.72], "v2": [0.9, 0.91, 0.905], "v3": [0.1, 0.1, 0.1],
                  "v4": [0.992, 0.991, 0.993], "v5": [0.985, 0.986, 0.984], "ours": [0.995]}  # fmt: skip
    for name, values in accuracies.items():
        made_up.variant(root, name, values, watched="test" if name == "v3" else "validation")
    seconds = {"v0": 3, "v1": 7.5, "v2": 8, "v3": 60, "v4": 90, "v5": 88, "ours": 100}
    table = [(name, taken, 1, "a CPU") for name, taken in seconds.items()]
    files.write_csv(root / "benchmarks/seconds.csv", ("variant", "train_seconds", "seeds", "cpu"), table)
    declared = {name: {"data": {"dataset": "cifar10" if name in ("v0", "v1") else "mnist"}} for name in accuracies}
    spiral = {name: {"data": {"dataset": "spiral"}} for name in STARTS.values()}
    datasets = {"cifar10": {"shape": [32, 32, 3]}, "mnist": {"shape": [28, 28, 1]}}
    made = Results(
        {"variants": {**declared, **spiral}, "datasets": datasets}, root, documents=set(accuracies) - {"ours"}
    )
    drawn = np.random.default_rng(0)
    for name, scale in (("w1", 0.9), ("w2", 0.5), ("w3", 0.3)):
        losses = np.maximum(scale * drawn.random(100), 0.002).tolist()
        made_up.put(made, name, history_training_loss=losses, history_test_loss=losses, test_loss=[0.0] * 100)
    return made


def declared(kind: str, variants: dict, **more: str) -> Figure:
    """A figure as claims.yaml declares it."""
    made = results()
    entry = {"title": f"A figure of the kind {kind}", "note": "a note", "variants": variants, **more}
    ran = {label: name for label, name in variants.items() if made.curves(name)}
    return report.KINDS[kind](made, ran, entry, {"v0": 0.5, "v2": 0.95})


def images(count: int, side: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def mistakes(count: int, wrong: int, side: int, channels: int, classes: list[str]) -> Figure:
    y = np.arange(count) % 10
    p = np.eye(10)[np.where(np.arange(count) < wrong, (y + 1) % 10, y)] * 0.99
    return evaluation.mistakes(images(count, side, channels), y, [p], classes, "a_variant")


def confusion(classes: list[str], largest: int) -> Figure:
    counts = np.eye(10, dtype=int) * largest + np.arange(100).reshape(10, 10)
    flat = np.full((10, 10), 100)
    dummies = {
        f"{name} dummy, {part}: 10.00%": flat for name in ("most frequent", "stratified") for part in ("train", "test")
    }
    two = {f"network, seed 0, {part}: 73.07%": counts for part in ("train", "test")}
    return evaluation.confusion(two, dummies, classes, "cifar10_deep_50k_long")


def spiral() -> tuple[np.ndarray, np.ndarray]:
    turn = np.linspace(0.3, 9, 60)
    arm = np.stack((turn / 2 * np.cos(turn), turn / 2 * np.sin(turn)), axis=1)
    return np.concatenate((arm, -arm)), np.repeat([0, 1], len(turn))


def points(runs: int) -> Figure:
    x, y = spiral()
    drawn = np.random.default_rng(0)
    hard = drawn.random(len(y)) ** 4
    answers = [np.eye(2)[np.where(drawn.random(len(y)) < hard, 1 - y, y)] for _ in range(runs)]
    return evaluation.mistakes(x, y, answers, ["first", "second"], "spiral")


def decision() -> Figure:
    class Data:
        x_train, y_train = spiral()
        x_test, y_test = -spiral()[0], spiral()[1]
        classes = ("first", "second")

    outputs = np.tanh(np.linspace(-3, 3, surface.PIXELS))[None] * np.ones((surface.PIXELS, 1))
    return surface.draw(outputs, Data, "start 10 of 100, chosen by its training loss; test loss 0.0024")


def trials() -> list[dict[str, float]]:
    drawn = np.random.default_rng(1)
    return [
        {"units": float(drawn.integers(10, 90)), "dropout": 0.5 * drawn.random(), "learning_rate": 10.0 ** -(n % 5 + 1),
         "validation_accuracy": 0.0989 if n % 5 == 0 else 0.94 + 0.053 * drawn.random()}
        for n in range(20)
    ]  # fmt: skip


NAMES = ["units", "dropout", "learning_rate"]
DIGIT = np.zeros((28, 28), np.uint8)
DIGIT[10:12, 4:24] = DIGIT[4:20, 18:20] = 250
KERNEL = np.array([[-0.5] * 3, [1] * 3, [-0.5] * 3])
PICTURE = images(200, 1, 1)[:, 0, 0, 0][:, None] // 2 + np.arange(200, dtype=np.uint8)[None] // 2
KERNELS = {
    "outline": np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "sharpen": np.array([[0, -1, 0], [-1, 8, -1], [0, -1, 0]]),
}
FIGURES: dict[str, Callable[[], Figure]] = {
    "history": lambda: curves.history(rows(3, 60, "validation"), 45_000, "cifar10_deep_50k_long", 1234.5),
    "history, many seeds": lambda: curves.history(rows(10, 16_000 // 100, "test"), 250, "spiral", kind="points"),
    "confusion": lambda: confusion(CLASSES, 900),
    "confusion, digits": lambda: confusion(DIGITS, 6_742),
    "confusion, many classes": lambda: evaluation.confusion(
        {"test": np.eye(60, dtype=int)}, {}, [f"{number}, a class of a long name" for number in range(60)], "own"
    ),
    "mistakes": lambda: mistakes(200, 20, 32, 3, CLASSES),
    "few mistakes": lambda: mistakes(200, 2, 28, 1, DIGITS),
    "no mistakes": lambda: mistakes(200, 0, 28, 1, DIGITS),
    "points": lambda: points(1),
    "points, three seeds": lambda: points(3),
    "points, many seeds": lambda: points(10),
    "search, parallel": lambda: search.parallel(trials(), NAMES),
    "search, scatter": lambda: search.scatter(trials(), NAMES),
    "search, scatter of one": lambda: search.scatter(trials(), NAMES[:1]),
    "lines": lambda: declared("lines", KNOBS, knob="A factor"),
    "overlay": lambda: declared("overlay", {"one convolution": "v0", "two": "v1", "three": "v2", "four": "v4"}),
    "facets": lambda: declared("facets", dict(zip("abcde", ("v0", "v1", "v2", "v3", "v4"), strict=True))),
    "a variant's history": lambda: declared("history", {"v0": "v0"}),
    "front": lambda: declared("front", {name: name for name in ("v0", "v1", "v2", "v3", "v4", "v5", "ours")}),
    "starts": lambda: declared("starts", STARTS, knob="What is tried"),
    "by hand": lambda: convolution.by_hand(DIGIT, (8, 14), 5, KERNEL, 100),
    "strokes": lambda: convolution.strokes(DIGIT, KERNEL, [-150, -200]),
    "kernels": lambda: convolution.kernels(PICTURE, KERNELS),
    "heat maps": lambda: convolution.heatmaps(PICTURE, KERNELS),
    "tables": lambda: convolution.tables(PICTURE, KERNELS, 10),
    "surface": decision,
    "dataset": lambda: samples.draw("cifar10", CLASSES, images(30, 32, 3), np.arange(30) % 10),
    "dataset of points": lambda: samples.draw("spiral", ["first", "second"], *spiral()),
}  # fmt: skip


GOLDEN = Path(__file__).parents[1] / "golden/figures"


def file(name: str) -> str:
    return re.sub(r"\W+", "_", name) + ".png"


def sheet(target: Path, figures: Iterable[Path], columns: int = 3) -> None:
    """Figures in columns, each put where the sheet is shortest."""
    pictures = [Image.open(figure).convert("RGB") for figure in figures]
    width, gap = max(picture.width for picture in pictures), 12
    ends, places = [0] * columns, []
    for picture in pictures:
        column = ends.index(min(ends))
        places.append((column * (width + gap), ends[column]))
        ends[column] += picture.height + gap
    made = Image.new("RGB", (columns * (width + gap) - gap, max(ends) - gap), style.GRID)
    for picture, place in zip(pictures, places, strict=True):
        made.paste(picture, place)
    target.parent.mkdir(parents=True, exist_ok=True)
    made.save(target)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "plots/rendered/sheet.png")
    for name, draw in FIGURES.items():
        style.save(draw(), GOLDEN / file(name))
    sheet(target, [GOLDEN / file(name) for name in FIGURES])
    print(f"{target}: {len(FIGURES)} kinds of figure")
