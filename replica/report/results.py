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

from replica.common import parameters as declarations
from replica.schema.layers import walk

IMAGES = {"training": "train"}  # what a history calls the training images, and what scores do
Quantity = str | Sequence[str]
STOCHASTIC = ("history", "plateau", "crossing", "train", "validation", "test")
HISTORY, METRICS = ("training", "validation", "test"), ("accuracy", "loss")
QUANTITIES = (  # and paths into a search's `best`, and into metrics/convolution.json
    *(f"{of}.{data}.{metric}" for of in ("history", "plateau") for data in HISTORY for metric in METRICS),
    *(f"crossing.{data}.{metric}" for data in HISTORY[1:] for metric in METRICS),
    *(f"{data}.{score}" for data in ("train", "validation", "test") for score in (*METRICS, "macro_f1")),
    *(f"test.{score}" for score in ("accuracy_low", "accuracy_high", "accuracy_std", "gain")),
    *("dummy.accuracy", "mcnemar_p", "seconds", "layers", "params_total", "seeds", "trials"),
)
WINDOW = 10  # epochs, at most, whose spread over the seeds tells that of the last
SETTLED = 0.1  # of a curve's whole way: what is left of it when it has come to its plateau
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
        self.parameters, self.root, self.documents = parameters, root, documents
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

    def scores(self, name: str) -> dict[str, Any]:
        """What metrics/NAME.json holds; of a variant as its details repeat it, which are what the report depends on."""
        return self.read(f"details/{name}").get("summary", {}) if name in self.variants else self.read(name)

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

    def sample(self, name: str, quantity: Quantity, epoch: int | None = None) -> Sample:
        """A variant's quantity by seed.

        Parameters
        ----------
        quantity
            `history.DATA.METRIC`, at the last epoch; `plateau.DATA.METRIC`, the epoch at which that history has come
            to within a tenth of its whole way of its end; `crossing.DATA.METRIC`, the first epoch at which the training
            images' history lies above DATA's; `DATA.METRIC` of the trained network; `seconds`; `layers`, each one's
            output shape and parameters; a path into the variant's metrics such as `best.units`; or a pair, of which
            the second is subtracted.
        epoch
            Of a history, instead of the last.

        Raises
        ------
        NotRunError
            Where there is none yet.
        """
        if not isinstance(quantity, str):
            first, second = (self.sample(name, part, epoch) for part in quantity)
            values = {seed: first.values[seed] - second.values[seed] for seed in first.values}
            return Sample(values, first.sampling + second.sampling)
        found, images = self.values(name, quantity, epoch)
        if not found:
            raise NotRunError(name)
        values = {seed: float("nan") if value is None else float(value) for seed, value in found.items()}
        share = np.mean(list(values.values()))
        return Sample(values, float(share * (1 - share) / images) if is_share(quantity) and images else 0.0)

    def values(self, name: str, quantity: str, epoch: int | None = None) -> tuple[dict[int, Any], int]:
        """A quantity by seed, and the number of images behind it, 0 where it is not known."""
        source, *path = quantity.split(".")
        details = self.read(f"details/{name}")
        if source in ("history", "plateau", "crossing"):
            data, metric = path
            runs = self.curves(name).get((metric, data), {})
            if source == "plateau":
                return {seed: plateau(run) for seed, run in runs.items()}, 0
            if source == "crossing":
                training = self.curves(name).get((metric, "training"), {})
                return {seed: crossing(training[seed], run) for seed, run in runs.items()}, 0
            images = details.get("images", {}).get(IMAGES.get(data, data), 0)
            at = {seed: max(run) if epoch is None else epoch for seed, run in runs.items()}
            return {seed: run[at[seed]] for seed, run in runs.items() if at[seed] in run}, images
        if source == "seconds":
            return ({0: self.seconds[name]["train_seconds"]} if name in self.seconds else {}), 0
        if source == "layers":
            return self._layers(name), 0
        if path and source in details.get("images", {}):
            return {int(seed): run[source][path[0]] for seed, run in details["seeds"].items()}, details["images"][
                source
            ]
        value: Any = self.scores(name)
        for key in (source, *path):
            value = value.get(key) if isinstance(value, dict) else None
        return ({} if value is None else {0: value}), 0

    def _layers(self, name: str) -> dict[int, list[list[int]]]:
        """Output shape and parameters of each layer, of a variant that has been run."""
        if not self.scores(name):
            return {}
        settled = declarations.variant(self.parameters, name)
        shape = tuple(self.datasets[settled["dataset"]]["shape"])
        return {0: [[*each.output, sum(n for _, n in each.terms)] for each in walk(settled["layers"], shape)]}

    def spread(self, name: str, quantity: Quantity, epoch: int | None = None) -> tuple[float, float]:
        """Standard deviation over seeds, and its degrees of freedom.

        Of a history's figure, the deviation is that of the last half of the epochs so far, at most ten: three seeds may
        lie close together at one epoch by chance. The epochs of a run are not independent, and as many degrees of
        freedom are counted as Box's correction leaves (doi:10.1214/aoms/1177728786), from the seeds' own (all epochs
        alike) upwards.

        One seed has no deviation of its own: the median of the dataset's other variants stands in, its degrees of
        freedom given as 0; without one it is 0. Variants of one's own are left out: adding one changes no verdict.
        """
        own = self.sample(name, quantity, epoch)
        if len(own.values) > 1:
            table = self._window(name, quantity, epoch)
            rest = table - table.mean(axis=0)
            gram, freedom = rest @ rest.T, len(rest) - 1
            variance = float(np.trace(gram)) / freedom / table.shape[1]
            if not variance > 0:
                return variance, freedom
            return variance**0.5, freedom * float(np.trace(gram) ** 2 / (gram**2).sum())
        entry = self.variants.get(name) or self.searches.get(name)
        if entry is None or not self.stochastic(quantity):
            return 0.0, 0
        others = []
        for other, settings in self.variants.items():
            if settings["data"]["dataset"] == entry["data"]["dataset"] and (
                self.documents is None or other in self.documents
            ):
                try:
                    sample = self.sample(other, quantity, epoch)
                except (NotRunError, KeyError):
                    continue
                if np.isfinite(sample.std):
                    others.append(sample.std)
        return (median(others) if others else 0.0), 0

    def _window(self, name: str, quantity: Quantity, epoch: int | None) -> np.ndarray:
        """A quantity of several seeds, [seeds, epochs]: of a history, its last epochs; else one column."""
        parts = [quantity] if isinstance(quantity, str) else quantity
        epochs = [epoch]
        if all(part.startswith("history.") for part in parts):
            _, data, metric = parts[0].split(".")
            runs = self.curves(name)[metric, data].values()
            last = epoch or min(map(max, runs))
            scored = sorted(set.intersection(*map(set, runs)))  # of a long training, not every epoch
            epochs = [each for each in scored if last - max(1, min(last // 2, WINDOW)) < each <= last] or [last]
        return np.array([list(self.sample(name, quantity, each).values.values()) for each in epochs]).T

    @staticmethod
    def stochastic(quantity: Quantity) -> bool:
        """Whether a quantity depends on the seed."""
        parts = [quantity] if isinstance(quantity, str) else quantity
        return all(part.split(".")[0] in STOCHASTIC for part in parts)


def is_share(quantity: Quantity) -> bool:
    """Whether a quantity is an accuracy, or a difference of two."""
    first = quantity if isinstance(quantity, str) else quantity[0]
    return first.endswith("accuracy") and first.split(".")[0] not in ("plateau", "crossing")


def plateau(run: dict[int, float]) -> int:
    """The epoch from which a curve stays within a tenth of its whole way of its last value."""
    first, last = run[min(run)], run[max(run)]
    outside = [epoch for epoch, value in run.items() if abs(value - last) > SETTLED * abs(last - first)]
    return max(outside, default=min(run) - 1) + 1


def crossing(upper: dict[int, float], lower: dict[int, float]) -> int:
    """The first epoch at which one curve lies above another; one past the last where it never does."""
    return next((epoch for epoch in sorted(lower) if upper[epoch] > lower[epoch]), max(lower) + 1)
