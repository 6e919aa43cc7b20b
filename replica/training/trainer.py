"""Training on one thread: with the networks and the saved runs, all that knows TensorFlow.

One thread a process, since one thread and two add floating-point numbers in different orders: with one, a run's bytes
do not depend on how many cores there are, and two runs side by side use two cores better than one run on both.

An epoch is a few calls of a graph that walks over shuffled batches, held in memory as bytes, with Keras's own
`train_step` inside; `fit` comes back to Python at every batch. docs/speed.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from replica.common import kernels
from replica.training import layers, networks
from replica.training.backend import keras, tf

IMAGES_A_CALL = 4096
IMAGES_TO_SCORE = 500
Rows = list[tuple[int, float, str, str]]


def prepare(seed: int, precision: str) -> None:
    """Pin TensorFlow to one thread and one order of operations, and seed every generator it draws from."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)


def accuracy(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Whether each output names its label: class numbers, one-hot rows, or the sign of a single output."""
    if y_pred.shape[-1] == 1:
        return tf.cast(tf.reshape(y_true, [-1]) * tf.reshape(y_pred, [-1]) > 0, tf.float32)
    labels = tf.argmax(y_true, -1) if y_true.shape.rank == 2 and y_true.shape[-1] > 1 else tf.reshape(y_true, [-1])
    return tf.cast(tf.cast(labels, tf.int64) == tf.argmax(y_pred, -1), tf.float32)


class Trainer:
    """One variant's network, compiled, with its training images.

    Parameters
    ----------
    variant
        The entry, as `replica.common.parameters.variant` returns it. With `phases: 5`, a fifth of the layers (and what
        is left over) is trained for `epochs`, then the next fifth is put on top, the whole compiled and trained again,
        and so on.
    x, y
        The images to train on, uint8 [n, height, width, channels] or float32 [n, features], and their labels, [n],
        from 0 to classes - 1.
    seed
        Of the weights, the order of the images and the dropout.
    """

    def __init__(self, variant: dict[str, Any], x: np.ndarray, y: np.ndarray, classes: int, seed: int) -> None:
        self.variant, self.classes, self.seed = variant, classes, seed
        self.phases = variant.get("phases", 1)
        self.epochs, self.batch_size = variant["epochs"] * self.phases, variant["batch_size"]
        prepare(seed, kernels.precision(variant["kernels"]))
        self.shape, self.images = x.shape[1:], x.dtype == np.uint8
        self.model: keras.Sequential
        self.build(1)
        self.x, self.y = tf.constant(x), tf.constant(self.targets(y))

    def build(self, phase: int) -> None:
        """Build and compile the network of a phase, from 1; the layers of earlier phases keep their weights."""
        stack = self.variant["layers"]
        stack = stack[: len(stack) - (self.phases - phase) * (len(stack) // self.phases)]
        plain = networks.network({**self.variant, "layers": stack}, self.shape, self.images)
        self.architecture = plain.to_json()
        trained = self.model.get_weights() if phase > 1 else []
        self.phase, self.model = phase, layers.network(plain)
        if trained:
            self.model.set_weights([*trained, *self.model.get_weights()[len(trained) :]])
        self.loss = networks.loss(self.variant, self.model)
        self.model.compile(
            networks.optimizer(self.variant["optimizer"]),
            self.loss,
            loss_weights=self.variant.get("loss_weights"),
            metrics=[keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
            jit_compile=False,  # XLA was 2 to 9 times slower on CPUs
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.forward = tf.function(lambda x: self.model(x, training=False), autograph=False, jit_compile=False)

    def state(self) -> list[np.ndarray]:
        """All that the rest of a training depends on after an epoch: weights, the optimizer's, the generators'."""
        return [variable.numpy() for variable in (*self.model.variables, *self.model.optimizer.variables)]

    def restore(self, epoch: int, state: list[np.ndarray]) -> None:
        """Be as after `epoch`, from 1, when `state` was taken."""
        for phase in range(2, (epoch - 1) // self.variant["epochs"] + 2):
            self.build(phase)
        variables = (*self.model.variables, *self.model.optimizer.variables)
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Labels as the loss takes them: class numbers, one-hot rows, or -1 and +1 for a network of one output."""
        if self.model.output_shape[-1] == 1:
            return (2.0 * y - 1.0).astype(np.float32)[:, None]
        if isinstance(self.loss, keras.losses.SparseCategoricalCrossentropy):
            return np.asarray(y, np.int32)
        return np.eye(self.classes, dtype=np.float32)[y]

    def fit(
        self,
        watched: dict[str, tuple[np.ndarray, np.ndarray]],
        progress: Callable[[int, int], None] = lambda epoch, images: None,
        after: int = 0,
    ) -> Iterator[Rows]:
        """Train, and yield after each epoch its rows (epoch, value, metric, data); of 200 epochs or more, some 100.

        Training's own values are averages while the weights move, as Keras reports them, over the epochs since the
        last rows; the watched sets are scored at the end of the epoch. Losses contain the regularizers' terms.

        Parameters
        ----------
        watched
            Images and labels to score, by the name of the data.
        progress
            Called with the epoch and the images of it done so far.
        after
            The epoch that has been restored; 0 where training begins.
        """
        every = max(self.epochs // 100, 1)
        walks: dict[str, Callable[[np.ndarray], Iterator[int]]] = {}
        for epoch in range(after + 1, self.epochs + 1):
            if (phase := (epoch - 1) // self.variant["epochs"] + 1) > self.phase:
                self.build(phase)
                walks = {}
            if not walks:
                walks = {"training": self.walk(self.model.train_step, self.x, self.y, self.batch_size)}
                for name, (x, y) in watched.items():
                    x, y = tf.constant(x), tf.constant(self.targets(y))
                    walks[name] = self.walk(self.model.test_step, x, y, IMAGES_TO_SCORE)
            for done in walks["training"](np.random.default_rng([self.seed, epoch]).permutation(len(self.x))):
                progress(epoch, done)
            if epoch % every and epoch != self.epochs:
                continue
            rows = self.results(epoch, "training")
            for name, (x, _) in watched.items():
                list(walks[name](np.arange(len(x))))
                rows += self.results(epoch, name)
            yield rows

    @staticmethod
    def walk(
        step: Callable[[Any], Any], x: tf.Tensor, y: tf.Tensor, size: int
    ) -> Callable[[np.ndarray], Iterator[int]]:
        """A function that takes `step` through the rows of an order, `size` at a time, and yields how many are done.

        Whole batches have a shape known to the graph, which small networks gain most from; the rest of an epoch is
        one smaller batch, as in `fit`.
        """

        @tf.function(autograph=False, jit_compile=False)
        def batch(rows: tf.Tensor) -> None:
            step((tf.gather(x, rows), tf.gather(y, rows)))

        @tf.function(jit_compile=False, input_signature=[tf.TensorSpec([None], tf.int32)])
        def batches(rows: tf.Tensor) -> None:
            for start in tf.range(0, tf.size(rows), size):
                batch(tf.ensure_shape(rows[start : start + size], [size]))

        def go(order: np.ndarray) -> Iterator[int]:
            rows = tf.constant(order, tf.int32)
            whole = len(order) // size * size
            call = max(IMAGES_A_CALL // size, 1) * size
            for start in range(0, whole, call):
                stop = min(start + call, whole)
                batches(rows[start:stop])
                yield stop
            if whole < len(order):
                batch(rows[whole:])
                yield len(order)

        return go

    def results(self, epoch: int, data: str) -> Rows:
        """The model's metrics since they were last reset, as history rows; resets them."""
        values = self.model.get_metrics_result()
        self.model.reset_metrics()
        return [(epoch, float(values[metric]), metric, data) for metric in ("accuracy", "loss")]

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Each class's probability, float32 [n, classes]."""
        parts = range(0, len(x), IMAGES_TO_SCORE)
        outputs = np.concatenate([self.forward(tf.constant(x[i : i + IMAGES_TO_SCORE])).numpy() for i in parts])
        return networks.probabilities(self.model, outputs)
