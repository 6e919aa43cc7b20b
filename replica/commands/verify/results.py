"""Other bytes: whether they are the same results.

A variant's are, unless the whole 95% interval of the paired difference in test accuracy lies beyond the tolerance:
half the width of the 95% interval that the record's accuracy has on the test images, what a reader could not tell
apart anyway.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from replica.commands.compare import paired
from replica.commands.verify.differences import Difference, committed_text
from replica.common.errors import UserError
from replica.evaluation.scores import unpacked

CLOSE = 1e-3  # relative, of figures that are not accuracies
UNSCORED = ("report", "sample", "surface", "train", "search")  # what they hold is others' scores, a picture, or models


@dataclass(frozen=True)
class Score:
    """A variant's or a search's test accuracy, recorded and ours; differences and the tolerance are shares too.

    `low` and `high` are None, as `p` is, where no predictions were compared.
    """

    name: str
    recorded: float
    ours: float
    difference: float
    tolerance: float
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def same(self) -> bool:
        low, high = (self.difference if end is None else end for end in (self.low, self.high))
        return low <= self.tolerance and high >= -self.tolerance


def judge(root: Path, folder: Path, differing: list[Difference]) -> tuple[list[Score], list[str]]:
    """The scores of what was trained to other bytes, and the files whose other figures are other results."""
    scores, others = [], []
    for each in differing:
        stage, _, name = each.stage.partition("@")
        if stage in ("evaluate", "choose"):
            scores.append(score(root, folder, name, stage))
        elif stage in ("download", "preprocess"):
            others += [file for file in each.files if file.startswith("data/")]
        elif stage not in UNSCORED:
            others += [file for file in each.files if file.endswith(".json") and not alike(*both(root, folder, file))]
    return scores, others


def both(root: Path, folder: Path, file: str) -> tuple[Any, Any]:
    """A JSON file as HEAD has it, and as it came out."""
    try:
        return json.loads(committed_text(root, file)), json.loads((folder / file).read_text())
    except (OSError, ValueError):
        raise UserError(f"{file}: in HEAD or here not there, or not JSON; run `dvc repro` and commit it") from None


def score(root: Path, folder: Path, name: str, stage: str) -> Score:
    """Compare test accuracies: image by image where both sides have predictions of the same seeds and images."""
    file = f"metrics/details/{name}.json" if stage == "evaluate" else f"metrics/{name}.json"
    before, after = both(root, folder, file)
    try:
        old, new = (each.get("summary", each)["test"] for each in (before, after))
        change = new["accuracy"] - old["accuracy"]
        tolerance = (old["accuracy_high"] - old["accuracy_low"]) / 2
        shared = Score(name, old["accuracy"], new["accuracy"], change, tolerance)
        sides = [
            {seed: unpacked(bits, each["images"]["test"]) for seed, bits in each.get("right", {}).items()}
            for each in (before, after)
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{file}: damaged in HEAD or here; run `dvc repro {stage}@{name}` and commit it") from None
    seeds = sorted(sides[0].keys() & sides[1].keys())
    if not seeds or len(sides[0][seeds[0]]) != len(sides[1][seeds[0]]):
        return shared
    pair = paired.compare(*(np.array([side[seed] for seed in seeds]) for side in sides))
    return Score(name, shared.recorded, shared.ours, pair.difference, tolerance, pair.low, pair.high, pair.p)


def computed(root: Path, folder: Path, differing: list[Difference]) -> list[str]:
    """Where variants were trained with other kernels, or in another precision, than is recorded; a line each."""
    lines = []
    for each in differing:
        stage, _, name = each.stage.partition("@")
        if stage == "evaluate":
            before, after = both(root, folder, f"metrics/details/{name}.json")
            for key in ("kernels", "precision"):
                if before.get(key) != after.get(key):
                    lines.append(f"{key} of {name}: {after.get(key)}; recorded {before.get(key) or 'none'}")
    return lines


def alike(a: Any, b: Any) -> bool:
    """The same but for the last digits of numbers."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, float) or isinstance(b, float):
        return (
            isinstance(a, int | float)
            and isinstance(b, int | float)
            and math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE)
        )
    return a == b
