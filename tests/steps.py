"""A few steps of each kind of network, and what they come to: `python tests/steps.py [KIND …]`.

Prints JSON: for each network of golden/networks.yaml, for the optimizers and for the activations, the start of a
SHA-256 over the bytes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, get_args

import yaml

from replica.common import kernels

GOLDEN = Path(__file__).parent / "golden"
BATCH = 16
OPTIMIZERS: list[Any] = [
    {"SGD": {"momentum": 0.9, "clipnorm": 0.5}},
    {"RMSprop": {"centered": True, "momentum": 0.5}},
    "Adam",
    {"Adam": {"amsgrad": True}},
    "AdamW",
    "Adamax",
    {"Adadelta": {"learning_rate": 1.0}},
    "Adagrad",
    "Nadam",
    "Lion",
    {"SGD": {"learning_rate": {"PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 6, "power": 1.5}}}},
    {"SGD": {"learning_rate": {"PiecewiseConstantDecay": {"boundaries": [1, 2], "values": [0.1, 0.05, 0.01]}}}},
]


def trained(network: dict[str, Any]) -> list[Any]:
    """Weights after an epoch, its averages, and probabilities."""
    import numpy as np

    from replica.training.trainer import Trainer

    draws, images = np.random.default_rng(0), len(network["shape"]) == 3
    x = draws.integers(0, 256, (network.get("examples", 2 * BATCH), *network["shape"]))
    x = x.astype(np.uint8) if images else x.astype(np.float32) / 64 - 2
    classes = 10 if images else 2
    variant = {**network, "epochs": 1, "batch_size": BATCH, "kernels": "portable"}
    trainer = Trainer(variant, x, draws.integers(0, classes, len(x)), classes, seed=0)
    (rows,) = trainer.fit({})
    averages = np.array([row[1] for row in rows])
    return [*(weight.numpy() for weight in trainer.model.weights), averages, trainer.probabilities(x)]


def optimized() -> list[Any]:
    """A variable after three steps of each optimizer, all in one graph."""
    import numpy as np

    from replica.training import networks, trainer
    from replica.training.backend import keras, tf

    trainer.prepare(0, "float32")
    chosen = [networks.optimizer(value) for value in OPTIMIZERS]
    variables = [keras.Variable(np.linspace(-2, 2, 201, dtype=np.float32)) for _ in chosen]
    for optimizer, variable in zip(chosen, variables, strict=True):
        optimizer.build([variable])

    @tf.function(autograph=False, jit_compile=False)
    def step() -> None:
        for optimizer, variable in zip(chosen, variables, strict=True):
            optimizer.apply([variable * 0.3 + 0.1], [variable])

    for _ in range(3):
        step()
    return [variable.numpy() for variable in variables]


def activated() -> list[Any]:
    """Each activation and its gradient, all in one graph."""
    import numpy as np

    from replica.schema.layers import Activation
    from replica.training import trainer
    from replica.training.backend import keras, tf

    trainer.prepare(0, "float32")
    names = get_args(Activation)

    @tf.function(autograph=False, jit_compile=False)
    def step(x: Any) -> list[Any]:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            outputs = [keras.activations.get(name)(x) for name in names]
        return [*outputs, *(tape.gradient(output, x, output_gradients=x) for output in outputs)]

    x = np.linspace(-9, 9, 33 * 31, dtype=np.float32).reshape(33, 31)
    return [output.numpy() for output in step(tf.constant(x))]


def main(*kinds: str) -> None:
    kernels.use("portable")
    declared = yaml.safe_load((GOLDEN / "networks.yaml").read_text())
    digests = {}
    for kind in kinds or (*declared, *TOGETHER):
        arrays = trained(declared[kind]) if kind in declared else TOGETHER[kind]()
        digests[kind] = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]
    print(json.dumps(digests, indent=2))


TOGETHER = {"optimizers": optimized, "activations": activated}

if __name__ == "__main__":
    main(*sys.argv[1:])
