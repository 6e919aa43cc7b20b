"""Our dropout against what dropout is; a rectified pooling against Keras's two layers, to the bit."""

import itertools
import json

import numpy as np
import pytest
from bright import natively

from replica.common import kernels
from replica.schema import check
from replica.schema.layers import LAYERS
from replica.training import layers as quicker
from replica.training import networks, runs
from replica.training.backend import keras, tf
from replica.training.layers import Dropout
from replica.training.trainer import Trainer, prepare

SHAPE = (250, 41, 7)
CONVOLUTION = {"Conv2D": {"filters": 5, "kernel_size": 3, "activation": "relu"}}
AFTER = [{"Flatten": {}}, {"Dense": {"units": 3}}]


@pytest.fixture(autouse=True)
def one_thread():
    prepare(0, "float32")


def dropped(rate, dtype="float32", seed=3):
    layer = Dropout(rate, seed=seed, dtype=dtype)
    x = tf.cast(tf.ones(SHAPE), dtype)
    return tf.cast(tf.function(lambda x: layer(x, training=True))(x), tf.float32).numpy()


@pytest.mark.parametrize("rate", [0.05, 0.25, 0.4, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_share_dropped_is_the_rate_and_the_rest_makes_up_for_it(rate, dtype):
    out = dropped(rate, dtype)
    share = round(256 * rate) / 256
    error = 5 * (share * (1 - share) / out.size) ** 0.5
    assert abs((out == 0).mean() - share) < error
    (factor,) = np.unique(out[out > 0])
    assert factor == pytest.approx(1 / (1 - share), rel=1e-6 if dtype == "float32" else 2**-8)


def test_every_axis_and_every_call_has_lots_of_its_own():
    layer = Dropout(0.5, seed=1)
    first, second = (layer(tf.ones(SHAPE), training=True).numpy() == 0 for _ in range(2))
    for axis in range(3):
        shifted = np.roll(first, 1, axis)
        assert abs((first == shifted).mean() - 0.5) < 0.02
    assert abs((first == second).mean() - 0.5) < 0.02


def test_a_seed_repeats_its_lots():
    assert np.array_equal(dropped(0.3, seed=5), dropped(0.3, seed=5))
    assert not np.array_equal(dropped(0.3, seed=5), dropped(0.3, seed=6))


def test_gradients_pass_where_elements_do():
    layer, x = Dropout(0.4, seed=2), tf.ones(SHAPE)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    assert np.array_equal(tape.gradient(y, x).numpy(), y.numpy())


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.3, 1.0])
def test_nothing_happens_while_not_training(rate):
    x = tf.random.stateless_normal((5, 6), (0, 0))
    assert np.array_equal(Dropout(rate)(x, training=False), x)


@pytest.mark.parametrize(("rate", "noise_shape"), [(0.0, None), (1.0, None), (0.5, (1, 6))])
def test_what_it_does_not_do_itself_is_keras_s(rate, noise_shape):
    x = tf.ones((50, 6))
    ours, theirs = (
        kind(rate, noise_shape=noise_shape, seed=4)(x, training=True) for kind in (Dropout, keras.layers.Dropout)
    )
    assert np.array_equal(ours, theirs)


def test_a_saved_run_names_keras_s_own(tmp_path):
    variant = {
        "layers": [CONVOLUTION, {"MaxPooling2D": {}}, {"Flatten": {}}, {"Dropout": {"rate": 0.4}}, *AFTER[1:]],
        "optimizer": {"SGD": {}},
        "batch_size": 4,
        "epochs": 1,
        "kernels": "portable",
    }
    x, y = np.arange(8 * 32, dtype=np.uint8).reshape(8, 4, 4, 2), np.arange(8) % 3
    trainer = Trainer(variant, x, y, 3, seed=0)
    assert any(isinstance(layer, Dropout) for layer in trainer.model.layers)
    runs.save(tmp_path / "seed-0", trainer, [], {"test": x}, "mark")
    text = (tmp_path / "seed-0/architecture.json").read_text()
    assert "replica" not in text
    plain = keras.Sequential([keras.Input((4, 4, 2)), *(networks.layer(value) for value in variant["layers"])])
    assert [layer["class_name"] for layer in json.loads(plain.to_json())["config"]["layers"]][1:] == [
        layer["class_name"] for layer in json.loads(text)["config"]["layers"]
    ][2:]
    loaded = runs.load(tmp_path / "seed-0")
    assert not any(isinstance(layer, Dropout) for layer in loaded.layers)
    assert np.array_equal(loaded(x), trainer.model(x))


def trained(layers, name):
    """The trainer, weights and probabilities after two epochs, with kernels of this name."""
    variant = {
        "layers": layers,
        "optimizer": {"Adam": {}},
        "batch_size": 16,
        "epochs": 2,
        "kernels": name,
    }
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (80, 12, 12, 2), dtype=np.uint8), random.integers(0, 3, 80)
    trainer = Trainer(variant, x, y, 3, seed=0)
    list(trainer.fit({}))
    return trainer, [weight.numpy() for weight in trainer.model.trainable_weights], trainer.probabilities(x)


