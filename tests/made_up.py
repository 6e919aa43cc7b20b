"""Made-up results in the stages' own form, for the tests of what reads them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from replica.common import files
from replica.evaluation import scores
from replica.report.results import Results


def variant(
    root: Path,
    name: str,
    accuracies: Sequence[float],
    *,
    classes: int = 10,
    train: int = 2000,
    test: int = 1000,
    watched: str = "validation",
    epochs: int = 6,
    gap: float = 0.02,
    params_total: int = 1000,
    native: bool = False,
) -> None:
    """Write what evaluating a variant leaves behind: a seed of about that test accuracy each.

    Training accuracy is `gap` higher; probabilities are 0.8 for the guess, the rest shared.
    `native` ones are as an earlier run left them.
    """
    generator = np.random.default_rng(len(name))
    labels = {"train": generator.integers(0, classes, train), "test": generator.integers(0, classes, test)}
    if watched == "validation":
        labels["validation"] = generator.integers(0, classes, test)
    runs = {}
    for seed, accuracy in enumerate(accuracies):
        runs[seed] = {}
        for data, y in labels.items():
            share = min(accuracy + gap * (data == "train"), 1)
            guess = np.where(np.arange(len(y)) < round(share * len(y)), y, (y + 1) % classes)
            p = np.full((len(y), classes), 0.2 / (classes - 1))
            p[np.arange(len(y)), guess] = 0.8
            runs[seed][data] = p
    short, details = scores.evaluate(runs, labels, [str(number) for number in range(classes)], params_total)
    files.write_json(short, root / "metrics" / f"{name}.json")
    made_by = {"precision": "mixed_bfloat16"} if native else {"kernels": "portable", "precision": "float32"}
    files.write_json({"summary": short, **made_by, **details}, root / "metrics/details" / f"{name}.json")
    history = [
        (epoch, value, metric, data, seed)
        for seed, accuracy in enumerate(accuracies)
        for epoch in range(1, epochs + 1)
        for data, more in (("training", gap), (watched, 0))
        for metric, value in (
            ("accuracy", (accuracy + more) * (1 - 0.5 ** (epoch / epochs * 6))),
            ("loss", 0.05 + 2 * (1 - accuracy - more) + 0.5 ** (epoch / epochs * 6)),
        )
    ]
    files.write_csv(root / "plots/variants" / name / "history.csv", files.HISTORY, history)


def put(results: Results, name: str, images: int = 10_000, seeds: int = 0, **values: list[float]) -> None:
    """Write a variant: `test_accuracy=[…]`, a value a seed, into its details; `history_…` into its history."""
    count = seeds or len(next(iter(values.values())))
    runs = {str(seed): {data: {} for data in ("train", "validation", "test")} for seed in range(count)}
    rows = []
    for key, figures in values.items():
        source, data, metric = ("", *key.split("_")) if key.count("_") == 1 else key.split("_")
        for seed, value in enumerate(figures):
            if source:
                rows += [(epoch, value if epoch == 2 else 0.5, metric, data, seed) for epoch in (1, 2)]
            else:
                runs[str(seed)][data][metric] = None if math.isnan(value) else value
    file = results.root / "metrics/details" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(("train", "validation", "test"), images)
    file.write_text(json.dumps({"summary": {"dummy": {"accuracy": 0.1}}, "images": counts, "seeds": runs}))
    files.write_csv(results.root / "plots/variants" / name / "history.csv", files.HISTORY, rows)


def history(
    results: Results, name: str, curves: dict[str, list[list[float]]], images: int = 10_000, every: int = 1
) -> None:
    """Write a variant's history: by `DATA.METRIC`, a list a seed, a value an epoch, or each so many epochs."""
    rows = [
        (epoch * every, value, quantity.split(".")[1], quantity.split(".")[0], seed)
        for quantity, runs in curves.items()
        for seed, run in enumerate(runs)
        for epoch, value in enumerate(run, 1)
    ]
    put(results, name, images=images, seeds=len(next(iter(curves.values()))), test_loss=[])
    files.write_csv(results.root / "plots/variants" / name / "history.csv", files.HISTORY, rows)
