"""A preprocessed dataset's folder: compact arrays, the split, statistics, and a picture of the first examples."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from replica.datasets import samples
from replica.datasets.checks import digest
from replica.datasets.declaration import Decoded
from replica.figures import style


def moments(x: np.ndarray) -> dict[str, float]:
    """Mean and standard deviation; of images from how often each of the 256 values occurs, exact and without a copy."""
    if x.dtype == np.uint8:
        counts = sum(np.bincount(image.ravel(), minlength=256) for image in x)
        mean = float(np.average(np.arange(256), weights=counts))
        variance = float(np.average((np.arange(256) - mean) ** 2, weights=counts))
    else:
        mean, variance = float(x.mean(dtype=np.float64)), float(x.var(dtype=np.float64))
    return {"mean": round(mean, 6), "std": round(variance**0.5, 6)}


def write(folder: Path, name: str, declared: Decoded, arrays: dict[str, np.ndarray]) -> None:
    """Write the folder's files.

    x_train.npy, y_train.npy, x_test.npy and y_test.npy as decoded; statistics.json with classes, shape, counts, mean,
    standard deviation and SHA-256 of each split; split.csv with the images of each class in each; sample.png.
    """
    for key, array in arrays.items():
        np.save(folder / f"{key}.npy", array)
    counts = {split: np.bincount(arrays[f"y_{split}"], minlength=len(declared.classes)) for split in ("train", "test")}
    statistics = {
        "classes": declared.classes,
        "shape": declared.shape,
        **{
            split: {
                "examples": len(arrays[f"x_{split}"]),
                "class_counts": counts[split].tolist(),
                **moments(arrays[f"x_{split}"]),
                "sha256": {kind: digest(arrays[f"{kind}_{split}"]) for kind in ("x", "y")},
            }
            for split in ("train", "test")
        },
    }
    (folder / "statistics.json").write_text(json.dumps(statistics, indent=2, ensure_ascii=False) + "\n")
    with (folder / "split.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["class", "train", "test"])
        table.writerows(zip(declared.classes, counts["train"], counts["test"], strict=True))
    style.save(samples.draw(name, declared.classes, arrays["x_train"], arrays["y_train"]), folder / "sample.png")
