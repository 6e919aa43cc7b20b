"""Training: that it learns, and that what is declared is what Keras gets."""

import numpy as np
import pytest
from bright import DENSE, images, natively

from replica.common import kernels
from replica.training import networks
from replica.training import trainer as training
from replica.training.trainer import Trainer


@pytest.fixture(scope="module")
def bright():
    return images()


def history(trainer, watched):
    return [row for rows in trainer.fit(watched) for row in rows]


def test_it_learns_and_scores_what_is_watched(bright):
    x, y = bright
    trainer = Trainer({**DENSE, "epochs": 12}, x[:200], y[:200], 3, seed=0)
    rows = history(trainer, {"validation": (x[200:], y[200:])})
    assert [row[0] for row in rows[:4]] == [1, 1, 1, 1]
    assert {(metric, data) for _, _, metric, data in rows} == {
        (metric, data) for metric in ("accuracy", "loss") for data in ("training", "validation")
    }
    last = {(metric, data): value for epoch, value, metric, data in rows if epoch == 12}
    probabilities = trainer.probabilities(x[200:])
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (100, 3)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == y[200:]).mean() == pytest.approx(last["accuracy", "validation"])
    assert last["accuracy", "validation"] > 0.9


def test_it_is_keras_s_fit_when_the_order_is_the_same(bright):
    x, y = bright
    trainer = Trainer({**DENSE, "epochs": 1}, x, y, 3, seed=5)
    order = np.random.default_rng([5, 1]).permutation(len(x))
    ours = history(trainer, {})
    training.prepare(5, "float32")
    model = networks.network(DENSE, x.shape[1:], images=True)
    model.compile(networks.optimizer(DENSE["optimizer"]), networks.loss(DENSE, model), metrics=["accuracy"])
    theirs = model.fit(x[order], y[order], batch_size=32, shuffle=False, verbose=0).history
    assert {metric: value for _, value, metric, _ in ours} == pytest.approx(
        {"accuracy": theirs["accuracy"][0], "loss": theirs["loss"][0]}, rel=1e-5
    )
    for mine, keras_s in zip(trainer.model.get_weights(), model.get_weights(), strict=True):
        assert np.allclose(mine, keras_s, atol=1e-6)


def test_logits_become_probabilities(bright):
    x, y = bright
    layers = [*DENSE["layers"][:-1], {"Dense": {"units": 3}}]
    trainer = Trainer({**DENSE, "layers": layers}, x, y, 3, seed=0)
    assert trainer.loss.from_logits
    history(trainer, {})
    assert np.allclose(trainer.probabilities(x).sum(axis=1), 1, atol=1e-5)


def every_option_trains(name):
    """With kernels of this name."""
    x, y = images()
    entry = {
        "layers": [
            {"RandomFlip": {"mode": "horizontal"}},
            {"RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1}},
            {"Conv2D": {"filters": 4, "kernel_size": 3, "kernel_regularizer": {"L2": {"l2": 0.001}}}},
            {"BatchNormalization": {}},
            {"Activation": {"activation": "relu"}},
            {"GlobalAveragePooling2D": {}},
            {"Dense": {"units": 3}},
        ],
        "optimizer": {
            "SGD": {
                "momentum": 0.9,
                "nesterov": True,
                "learning_rate": {
                    "CosineDecay": {
                        "initial_learning_rate": 0.0,
                        "warmup_target": 0.1,
                        "warmup_steps": 3,
                        "decay_steps": 9,
                    }
                },
            }
        },
        "loss": {"CategoricalCrossentropy": {"label_smoothing": 0.1}},
        "batch_size": 64,
        "epochs": 2,
        "kernels": name,
    }
    trainer = Trainer(entry, x, y, 3, seed=0)
    rows = history(trainer, {"test": (x, y)})
    assert all(np.isfinite(value) for _, value, _, _ in rows)
    assert trainer.model.layers[-1].compute_dtype == "float32"
    assert trainer.model.layers[-2].dtype_policy.name == kernels.precision(name)
    assert trainer.model.optimizer.nesterov


def test_every_option_a_variant_may_use_trains_on_portable_kernels_and_on_native_ones():
    every_option_trains("portable")
    natively("import test_training; test_training.every_option_trains('native')")


def test_a_single_output_counts_as_two_classes():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 7)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.uint8)
    entry = {
        "layers": [{"Dense": {"units": 1, "activation": "tanh"}}],
        "optimizer": {"SGD": {"learning_rate": 0.5}},
        "loss": {"MeanSquaredError": {}},
        "loss_weights": 0.5,
        "batch_size": 10,
        "epochs": 250,
        "kernels": "portable",
    }
    trainer = Trainer(entry, x, y, 2, seed=0)
    rows = history(trainer, {"test": (x, y)})
    epochs = sorted({row[0] for row in rows})
    assert len(epochs) == 125
    assert epochs[-1] == 250
    probabilities = trainer.probabilities(x)
    outputs = trainer.model.predict(x, verbose=0)[:, 0]
    loss = 0.5 * np.mean((outputs - (2.0 * y - 1)) ** 2)
    assert [value for epoch, value, metric, data in rows if (epoch, metric, data) == (250, "loss", "test")] == [
        pytest.approx(loss, rel=1e-3)
    ]
    assert (probabilities.argmax(axis=1) == y).mean() > 0.95
