"""What the stages left behind, as the report reads it: scores, histories, and the committed record of seconds."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

IMAGES = {"training": "train"}  # what a history calls the training images, and what scores do
Quantity = str | Sequence[str]
Curves = dict[tuple[str, str], dict[int, dict[int, float]]]  # (metric, data) to seed to epoch to value


class NotRunError(Exception):
    """A variant has no such figure yet."""


@dataclass(frozen=True)
class Sample:
    """One quantity of one variant: a value a seed, and the variance that the images it is measured on leave."""

    values: dict[int, float]
    sampling: float = 0.0

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.values.values())))

    @property
    def std(self) -> float:
        """Over the seeds, as estimated from a sample; not a number for one seed."""
        return float(np.std(list(self.values.values()), ddof=1)) if len(self.values) > 1 else float("nan")


class Results:
    """The outputs below `root`, read once each.

    Parameters
    ----------
    parameters
        params.yaml and datasets.yaml: what there could be.
    root
        The project's folder.
    documents
        Names of the documents' variants, the ones that tell how far seeds differ; None: all.
    """

    def __init__(
        self, parameters: dict[str, Any], root: Path = Path(), documents: Collection[str] | None = None
    ) -> None:
        self.root, self.documents = root, documents
        self.variants: dict[str, dict[str, Any]] = parameters.get("variants") or {}
        self.searches: dict[str, dict[str, Any]] = parameters.get("searches") or {}
        self.datasets: dict[str, dict[str, Any]] = parameters.get("datasets") or {}
        self.read = cache(self._read)
        self.curves = cache(self._curves)
        self.seconds = self._seconds()

    def _read(self, name: str) -> dict[str, Any]:
        """A JSON file of metrics/, or `{}` where there is none: `mnist_mlp`, `details/mnist_mlp`."""
        file = self.root / "metrics" / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def _curves(self, name: str) -> Curves:
        """A variant's history; a value that is not finite is not a number."""
        file = self.root / "plots/variants" / name / "history.csv"
        curves: Curves = {}
        if file.exists():
            with file.open(newline="") as rows:
                for row in csv.DictReader(rows):
                    runs = curves.setdefault((row["metric"], row["data"]), {})
                    runs.setdefault(int(row["seed"]), {})[int(row["epoch"])] = float(row["value"] or "nan")
        return curves

    def _seconds(self) -> dict[str, dict[str, str]]:
        file = self.root / "benchmarks/seconds.csv"
        if not file.exists():
            return {}
        with file.open(newline="") as rows:
            return {row["variant"]: row for row in csv.DictReader(rows)}

    def sample(self, name: str, quantity: Quantity) -> Sample:
        """A variant's quantity by seed.

        Parameters
        ----------
        quantity
            `history.DATA.METRIC`, at the last epoch; `DATA.METRIC` of the trained network; `seconds`; a path into its
            metrics such as `best.units`; or a pair, of which the second is subtracted.

        Raises
        ------
        NotRunError
            Where there is none yet.
        """
        if not isinstance(quantity, str):
            first, second = (self.sample(name, part) for part in quantity)
            values = {seed: first.values[seed] - second.values[seed] for seed in first.values}
            return Sample(values, first.sampling + second.sampling)
        found, images = self.values(name, quantity)
        if not found:
            raise NotRunError(name)
        values = {seed: float("nan") if value is None else float(value) for seed, value in found.items()}
        share = np.mean(list(values.values()))
        accuracy = quantity.endswith("accuracy") and images
        return Sample(values, float(share * (1 - share) / images) if accuracy else 0.0)

    def values(self, name: str, quantity: str) -> tuple[dict[int, Any], int]:
        """A quantity by seed, and the number of images behind it, 0 where it is not known."""
        source, *path = quantity.split(".")
        details = self.read(f"details/{name}")
        if source == "history":
            data, metric = path
            runs = self.curves(name).get((metric, data), {})
            images = details.get("images", {}).get(IMAGES.get(data, data), 0)
            return {seed: run[max(run)] for seed, run in runs.items()}, images
        if source == "seconds":
            return ({0: self.seconds[name]["train_seconds"]} if name in self.seconds else {}), 0
        if path and source in details.get("images", {}):
            return {int(seed): run[source][path[0]] for seed, run in details["seeds"].items()}, details["images"][
                source
            ]
        value: Any = self.read(name)
        for key in (source, *path):
            value = value.get(key) if isinstance(value, dict) else None
        return ({} if value is None else {0: value}), 0

    def spread(self, name: str, quantity: Quantity) -> tuple[float, int]:
        """Standard deviation over seeds, and its degrees of freedom.

        One seed has none of its own: the median of the dataset's other variants stands in, its degrees of freedom
        given as 0; without one it is 0. Variants of one's own are left out: adding one changes no verdict.
        """
        own = self.sample(name, quantity)
        if len(own.values) > 1:
            return own.std, len(own.values) - 1
        entry = self.variants.get(name) or self.searches.get(name)
        if entry is None or not self.stochastic(quantity):
            return 0.0, 0
        others = []
        for other, settings in self.variants.items():
            if settings["dataset"] == entry["dataset"] and (self.documents is None or other in self.documents):
                try:
                    sample = self.sample(other, quantity)
                except (NotRunError, KeyError):
                    continue
                if np.isfinite(sample.std):
                    others.append(sample.std)
        return (median(others) if others else 0.0), 0

    @staticmethod
    def stochastic(quantity: Quantity) -> bool:
        """Whether a quantity depends on the seed."""
        parts = [quantity] if isinstance(quantity, str) else quantity
        return all(part.split(".")[0] in ("history", "train", "validation", "test") for part in parts)
