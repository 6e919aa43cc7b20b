"""How near training comes to what a core can do: its arithmetic beside that of large matrices.

    python -m benchmarks.roofline [VARIANT ...] [--images 3840] [--jobs 2]

For each variant: the floating-point operations of one image's training step in its convolutions and dense layers
(forward, gradient of the kernels, gradient of the inputs but for the first layer's), the images a second that one
thread trains after a first epoch, and the product as a share of the rate at which TensorFlow multiplies two square
matrices of 2,048 rows, at the same precision; the same of scoring, which is the forward part alone. `--jobs` processes
of one thread do so at once; figures are one's.

At the end, the operations of the whole table (the documents' variants on images and the search, every epoch, with the
scoring of the validation images) and the seconds they take at that rate. Two minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.table import ROOT, documented
from replica.common import arrays, kernels, parameters
from replica.search import draws
from replica.training import networks
from replica.training.backend import keras, tf
from replica.training.trainer import Trainer

LARGEST = ("cifar10_model5", "cifar10_four_conv", "cifar10_model4", "cifar10_deep_50k_long", "mnist_adadelta")
SIDE = 2048


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Median seconds of calls, after one that is not counted."""
    work()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def operations(model: keras.Sequential) -> tuple[float, float]:
    """Floating-point operations of one image, forward and in a whole training step; multiply and add are two."""
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    forward = [2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in layers]
    return sum(forward), 3 * sum(forward) - forward[0]


def of_training(variant: dict[str, Any]) -> float:
    """Floating-point operations of a whole training, its watched images included."""
    data = arrays.load(variant["dataset"])
    forward, step = operations(networks.network(variant, data.x_train.shape[1:], images=True))
    images = {part: len(y) for part, (_, y) in arrays.parts(data, variant).items()}
    watched = images["test" if variant["validation"] == "test" else "validation"]
    return variant["epochs"] * (images["train"] * step + watched * forward)


def whole_table() -> float:
    declared = parameters.read()
    total = 0.0
    for name in documented(declared):
        if name in declared["searches"]:
            trials = draws.trials(declared["searches"][name])
            total += sum(of_training(parameters.trial(declared, name, values)) for values in trials)
        else:
            total += of_training(parameters.variant(declared, name))
    return total


def one(name: str, images: int) -> dict[str, Any]:
    """One thread's figures for a variant."""
    variant = parameters.variant(parameters.read(), name)
    data = arrays.load(variant["dataset"])
    precision = kernels.precision(variant["kernels"])
    trainer = Trainer(variant, data.x_train[:images], data.y_train[:images], len(data.classes), seed=0)
    epoch = trainer.walk(trainer.model.train_step, trainer.x, trainer.y, trainer.batch_size)
    kind = tf.bfloat16 if precision == "mixed_bfloat16" else tf.float32
    a, b = (tf.cast(tf.random.stateless_normal((SIDE, SIDE), (0, seed)), kind) for seed in (0, 1))
    forward, step = operations(trainer.model)
    return {
        "precision": precision,
        "operations": {"training": step, "scoring": forward},
        "rate": {
            "training": images / seconds(lambda: list(epoch(np.arange(images)))),
            "scoring": images / seconds(lambda: trainer.probabilities(data.x_train[:images])),
        },
        "peak": 2 * SIDE**3 / seconds(lambda: tf.matmul(a, b).numpy(), 20),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", default=LARGEST)
    options.add_argument("--images", type=int, default=3840)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(one(given.names[0], given.images)))
        return
    print(
        "| variant | precision | large matrices, Gflop/s | training, Mflop an image | images/s | share "
        "| scoring, Mflop an image | images/s | share |"
    )
    print("| --- " * 9 + "|")
    peaks = []
    for name in given.names:
        command = [sys.executable, "-m", "benchmarks.roofline", "--one", name, "--images", str(given.images)]
        running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(given.jobs)]
        figures = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
        peak = statistics.mean(figure["peak"] for figure in figures)
        peaks.append(peak)
        cells = []
        for what, each in figures[0]["operations"].items():
            rate = statistics.mean(figure["rate"][what] for figure in figures)
            cells.append(f"{each / 1e6:.1f} | {rate:,.0f} | {each * rate / peak:.0%}")
        print(f"| {name} | {figures[0]['precision']} | {peak / 1e9:.0f} | {' | '.join(cells)} |", flush=True)
    total, peak = whole_table(), given.jobs * statistics.median(peaks)
    print(f"\nthe whole table: {total / 1e12:,.0f} Tflop, {total / peak:,.0f} s at {given.jobs} times that rate")


if __name__ == "__main__":
    main()
