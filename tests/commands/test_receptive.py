"""Receptive fields against what a network's gradient reaches."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replica.commands import receptive
from replica.schema import check
from replica.schema.layers import LAYERS
from replica.training import networks
from replica.training.backend import tf

size, step = st.integers(1, 3), st.integers(1, 2)
ones = {"filters": 2, "kernel_initializer": "ones"}
layers = st.one_of(
    st.tuples(size, size, step, step)
    .filter(lambda a: a[:2] != (1, 1) or a[2:] == (1, 1))  # which the schema refuses: see Conv2D
    .map(lambda a: {"Conv2D": {**ones, "kernel_size": [a[0], a[1]], "strides": [a[2], a[3]]}}),
    st.tuples(size, step).map(lambda a: {"Conv2D": {**ones, "kernel_size": a[0], "dilation_rate": a[1]}}),
    st.tuples(size, st.none() | step).map(lambda a: {"AveragePooling2D": {"pool_size": a[0], "strides": a[1]}}),
    st.sampled_from([{"Rescaling": {"scale": 2.0}}, {"Activation": {"activation": "linear"}}]),
)
SIDE = 48


def stack_of(declared, shape):
    stack = []
    for value in declared:
        kind, layer = check.one(LAYERS, value, "layers", "layer")
        stack.append((kind, layer, shape))
        shape = layer.output(shape)
    return stack


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(layers, min_size=1, max_size=3))
def test_the_first_output_s_gradient_reaches_as_far(declared):
    model = networks.network({"layers": declared}, (SIDE, SIDE, 2), images=False)
    x = tf.Variable(np.ones((1, SIDE, SIDE, 2), np.float32))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        first = model(x)[0, 0, 0, 0]
    reached = np.argwhere(tape.gradient(first, x).numpy()[0, ..., 0])
    assert receptive.fields(stack_of(declared, (SIDE, SIDE, 2)))[-1] == tuple(reached.max(axis=0) + 1)


def test_document_d_s_answer_and_what_sees_everything():
    convolution = {"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same"}}
    declared = [convolution, convolution, "Flatten", {"Dense": {"units": 2}}]
    assert receptive.fields(stack_of(declared, (32, 32, 3))) == [(3, 3), (5, 5), None, None]  # D:437
