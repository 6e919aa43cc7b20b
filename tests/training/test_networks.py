"""What a network's outputs are taken for."""

import numpy as np
import pytest
from scipy.special import softmax

from replica.training import networks

RANDOM = np.random.default_rng(0)


def model(units, **last):
    return networks.network({"layers": [{"Dense": {"units": units, **last}}]}, (7,), images=False)


def test_a_single_output_from_minus_one_to_one_is_two_classes():
    outputs = np.array([[-1.5], [-1], [-0.5], [0], [1], [2]], np.float32)
    assert np.array_equal(
        networks.probabilities(model(1, activation="tanh"), outputs),
        [[1, 0], [1, 0], [0.75, 0.25], [0.5, 0.5], [0, 1], [0, 1]],
    )


def test_logits_go_through_a_softmax_and_probabilities_stay():
    outputs = (RANDOM.normal(size=(50, 3)) * 200).astype(np.float32)
    shares = networks.probabilities(model(3), outputs)
    assert shares.dtype == np.float32
    assert np.allclose(shares, softmax(outputs, axis=1), atol=1e-6)
    assert networks.probabilities(model(3, activation="softmax"), shares) is shares


@pytest.mark.parametrize(
    ("units", "last", "loss", "logits"),
    [
        (3, {}, None, True),
        (3, {"activation": "softmax"}, None, False),
        (3, {}, "CategoricalCrossentropy", True),
        (3, {"activation": "softmax"}, {"CategoricalCrossentropy": {"label_smoothing": 0.1}}, False),
        (1, {"activation": "tanh"}, "MeanSquaredError", None),
    ],
)
def test_a_cross_entropy_is_told_whether_it_gets_logits(units, last, loss, logits):
    assert getattr(networks.loss({"loss": loss}, model(units, **last)), "from_logits", None) is logits


def test_images_are_scaled_and_measurements_are_not():
    entry = {"layers": [{"Flatten": {}}, {"Dense": {"units": 3}}]}
    scaled = networks.network(entry, (2, 2, 1), images=True).layers[0](np.array([0, 51, 255]))
    assert np.allclose(scaled, [0, 0.2, 1], rtol=1e-6)
    of_measurements = networks.network(entry, (2, 2, 1), images=False).layers
    assert [type(layer).__name__ for layer in of_measurements] == ["Flatten", "Dense"]
