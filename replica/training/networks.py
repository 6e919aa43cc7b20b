"""Variants as Keras objects: every `Name: {argument: value}` of params.yaml becomes the Keras object of that name."""

from __future__ import annotations

from typing import Any

import numpy as np

from replica.training.backend import keras


def named(module: Any, value: str | dict[str, Any], **more: Any) -> Any:
    """`{Name: arguments}`, or a `Name` alone, as an object of a Keras module, such as `keras.layers`."""
    name, arguments = (value, {}) if isinstance(value, str) else next(iter(value.items()))
    return getattr(module, name)(**(arguments or {}), **more)


def layer(value: str | dict[str, Any], **more: Any) -> keras.Layer:
    """One layer of params.yaml; arguments such as `kernel_regularizer: {L1: {l1: 0.1}}` become Keras's objects."""
    name, arguments = (value, {}) if isinstance(value, str) else next(iter(value.items()))
    built = {
        key: named(keras.regularizers, argument) if key.endswith("_regularizer") else argument
        for key, argument in (arguments or {}).items()
    }
    return named(keras.layers, {name: built}, **more)


def network(variant: dict[str, Any], shape: tuple[int, ...], images: bool) -> keras.Sequential:
    """The variant's network, unbuilt weights drawn from Keras's global seed.

    Parameters
    ----------
    variant
        The entry, as `replica.common.parameters.variant` returns it.
    shape
        Of one input, without the batch.
    images
        Whether inputs are bytes from 0 to 255; they are then scaled to 0..1 inside the network, so that the saved
        model takes images as they are stored.

    Notes
    -----
    The last layer computes in float32 at any precision, since a cross-entropy in bfloat16 loses its small terms.
    """
    *hidden, last = variant["layers"]
    first = [keras.layers.Rescaling(1 / 255, name="scale")] if images else []
    return keras.Sequential(
        [keras.Input(shape, dtype="uint8" if images else "float32"), *first]
        + [layer(value) for value in hidden]
        + [layer(last, dtype="float32")],
        name="network",
    )


def optimizer(value: str | dict[str, Any]) -> keras.Optimizer:
    """The optimizer; its `learning_rate` may be a number or one of Keras's schedules, `{CosineDecay: {…}}`."""
    name, arguments = (value, {}) if isinstance(value, str) else next(iter(value.items()))
    rate = (arguments or {}).get("learning_rate")
    if isinstance(rate, dict):
        arguments = {**arguments, "learning_rate": named(keras.optimizers.schedules, rate)}
    return named(keras.optimizers, {name: arguments})


def loss(variant: dict[str, Any], model: keras.Sequential) -> keras.Loss:
    """Cross-entropy on the labels unless the variant names another; on logits where no softmax ends the network."""
    value = variant.get("loss") or "SparseCategoricalCrossentropy"
    name = value if isinstance(value, str) else next(iter(value))
    logits = {"from_logits": not softmax_ends(model)} if name.endswith("Crossentropy") else {}
    return named(keras.losses, value, **logits)


def probabilities(model: keras.Sequential, outputs: np.ndarray) -> np.ndarray:
    """Each class's probability, float32 [n, classes], of a network's outputs on n images.

    A single output from -1 to +1 counts as two classes; logits go through a softmax.
    """
    if outputs.shape[1] == 1:
        second = np.clip((outputs + 1) / 2, 0, 1)
        return np.concatenate([1 - second, second], axis=1)
    if softmax_ends(model):
        return outputs
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def softmax_ends(model: keras.Sequential) -> bool:
    """Whether the network's outputs are probabilities already."""
    last = model.layers[-1]
    return isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax


def description(model: keras.Sequential) -> dict[str, Any]:
    """Parameters in all and by layer, for tables and cards; `params_total` counts the trainable ones."""
    layers = [
        {
            "name": layer.name,
            "class": type(layer).__name__,
            "output_shape": list(layer.output.shape[1:]),
            "params": layer.count_params(),
        }
        for layer in model.layers
        if layer.name != "scale"
    ]
    return {"params_total": sum(weight.shape.num_elements() for weight in model.trainable_variables), "layers": layers}
