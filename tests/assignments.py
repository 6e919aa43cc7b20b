"""The trainings that the tests of `replica assignment` rest on: `python tests/assignments.py` writes them anew.

tests/golden/assignments.json has the accuracies of real trainings of the three chapters, by chapter, variant, seeds and
images, so that grading is tested at its real size without minutes of training; a test marked `long` trains them again.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

from replica.commands.assignment import declaration, rerun, worker
from replica.common import files, kernels, parameters

GOLDEN = Path(__file__).parent / "golden/assignments.json"
STUDENT = "ada"
OWN, GRADER = (0, 1, 2), (11, 22, 33, 44, 55)
HIDDEN = {"mnist_5k": {"split_seed": 7}}
# What a good student changes of `mine`, by chapter.
SOLVED: dict[str, dict[str, Any]] = {
    "dense": {"epochs": 30, "batch_size": 32},
    "learning_rate": {"epochs": 8, "learning_rate": 0.05, "momentum": 0.5},
    "overfitting": {"epochs": 20, "learning_rate": 0.003},
}


chapter = cache(declaration.chapter)


def assigned(name: str, student: str = STUDENT) -> declaration.Assignment:
    return declaration.deal(*chapter(name), student)


def settled(name: str, variant: str) -> dict[str, Any]:
    """A variant's settings in a good submission."""
    params = assigned(name).params
    own = SOLVED[name] if variant == "mine" else {}
    params["variants"][variant] = {**params["variants"][variant], **own}
    return {**parameters.variant(params, variant), "kernels": "portable"}


def wanted() -> list[tuple[str, str, tuple[int, ...], bool]]:
    """Chapter, variant, seeds, and whether on the teacher's images: all that the tests ask for."""
    found = []
    for name in SOLVED:
        asked = dict.fromkeys(each for question in assigned(name).chapter.questions for each in question.variants)
        found += [(name, variant, seeds, False) for variant in asked for seeds in (OWN, GRADER)]
        found.append((name, "mine", GRADER, True))
    return found


def trained(name: str, variant: str, seeds: tuple[int, ...], hidden: bool) -> rerun.Runs:
    """Train in this process."""
    settings = {**settled(name, variant), "seeds": list(seeds)}
    _, datasets = rerun.facts(HIDDEN if hidden else {})
    return rerun.runs(variant, settings, datasets[settings["dataset"]], not hidden, 600)


def key(name: str, variant: str, seeds: tuple[int, ...], hidden: bool) -> str:
    return f"{name} {variant} {','.join(map(str, seeds))}{' hidden' if hidden else ''}"


if __name__ == "__main__":
    kernels.use("portable")
    rerun.train = lambda job, seconds: worker.train(job)
    recorded = {}
    for each in wanted():
        runs = trained(*each)
        recorded[key(*each)] = {"train": runs.train, "test": runs.test, "images": runs.images}
        print(key(*each), runs.test, file=sys.stderr)
    files.write_json(recorded, GOLDEN)
