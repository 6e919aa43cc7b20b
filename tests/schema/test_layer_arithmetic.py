"""Our arithmetic of shapes and parameters against Keras's own layers."""

import inspect

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replica.schema import check
from replica.schema.layers import LAYERS
from replica.schema.optimizers import OPTIMIZERS, SCHEDULES
from replica.training import networks

sizes = st.integers(1, 4)
padding = st.sampled_from(["valid", "same"])
layer = st.one_of(
    st.builds(
        lambda f, k, s, p, b: {"Conv2D": {"filters": f, "kernel_size": k, "strides": s, "padding": p, "use_bias": b}},
        sizes, sizes | st.tuples(sizes, sizes).map(list), sizes, padding, st.booleans(),
    ),
    st.builds(lambda f, d: {"Conv2D": {"filters": f, "kernel_size": 2, "dilation_rate": d}}, sizes, sizes),
    st.builds(
        lambda name, p, s, pad: {name: {"pool_size": p, "strides": s, "padding": pad}},
        st.sampled_from(["MaxPooling2D", "AveragePooling2D"]), sizes, st.none() | sizes, padding,
    ),
    st.builds(lambda k, m: {"DepthwiseConv2D": {"kernel_size": k, "depth_multiplier": m}}, sizes, sizes),
    st.builds(lambda p: {"ZeroPadding2D": {"padding": p}}, sizes),
    st.builds(lambda u: {"Dense": {"units": u}}, sizes),
    st.builds(lambda c, s: {"BatchNormalization": {"center": c, "scale": s}}, st.booleans(), st.booleans()),
    st.sampled_from(
        ["LayerNormalization", {"Dropout": {"rate": 0.5}}, {"Activation": {"activation": "relu"}}, "RandomFlip",
         {"RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1}}, {"GaussianNoise": {"stddev": 0.1}},
         {"SpatialDropout2D": {"rate": 0.1}}, {"RandomRotation": {"factor": 0.1}}, {"Rescaling": {"scale": 2.0}}]
    ),
)  # fmt: skip
head = st.sampled_from(["Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(st.integers(4, 9), st.integers(4, 9), st.integers(1, 3)), st.lists(layer, max_size=4), head)
def test_shapes_and_parameters_are_keras_s(shape, layers, head):
    stack = [*layers, head, {"Dense": {"units": 3}}]
    ours, ours_total = shape, 0
    try:
        for value in stack:
            _, checked = check.one(LAYERS, value, "layers", "layer")
            ours_total += sum(count for _, count in checked.parameters(ours))
            ours = checked.output(ours)
    except ValueError as refused:
        if "spoils memory" in str(refused):  # Keras builds it, and TensorFlow dies of it
            return
        with pytest.raises(ValueError):
            networks.network({"layers": stack}, shape, images=False)
        return
    model = networks.network({"layers": stack}, shape, images=False)
    assert model.output_shape[1:] == ours
    assert networks.description(model)["params_total"] == ours_total


def test_every_class_and_argument_is_keras_s():
    for name, checked in LAYERS.items():
        arguments = set(keras.layers.__dict__[name](**EXAMPLE.get(name, {})).get_config()) | {"axis"}
        assert set(checked.model_fields) <= arguments, name


@pytest.mark.parametrize(
    ("kinds", "theirs"),
    [(LAYERS, keras.layers), (OPTIMIZERS, keras.optimizers), (SCHEDULES, keras.optimizers.schedules)],
)
def test_every_default_is_keras_s(kinds, theirs):
    for name, kind in kinds.items():
        stated = inspect.signature(theirs.__dict__[name]).parameters
        for argument, field in kind.model_fields.items():
            default = inspect.Parameter.empty if field.is_required() else field.default
            if argument != "learning_rate":  # a variant states it
                assert stated[argument].default in (default, (default, default)), (name, argument)


EXAMPLE = {
    "AveragePooling2D": {"pool_size": 1},
    "Activation": {"activation": "relu"},
    "Conv2D": {"filters": 1, "kernel_size": 1},
    "Dense": {"units": 1},
    "DepthwiseConv2D": {"kernel_size": 1},
    "Dropout": {"rate": 0.1},
    "GaussianNoise": {"stddev": 0.1},
    "RandomRotation": {"factor": 0.1},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1},
    "Rescaling": {"scale": 1.0},
    "SpatialDropout2D": {"rate": 0.1},
}
