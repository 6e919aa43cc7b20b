"""Whether mixed_bfloat16 scores like float32: test accuracies over several seeds, and an equivalence test.

    python -m benchmarks.precision [VARIANT ...] [--seeds 10]

Each seed is trained twice, with the same weights to begin with and the same order of images. The two settings count as
equivalent where two one-sided paired t-tests at 5% (Schuirmann, 1987) place the mean difference within half the width
of the 95% Wilson interval that one run's accuracy has on the test images: what a reader could not tell apart anyway.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import stats

from benchmarks import here
from replica import parameters, scores
from replica.datasets import arrays

VARIANTS = ("mnist_mlp", "mnist_relu", "mnist_conv_adam", "cifar10_strided_5k", "cifar10_deep_5k")
PRECISIONS = ("float32", "mixed_bfloat16")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("variants", nargs="*", default=VARIANTS)
    options.add_argument("--seeds", type=int, default=10)
    given = options.parse_args()
    declared = parameters.read()
    print("| variant | float32 | mixed_bfloat16 | difference, 90% interval | margin | p | equivalent |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in given.variants:
        variant = parameters.variant(declared, name)
        runs = np.array(
            [
                [here.train({**variant, "precision": how}, seed)["test_accuracy"] for how in PRECISIONS]
                for seed in range(given.seeds)
            ]
        )
        single, mixed = runs.mean(axis=0)
        size = len(arrays.load(variant["dataset"]).y_test)
        low, high = scores.wilson(single, size)
        margin = (high - low) / 2
        difference = runs[:, 1] - runs[:, 0]
        interval = stats.ttest_1samp(difference, 0).confidence_interval(0.9)
        p = max(
            stats.ttest_1samp(difference, -margin, alternative="greater").pvalue,
            stats.ttest_1samp(difference, margin, alternative="less").pvalue,
        )
        cells = [f"{100 * value:+.2f}" for value in (difference.mean(), interval.low, interval.high)]
        print(
            f"| {name} | {100 * single:.2f}% | {100 * mixed:.2f}% | {cells[0]} ({cells[1]} to {cells[2]}) "
            f"| ±{100 * margin:.2f} | {p:.4f} | {'yes' if p < 0.05 else 'not shown'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
