"""One variant, one seed, as this pipeline trains it: the other side of `benchmarks.as_written`.

    python -m benchmarks.here VARIANT [--epochs N] [--seed N]

prints the seconds of training, building its graphs included, and the test accuracy as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from replica.common import arrays, kernels, parameters


def train(variant: dict[str, Any], seed: int, ours: bool) -> dict[str, Any]:
    """Train and test one run, by our layers or by Keras's alone: `seconds` in all, and `test_accuracy`."""
    kernels.use(variant["kernels"])
    from replica.training import layers  # TensorFlow chooses its kernels as it is imported
    from replica.training.trainer import Trainer

    if not ours:
        layers.network = lambda plain: plain
    data = arrays.load(variant["dataset"])
    began = time.perf_counter()
    trainer = Trainer(variant, *arrays.parts(data, variant)["train"], len(data.classes), seed)
    for _ in trainer.fit({}):
        pass
    seconds = time.perf_counter() - began
    right = trainer.probabilities(data.x_test).argmax(axis=1) == data.y_test
    return {"seconds": seconds, "test_accuracy": float(right.mean())}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("variant")
    options.add_argument("--epochs", type=int)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--kernels", choices=kernels.KERNELS, default="portable")
    options.add_argument("--layers", choices=("ours", "keras"), default="ours")
    given = options.parse_args()
    variant = {**parameters.variant(parameters.read(), given.variant), "kernels": given.kernels}
    variant["epochs"] = given.epochs or variant["epochs"]
    print(json.dumps(train(variant, given.seed, given.layers == "ours")))


if __name__ == "__main__":
    main()
