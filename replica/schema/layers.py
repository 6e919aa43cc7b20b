"""The layers a variant may use: Keras's names, arguments and defaults, with their shapes and parameters by arithmetic.

Checking and tables need no TensorFlow this way; tests/training/test_layers.py holds all to Keras over random stacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, Field

from replica.common.arguments import Arguments

Shape = tuple[int, ...]
Positive = Annotated[int, Field(gt=0, le=2**31 - 1)]  # TensorFlow counts steps and strides in 32 bits
Rate = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(ge=0)]
Pair = Positive | Annotated[list[Positive], Field(min_length=2, max_length=2)]
Padding = Literal["valid", "same"]
Activation = Literal[
    "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "log_softmax", "mish", "relu",
    "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh",
]  # fmt: skip
Initializer = Literal[
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "ones", "orthogonal",
    "random_normal", "random_uniform", "truncated_normal", "zeros",
]  # fmt: skip


def of_a_vector(name: str) -> str:
    if name == "orthogonal":
        raise ValueError("orthogonal fills matrices alone")
    return name


class L1(Arguments):
    l1: Factor = 0.01


class L2(Arguments):
    l2: Factor = 0.01


class L1L2(Arguments):
    l1: Factor = 0.0
    l2: Factor = 0.0


REGULARIZERS: dict[str, type[Arguments]] = {"L1": L1, "L2": L2, "L1L2": L1L2}


class Layer(Arguments):
    """A layer of no other shape and no parameters, for inputs of `ranks` (without the batch; empty for any)."""

    ranks: ClassVar[tuple[int, ...]] = ()

    def output(self, shape: Shape) -> Shape:
        """Shape of one output, for one input of `shape`.

        Raises
        ------
        ValueError
            Where the layer cannot take that shape.
        """
        return shape

    def parameters(self, shape: Shape) -> list[tuple[str, int]]:
        """Trainable parameters for an input of `shape`: each term's arithmetic as text, and its value."""
        return []


class Weighted(Layer):
    """What layers with a kernel have in common."""

    activation: Activation | None = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Annotated[Initializer, AfterValidator(of_a_vector)] = "zeros"
    kernel_regularizer: Any = None
    bias_regularizer: Any = None


def pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def slide(shape: Shape, size: Pair, strides: Pair, padding: str, dilation: Pair = 1) -> tuple[int, int]:
    """Height and width a window leaves as it slides: documents B and D, floor((n - k + 2p) / s) + 1, dilated."""
    sides = []
    for n, k, s, d in zip(shape, pair(size), pair(strides), pair(dilation), strict=False):
        reach = d * (k - 1) + 1
        if padding == "valid" and reach > n:
            raise ValueError(f"a window of {reach} does not fit into {n} pixels; padding: same or a smaller one would")
        if d > n:  # TensorFlow takes memory by its square
            raise ValueError(f"dilation_rate: {d}, but there are {n} pixels; allowed: up to {n}")
        sides.append(-(-n // s) if padding == "same" else (n - reach) // s + 1)
    return sides[0], sides[1]


class Conv2D(Weighted):
    ranks = (3,)
    filters: Positive
    kernel_size: Pair
    strides: Pair = 1
    padding: Padding = "valid"
    dilation_rate: Pair = 1
    groups: Positive = 1

    def output(self, shape: Shape) -> Shape:
        if shape[2] % self.groups or self.filters % self.groups:
            raise ValueError(f"groups: {self.groups} divides not both {shape[2]} channels and {self.filters} filters")
        if pair(self.strides) != (1, 1) != pair(self.dilation_rate):
            raise ValueError("strides and dilation_rate: allowed: one of them above 1")
        if pair(self.kernel_size) == (1, 1) != pair(self.strides):
            raise ValueError("kernel_size: 1 with strides, in which oneDNN spoils memory; let MaxPooling2D stride")
        return (*slide(shape, self.kernel_size, self.strides, self.padding, self.dilation_rate), self.filters)

    def parameters(self, shape: Shape) -> list[tuple[str, int]]:
        height, width = pair(self.kernel_size)
        channels = shape[2] // self.groups
        bias = " + 1" if self.use_bias else ""
        count = (height * width * channels + self.use_bias) * self.filters
        return [(f"({height}·{width}·{channels}{bias})·{self.filters}", count)]


class DepthwiseConv2D(Layer):
    ranks = (3,)
    kernel_size: Pair
    strides: Positive = 1
    padding: Padding = "valid"
    depth_multiplier: Positive = 1
    activation: Activation | None = None
    use_bias: bool = True

    def output(self, shape: Shape) -> Shape:
        return (*slide(shape, self.kernel_size, self.strides, self.padding), shape[2] * self.depth_multiplier)

    def parameters(self, shape: Shape) -> list[tuple[str, int]]:
        height, width = pair(self.kernel_size)
        filters = shape[2] * self.depth_multiplier
        bias = " + 1" if self.use_bias else ""
        return [(f"({height}·{width}{bias})·{filters}", (height * width + self.use_bias) * filters)]


class Dense(Weighted):
    units: Positive

    def output(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.units)

    def parameters(self, shape: Shape) -> list[tuple[str, int]]:
        bias = " + 1" if self.use_bias else ""
        return [(f"({shape[-1]}{bias})·{self.units}", (shape[-1] + self.use_bias) * self.units)]


class Pooling2D(Layer):
    ranks = (3,)
    pool_size: Pair = 2
    strides: Pair | None = None
    padding: Padding = "valid"

    def output(self, shape: Shape) -> Shape:
        return (*slide(shape, self.pool_size, self.strides or self.pool_size, self.padding), shape[2])


class AveragePooling2D(Pooling2D):
    pool_size: Pair


class GlobalPooling2D(Layer):
    ranks = (3,)

    def output(self, shape: Shape) -> Shape:
        return (shape[2],)


class Flatten(Layer):
    def output(self, shape: Shape) -> Shape:
        return (prod(shape),)


class BatchNormalization(Layer):
    momentum: Rate = 0.99
    epsilon: Annotated[float, Field(gt=0)] = 0.001
    center: bool = True
    scale: bool = True

    def parameters(self, shape: Shape) -> list[tuple[str, int]]:
        terms = self.center + self.scale
        return [(f"{terms}·{shape[-1]}", terms * shape[-1])] if terms else []


class LayerNormalization(Layer):
    epsilon: Annotated[float, Field(gt=0)] = 0.001

    def parameters(self, shape: Shape) -> list[tuple[str, int]]:
        return [(f"2·{shape[-1]}", 2 * shape[-1])]


class ActivationLayer(Layer):
    activation: Activation


class Dropout(Layer):
    rate: Rate


class SpatialDropout2D(Dropout):
    ranks = (3,)


class GaussianNoise(Layer):
    stddev: Annotated[float, Field(ge=0, le=1)]


class ZeroPadding2D(Layer):
    ranks = (3,)
    padding: Positive = 1

    def output(self, shape: Shape) -> Shape:
        return (shape[0] + 2 * self.padding, shape[1] + 2 * self.padding, shape[2])


class RandomFlip(Layer):
    ranks = (3,)
    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"


class RandomTranslation(Layer):
    ranks = (3,)
    height_factor: Rate
    width_factor: Rate
    fill_mode: Literal["constant", "nearest", "reflect", "wrap"] = "reflect"


class RandomRotation(Layer):
    ranks = (3,)
    factor: Rate
    fill_mode: Literal["constant", "nearest", "reflect", "wrap"] = "reflect"


class Rescaling(Layer):
    scale: float
    offset: float = 0.0


LAYERS: dict[str, type[Layer]] = {
    "Activation": ActivationLayer,
    "AveragePooling2D": AveragePooling2D,
    "BatchNormalization": BatchNormalization,
    "Conv2D": Conv2D,
    "Dense": Dense,
    "DepthwiseConv2D": DepthwiseConv2D,
    "Dropout": Dropout,
    "Flatten": Flatten,
    "GaussianNoise": GaussianNoise,
    "GlobalAveragePooling2D": GlobalPooling2D,
    "GlobalMaxPooling2D": GlobalPooling2D,
    "LayerNormalization": LayerNormalization,
    "MaxPooling2D": Pooling2D,
    "RandomFlip": RandomFlip,
    "RandomRotation": RandomRotation,
    "RandomTranslation": RandomTranslation,
    "Rescaling": Rescaling,
    "SpatialDropout2D": SpatialDropout2D,
    "ZeroPadding2D": ZeroPadding2D,
}


def words(value: Any, depth: int = 9) -> str:
    """`Adam`, `SGD(learning_rate=0.1)`, `relu`: a name with its arguments, and theirs, so many deep."""
    if not isinstance(value, dict) or not value:
        return str(value)
    name, arguments = next(iter(value.items()))
    if not arguments or not depth:
        return name
    return f"{name}({', '.join(f'{key}={words(argument, depth - 1)}' for key, argument in arguments.items())})"


class Placed(NamedTuple):
    """A layer in its place: name and arguments as declared, output shape, its parameters' terms and their values."""

    kind: str
    arguments: dict[str, Any]
    output: Shape
    terms: list[tuple[str, int]]


def walk(declared: Iterable[Any], shape: Shape) -> Iterator[Placed]:
    """A network layer by layer, from the shape of one input; its entries are already checked."""
    for value in declared:
        kind, arguments = (value, {}) if isinstance(value, str) else next(iter(value.items()))
        layer = LAYERS[kind].model_validate(arguments or {})
        placed = Placed(kind, arguments or {}, layer.output(shape), layer.parameters(shape))
        yield placed
        shape = placed.output
