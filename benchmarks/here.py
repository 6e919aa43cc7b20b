"""One variant, one seed, as this pipeline trains it: the other side of `benchmarks.as_written`.

    python -m benchmarks.here VARIANT [--epochs N] [--seed N]

prints the seconds of training, building its graphs included, and the test accuracy as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from replica.common import arrays, parameters
from replica.training.trainer import Trainer


def train(variant: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train and test one run: `seconds` in all, and `test_accuracy`."""
    data = arrays.load(variant["dataset"])
    count = variant["train_examples"] or len(data.x_train)
    if variant["validation"] != "test":
        count = arrays.validation_split(count, variant["validation"])
    began = time.perf_counter()
    trainer = Trainer(variant, data.x_train[:count], data.y_train[:count], len(data.classes), seed)
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
    given = options.parse_args()
    variant = parameters.variant(parameters.read(), given.variant)
    variant["epochs"] = given.epochs or variant["epochs"]
    print(json.dumps(train(variant, given.seed)))


if __name__ == "__main__":
    main()