POOLED = [
    [CONVOLUTION, {"MaxPooling2D": {"pool_size": 2}}, *AFTER],
    [CONVOLUTION, {"MaxPooling2D": {"pool_size": 3, "strides": 2, "padding": "same"}}, CONVOLUTION, *AFTER],
]


def same_bits(layers, name):
    """Our layers train to the bits that Keras's own train to."""
    ours, weights, outputs = trained(layers, name)
    assert ours.model.layers[0].dtype_policy.name == kernels.precision(name)
    assert any(isinstance(layer, quicker.MaxPooling2D) for layer in ours.model.layers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quicker, "network", lambda plain: plain)
        theirs, expected, wanted = trained(layers, name)
    assert not any(isinstance(layer, quicker.MaxPooling2D) for layer in theirs.model.layers)
    assert all(np.array_equal(a, b) for a, b in zip(weights, expected, strict=True))
    assert np.array_equal(outputs, wanted)
    assert ours.architecture == theirs.architecture


@pytest.mark.parametrize("layers", POOLED)
def test_a_relu_after_the_pooling_trains_the_same_bits(layers):
    same_bits(layers, "portable")


def test_natively_it_trains_the_same_bits_too():
    natively("import test_layers\nfor layers in test_layers.POOLED:\n    test_layers.same_bits(layers, 'native')")


@pytest.mark.parametrize(
    "layers",
    [
        [{"Conv2D": {"filters": 2, "kernel_size": 3}}, {"MaxPooling2D": {"pool_size": 2}}, *AFTER],
        [
            {"Conv2D": {"filters": 2, "kernel_size": 3, "activation": "tanh"}},
            {"MaxPooling2D": {"pool_size": 2}},
            *AFTER,
        ],
        [CONVOLUTION, {"AveragePooling2D": {"pool_size": 2}}, *AFTER],
        [CONVOLUTION, {"BatchNormalization": {}}, {"MaxPooling2D": {"pool_size": 2}}, *AFTER],
    ],
)
def test_other_pairs_stay_as_they_are(layers):
    network = networks.network({"layers": layers}, (12, 12, 2), images=True)
    before = [(type(layer), getattr(layer, "activation", None)) for layer in network.layers]
    assert [(type(layer), getattr(layer, "activation", None)) for layer in quicker.network(network).layers] == before


def test_weights_are_taken_over_not_drawn_again():
    plain = networks.network({"layers": [CONVOLUTION, {"Dropout": {"rate": 0.5}}, *AFTER]}, (12, 12, 2), images=True)
    before = [weight.numpy() for weight in plain.trainable_weights]
    after = quicker.network(plain).trainable_weights
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, after, strict=True))


def test_groups_one_after_another_are_keras_s_convolution_with_its_weights():
    plain = keras.Sequential(
        [keras.Input((8, 8, 6)), keras.layers.Conv2D(9, 3, strides=2, groups=3, activation="relu")]
    )
    x = tf.random.stateless_normal((4, 8, 8, 6), (0, 0))
    expected = plain(x).numpy()
    ours = quicker.network(plain)
    assert isinstance(ours.layers[0], quicker.Conv2D)
    assert np.allclose(ours(x), expected, atol=1e-6)


SIDES = list(itertools.product((1, 2, 3), repeat=2))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("name", "arguments", "strides"),
    [("Conv2D", {"filters": 2}, [list(each) for each in SIDES]), ("DepthwiseConv2D", {}, [1, 2, 3])],
    ids=["Conv2D", "DepthwiseConv2D"],
)
def test_a_convolution_s_gradients_are_right_wherever_the_check_lets_it_in(name, arguments, strides, padding):
    """It is linear in its images and in its kernel, so that each times its gradient is the value itself (Euler)."""
    shape, drawn = (28, 27, 2), np.random.default_rng(0)
    for sides, stride in itertools.product(SIDES, strides):
        declared = {name: {**arguments, "kernel_size": list(sides), "strides": stride, "padding": padding}}
        try:
            check.one(LAYERS, declared, "layers", "layer")[1].output(shape)
        except ValueError:
            assert sides == (1, 1)
            continue
        model = networks.network({"layers": [declared]}, shape, images=False)
        x, kernel = tf.constant(drawn.random((8, *shape)), "float32"), model.layers[-1].kernel.value
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x)
            value = tf.reduce_sum(y * drawn.random(y.shape, np.float32))
        for factor, gradient in zip((x, kernel), tape.gradient(value, [x, kernel]), strict=True):
            assert np.sum(factor * gradient) == pytest.approx(float(value), rel=1e-3), declared
