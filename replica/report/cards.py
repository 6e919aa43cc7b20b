"""What there is to say about one variant, for the page and for its model card in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from replica.common import parameters
from replica.report.claims import Claim
from replica.report.environment import environment
from replica.report.results import Results
from replica.schema.layers import Shape, walk, words

SETS = {"train": "training", "validation": "validation", "test": "test"}
ORIGINS = {
    "official": "the official data",
    "generated": "points made as the document says",
    "sample": "a small sample that comes with a package, not the official data",
    "own": "data of one's own, not the documents'",
}


@dataclass(frozen=True)
class LayerRow:
    """A layer with its arguments, output shape and parameters, and how these come about."""

    kind: str
    arguments: str
    output: str
    parameters: int
    arithmetic: str


@dataclass(frozen=True)
class SetRow:
    """Scores on one set of images: means over seeds, the accuracy's 95% interval, its deviation over seeds."""

    data: str
    images: int
    accuracy: float
    low: float | None
    high: float | None
    std: float | None
    loss: float | None
    macro_f1: float


@dataclass(frozen=True)
class Card:
    """A variant: `entry` settled, `stated` as params.yaml has it, `metrics` and `details` as evaluated, or empty.

    `examples` train and validate, `train_examples` of them train.
    """

    name: str
    document: str
    origin: str
    entry: dict[str, Any]
    stated: dict[str, Any]
    layers: list[LayerRow]
    scores: list[SetRow]
    dummies: list[SetRow]
    metrics: dict[str, Any]
    details: dict[str, Any]
    seconds: dict[str, str]
    claims: list[Claim]
    classes: list[str]
    examples: int
    shape: Shape

    @property
    def ran(self) -> bool:
        return bool(self.metrics)

    @property
    def portable(self) -> bool:
        """Whether its runs are those of portable kernels, which every CPU with AVX2 repeats to the byte."""
        return self.details.get("kernels") == "portable"

    @property
    def optimizer(self) -> str:
        return words(self.entry["optimizer"])

    @property
    def validation(self) -> str:
        share = self.entry["validation"]
        if share == "test":
            return "none; the test set is watched, and chooses nothing"
        if not share:
            return "none"
        return f"the last {share:.0%} of {self.examples:,}, {self.examples - self.train_examples:,} {self.kind}"

    @property
    def kind(self) -> str:
        """What an example is: `images` or `points`."""
        return "images" if len(self.shape) > 1 else "points"

    @property
    def train_examples(self) -> int:
        """How many train, as `replica.common.arrays.parts` counts them."""
        share = self.entry["validation"]
        return self.examples if share == "test" else int(self.examples * (1.0 - share))

    @property
    def yaml(self) -> str:
        """The entries of params.yaml that repeat it."""
        return yaml.safe_dump(self.stated, sort_keys=False, allow_unicode=True)

    @property
    def command(self) -> str:
        return f"dvc repro evaluate@{self.name}"


def origin(dataset: Mapping[str, Any]) -> str:
    """`official`, `generated`, `sample` or `own`: whether a dataset is the one the documents mean."""
    kinds = {"spiral": "generated", "images": "own", "arrays": "own"}
    return "official" if "mirrors" in dataset else kinds.get(dataset["kind"], "sample")


def card(name: str, declared: dict[str, Any], results: Results, claims: Iterable[Claim]) -> Card:
    """One variant's card.

    Parameters
    ----------
    declared
        params.yaml and datasets.yaml, with the `documents` of claims.yaml.
    """
    entry, network = parameters.variant(declared, name), results.variants[name]["network"]
    dataset = results.datasets[entry["dataset"]]
    metrics, details = results.scores(name), results.read(f"details/{name}")
    return Card(
        name=name,
        document=next((letter for letter, of in declared["documents"].items() if name in of["variants"]), ""),
        origin=origin(dataset),
        entry=entry,
        stated={"networks": {network: declared["networks"][network]}, "variants": {name: results.variants[name]}},
        layers=layers(entry["layers"], tuple(dataset["shape"])),
        scores=[scored(data, details) for data in SETS if data in details.get("mean", {})],
        dummies=[baseline(strategy, details) for strategy in details.get("dummy", {})],
        metrics=metrics,
        details=details,
        seconds=results.seconds.get(name, {}),
        claims=[claim for claim in claims if name in claim.variants],
        classes=dataset["classes"],
        examples=entry.get("train_examples", dataset["train_examples"]),
        shape=tuple(dataset["shape"]),
    )


def layers(declared: Sequence[Any], shape: Shape) -> list[LayerRow]:
    """A network layer by layer, from the shape of one input."""
    rows = []
    for each in walk(declared, shape):
        text = ", ".join(f"{key} {words(argument)}" for key, argument in each.arguments.items())
        size, count = "×".join(map(str, each.output)), sum(count for _, count in each.terms)
        terms = " + ".join(term for term, _ in each.terms)
        rows.append(LayerRow(each.kind, text.replace("_", " "), size, count, terms))
    return rows


def scored(data: str, details: Mapping[str, Any]) -> SetRow:
    """One set's row of scores."""
    mean, (low, high) = details["mean"][data], details["accuracy_interval"][data]
    std = details.get("std", {}).get(data, {}).get("accuracy")
    images = details["images"][data]
    return SetRow(SETS[data], images, mean["accuracy"], low, high, std, mean["loss"], mean["macro_f1"])


def baseline(strategy: str, details: Mapping[str, Any]) -> SetRow:
    """A dummy classifier's row of scores on the test images."""
    test = details["dummy"][strategy]["test"]
    images = details["images"]["test"]
    return SetRow(strategy, images, test["accuracy"], None, None, None, test["loss"], test["macro_f1"])


SUMMARY = (
    "variant", "document", "dataset", "data", "test_accuracy", "accuracy_low", "accuracy_high", "accuracy_std", "seeds",
    "test_loss", "dummy_accuracy", "params_total",
)  # fmt: skip


def summary(card: Card) -> list[Any]:
    """A card's row of plots/summary.csv, its columns `SUMMARY`."""
    test = card.metrics["test"]
    start = [card.name, card.document, card.entry["dataset"], card.origin]
    keys = ("accuracy", "accuracy_low", "accuracy_high", "accuracy_std")
    end = [card.metrics["seeds"], test["loss"], card.metrics["dummy"]["accuracy"], card.metrics["params_total"]]
    return [*start, *(test.get(key) for key in keys), *end]


def write(cards: Iterable[Card], folder: Path) -> None:
    """A Markdown file a variant."""
    template = environment().get_template("card.md")
    folder.mkdir(parents=True, exist_ok=True)
    for each in cards:
        (folder / f"{each.name}.md").write_text(template.render(card=each, origins=ORIGINS))
