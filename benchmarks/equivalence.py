"""Whether a quicker setting scores like the plain one: test accuracies over several seeds, and an equivalence test.

    python -m benchmarks.equivalence precision [VARIANT ...] [--seeds 10] [--first 0]
    python -m benchmarks.equivalence dropout [VARIANT ...] [--seeds 10] [--first 0]

`precision` compares float32 with mixed_bfloat16, `dropout` Keras's layers with those of `replica.training.layers`. Each
seed is trained twice, with the same weights to begin with and the same order of images. The two settings count as
equivalent where two one-sided paired t-tests at 5% (Schuirmann, 1987) place the mean difference within half the width
of the 95% Wilson interval that one run's accuracy has on the test images: what a reader could not tell apart anyway.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import Any
from unittest import mock

import numpy as np
from scipy import stats

from benchmarks import here
from replica.common import arrays, parameters
from replica.evaluation import scores
from replica.training import layers

SETTINGS = {"precision": ("float32", "mixed_bfloat16"), "dropout": ("Keras's", "ours")}
VARIANTS = {
    "precision": ("mnist_mlp", "mnist_relu", "mnist_conv_adam", "cifar10_strided_5k", "cifar10_deep_5k"),
    "dropout": ("cifar10_deep_5k", "cifar10_strided_5k", "photos10_strided"),
}


def accuracy(variant: dict[str, Any], seed: int, setting: str) -> float:
    """Test accuracy of one run."""
    if setting in SETTINGS["precision"]:
        variant = {**variant, "precision": setting}
    plain = mock.patch.object(layers, "network", lambda network: network) if setting == "Keras's" else nullcontext()
    with plain:
        return here.train(variant, seed)["test_accuracy"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("of", choices=SETTINGS)
    options.add_argument("variants", nargs="*")
    options.add_argument("--seeds", type=int, default=10, help="how many")
    options.add_argument("--first", type=int, default=0, help="the first of them: fresh seeds for a second look")
    given = options.parse_args()
    declared, settings = parameters.read(), SETTINGS[given.of]
    seeds = range(given.first, given.first + given.seeds)
    print(f"| variant | seeds | {' | '.join(settings)} | difference, 90% interval | margin | p | equivalent |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in given.variants or VARIANTS[given.of]:
        variant = parameters.variant(declared, name)
        runs = np.array([[accuracy(variant, seed, how) for how in settings] for seed in seeds])
        plain, quick = runs.mean(axis=0)
        low, high = scores.wilson(plain, len(arrays.load(variant["dataset"]).y_test))
        margin = (high - low) / 2
        difference = runs[:, 1] - runs[:, 0]
        interval = stats.ttest_1samp(difference, 0).confidence_interval(0.9)
        p = max(
            stats.ttest_1samp(difference, -margin, alternative="greater").pvalue,
            stats.ttest_1samp(difference, margin, alternative="less").pvalue,
        )
        cells = [f"{100 * value:+.2f}" for value in (difference.mean(), interval.low, interval.high)]
        print(
            f"| {name} | {seeds[0]} to {seeds[-1]} | {100 * plain:.2f}% | {100 * quick:.2f}% "
            f"| {cells[0]} ({cells[1]} to {cells[2]}) | ±{100 * margin:.2f} | {p:.4f} "
            f"| {'yes' if p < 0.05 else 'not shown'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
