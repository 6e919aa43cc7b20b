"""What stands in place of functions that CPUs approximate."""

import math
import os

import numpy as np
import pytest

from replica.training import backend, trainer
from replica.training.backend import keras, tf


@pytest.fixture(autouse=True)
def prepared() -> None:
    trainer.prepare(0, "float32")


def test_what_the_c_library_says_meanwhile_is_not_seen_and_stderr_is_itself_again(capfd):
    with pytest.raises(ZeroDivisionError), backend.silence():
        os.write(2, b"a greeting\n")
        os.write(1, b"still heard\n")
        raise ZeroDivisionError
    os.write(2, b"an error\n")
    assert capfd.readouterr() == ("still heard\n", "an error\n")


def test_the_reciprocal_root_is_right_to_the_last_digit_but_one_and_so_is_its_gradient():
    x = np.geomspace(1e-9, 1e9, 2001).astype(np.float32)
    exact = 1 / np.sqrt(x.astype(np.float64))
    for rsqrt in (tf.math.rsqrt, keras.ops.rsqrt):
        assert np.max(np.abs(rsqrt(tf.constant(x)).numpy() / exact - 1)) < 2**-23
    with tf.GradientTape() as tape:
        tape.watch(given := tf.constant(x))
        root = tf.math.rsqrt(given)
    assert np.allclose(tape.gradient(root, given), -0.5 * exact**3, rtol=1e-5)


def test_gelu_by_erf_is_gelu():
    x = np.linspace(-6, 6, 1001).astype(np.float32)
    exact = x * (1 + np.array([math.erf(value / math.sqrt(2)) for value in x])) / 2
    assert np.allclose(keras.ops.gelu(x, approximate=False), exact, atol=1e-6)
    assert np.allclose(keras.layers.Activation("gelu")(x), exact, atol=1e-6)


def test_keras_s_layers_and_optimizers_use_it_in_a_graph():
    """TensorFlow's own would show as an Rsqrt or a Reciprocal among the operations."""
    layer, optimizer = keras.layers.BatchNormalization(), keras.optimizers.RMSprop()
    x = tf.random.stateless_normal((8, 3), (0, 0))
    layer.build(x.shape)
    optimizer.build(layer.trainable_variables)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True) ** 3)
        optimizer.apply(tape.gradient(loss, layer.trainable_variables))

    graph = step.get_concrete_function().graph.as_graph_def()
    operations = {node.op for node in graph.node} | {n.op for f in graph.library.function for n in f.node_def}
    assert "Sqrt" in operations
    assert not {"Rsqrt", "RsqrtGrad", "Reciprocal", "Inv"} & operations
    assert tf.config.optimizer.get_experimental_options()["arithmetic_optimization"] is False
