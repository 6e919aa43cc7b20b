"""A network that trains in less time, from Keras's: the same weights, and the same function but for dropout's draws."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from replica.training.backend import keras, tf

LEVELS = 256


class Dropout(keras.layers.Dropout):
    """Keras's layer but for how an element's lot is drawn: by a random byte, at a third of the price.

    An element is dropped where its byte is less than 256 times the rate, rounded; the others are divided by the share
    that this keeps, so the mean stays. A rate so is kept to 1/512, where the numbers that Keras draws in bfloat16 lie
    1/128 apart. The bytes are Philox's (Salmon et al., 2011), four of each word, under the layer's own seed.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Inputs of any shape and floating-point dtype; as they are, while not training."""
        below = round(LEVELS * self.rate)
        if not training or not 0 < below < LEVELS or self.noise_shape is not None:
            return super().call(inputs, training=training)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        words = tf.random.stateless_uniform([-(-tf.size(inputs) // 4)], seed, None, None, tf.uint32)
        lots = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[: tf.size(inputs)]
        kept = tf.cast(tf.reshape(lots, tf.shape(inputs)) >= below, inputs.dtype)
        return inputs * (kept * (LEVELS / (LEVELS - below)))


class Conv2D(keras.layers.Conv2D):
    """Keras's layer, its groups one after another: the compiler that Keras gives them to writes for this very CPU."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Images [n, height, width, channels] and a kernel [height, width, channels / groups, filters]."""
        convolve = super().convolution_op
        parts = zip(tf.split(inputs, self.groups, -1), tf.split(kernel, self.groups, -1), strict=True)
        return tf.concat([convolve(*part) for part in parts], -1)


class MaxPooling2D(keras.layers.MaxPooling2D):
    """Keras's layer and the ReLU of the convolution before it, which has a quarter of the elements left to look at.

    A maximum of rectified numbers is the rectified maximum, bit for bit, and so are the gradients.
    """

    def call(self, inputs: Any) -> Any:
        """Images [n, height, width, channels] before their ReLU."""
        return tf.nn.relu(super().call(inputs))


def network(plain: keras.Sequential) -> keras.Sequential:
    """The network with the layers above in place of Keras's own; it takes over the others, weights and all."""
    layers = list(plain.layers)
    for first, second in pairwise(plain.layers):
        if (
            type(first) is keras.layers.Conv2D
            and first.activation is keras.activations.relu
            and type(second) is keras.layers.MaxPooling2D
        ):
            first.activation = keras.activations.linear
            layers[layers.index(second)] = MaxPooling2D.from_config(second.get_config())
    for index, layer in enumerate(layers):
        if type(layer) is keras.layers.Dropout:
            layers[index] = Dropout.from_config(layer.get_config())
        if type(layer) is keras.layers.Conv2D and layer.groups > 1:
            layers[index] = Conv2D.from_config(layer.get_config())
            layers[index].build(layer.input.shape)
            layers[index].set_weights(layer.get_weights())
    return keras.Sequential([keras.Input(plain.input_shape[1:], dtype=plain.input_dtype), *layers], name=plain.name)
