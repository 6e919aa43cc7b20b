"""A sweep's study with trials that have ended, for the tests of what is recorded and of what is told."""

from __future__ import annotations

from replica.commands.sweep.space import parse
from replica.commands.sweep.study import Study
from replica.commands.sweep.workspace import Snapshot

VARIANT = "mnist_5k_mlp"
RATE = ["learning_rate=log(0.001,1)"]
STATE = Snapshot("a" * 40, "b" * 40)


def study(folder, settings=RATE, sampler="random", seed=0, prune=False):
    return Study(folder / "s", parse(settings, VARIANT), sampler, seed, prune)


def fill(opened, *values):
    """A trial for each value: a number completes it, else it is pruned, failed with that log, or cut short."""
    for number, value in enumerate(values, start=1):
        attempt = opened.ask(number, 1)
        if isinstance(value, float):
            opened.complete(attempt, value, {1: value}, 1.26)
        elif value == "pruned":
            opened.prune(attempt)
        else:
            opened.fail(attempt, value)
