"""Whether a quicker setting scores like the plain one: test accuracies over several seeds, and an equivalence test.

    python -m benchmarks.equivalence kernels [VARIANT ...] [--seeds 10] [--first 0]
    python -m benchmarks.equivalence layers [VARIANT ...] [--seeds 10] [--first 0]

`kernels` compares portable with native, `layers` Keras's with those of `replica.training.layers`. Each seed is
trained twice, with the same weights to begin with and the same order of images. The two settings count as equivalent
where two one-sided paired t-tests at 5% (Schuirmann, 1987) place the mean difference within half the width of the 95%
Wilson interval that one run's accuracy has on the test images: what a reader could not tell apart anyway.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import numpy as np
from scipy import stats

from replica.common import arrays, parameters
from replica.evaluation import scores

SETTINGS = {"kernels": ("portable", "native"), "layers": ("keras", "ours")}
VARIANTS = {
    "kernels": ("mnist_mlp", "mnist_relu", "mnist_conv_adam", "cifar10_strided_5k", "cifar10_deep_5k"),
    "layers": ("cifar10_deep_5k", "cifar10_strided_5k", "photos10_strided"),
}


def accuracy(name: str, seed: int, of: str, setting: str) -> float:
    """Test accuracy of one run, in a process of its own: TensorFlow chooses its kernels as it is imported."""
    command = [sys.executable, "-m", "benchmarks.here", name, "--seed", str(seed), f"--{of}", setting]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["test_accuracy"]


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
        runs = np.array([[accuracy(name, seed, given.of, how) for how in settings] for seed in seeds])
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
