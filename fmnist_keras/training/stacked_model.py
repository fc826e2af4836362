"""K models of one recipe as one network: their weights are stacked along a replica axis.

Nothing in the graph mixes replicas, and a replica's numbers do not depend on its index in the
stack. Shapes: K replicas, B images in a batch, I inputs and U units of a layer.
"""

import numpy as np

from ..backend import keras, tf
from .arrays import take

layers = keras.layers

EVALUATED_AT_ONCE = 2_000
"""Images per chunk of an evaluation: 10 replicas of 256 units then hold 20 MB of activations."""


class StackedModel:
    """K compiled models as one network; its weights are theirs, stacked: (K, I, U), (K, U)."""

    def __init__(self, models: list[keras.Model], graph: tuple) -> None:
        """``graph``: all that the networks' graph depends on."""
        first = models[0]
        self.replicas, self.graph, self.loss = len(models), graph, first.loss
        self.classify = isinstance(first.loss, keras.losses.SparseCategoricalCrossentropy)
        self.layers = [  # each layer, its weights, stacked, and dropout's seeds (K, 2)
            (layer, [self._stacked(weight) for weight in layer.weights], self._seeds(layer))
            for layer in first.layers
        ]
        self.weights = [weight for _, weights, _ in self.layers for weight in weights]
        self.trainable = [weight for weight in self.weights if weight.trainable]
        self.optimizer = type(first.optimizer).from_config(first.optimizer.get_config())
        self.optimizer.build(self.trainable)
        self.initial = [np.array(variable) for variable in self.optimizer.variables]

    def _stacked(self, weight: keras.Variable) -> keras.Variable:
        zeros = np.zeros((self.replicas, *weight.shape), "float32")
        stacked = keras.Variable(zeros, trainable=weight.trainable)
        stacked.regularizer = weight.regularizer
        return stacked

    def _seeds(self, layer: layers.Layer) -> tf.Variable | None:
        if isinstance(layer, layers.Dropout):
            return tf.Variable(tf.zeros((self.replicas, 2), tf.uint32))
        return None

    def start(self, models: list[keras.Model]) -> None:
        """Take weights, dropout's seeds and learning rate of ``models``; reset the optimizer."""
        self.set_weights([model.get_weights() for model in models])
        for (_, _, seeds), *alike in zip(
            self.layers, *(model.layers for model in models), strict=True
        ):
            if seeds is not None:
                seeds.assign(np.stack([np.array(layer.seed_generator.state) for layer in alike]))
        for variable, value in zip(self.optimizer.variables, self.initial, strict=True):
            variable.assign(value)
        rate = models[0].optimizer.get_config()["learning_rate"]
        if not isinstance(rate, dict):  # a schedule, part of the graph
            self.optimizer.learning_rate = rate

    def set_weights(self, weights: list[list[np.ndarray]]) -> None:
        """Set each replica's weights, in the order of a model's ``get_weights``."""
        for stacked, each in zip(self.weights, zip(*weights, strict=True), strict=True):
            stacked.assign(np.stack(each))

    def weights_of(self, k: int) -> list[np.ndarray]:
        """The weights of replica k, in the order of a model's ``get_weights``."""
        return [np.array(weight[k]) for weight in self.weights]

    def __call__(self, x, training: bool):
        """Outputs (K, B, outputs) for images (K, B, 784), or (B, 784) that all replicas share."""
        for layer, weights, seeds in self.layers:
            if training and seeds is not None:
                shape = keras.ops.shape(x)[1:]
                x = x * _masks(layer.rate, seeds, shape, self.optimizer.iterations)
            elif isinstance(layer, layers.Dense):
                kernel, bias = weights
                x = _shifted(keras.ops.matmul(x, kernel), bias)
            elif isinstance(layer, layers.BatchNormalization):
                x = _batch_norm(layer, *weights, x, training)
            else:
                x = layer(x)  # elementwise: an activation, or dropout outside training
        return x

    @tf.function(jit_compile=True, autograph=False)
    def _update_fused(self, gradients: list) -> None:
        """Apply the optimizer with its many elementwise operations fused by XLA, which would slow
        down everything else."""
        self.optimizer.apply(gradients, self.trainable)

    @tf.function(reduce_retracing=True)
    def train(self, x, y, rows, bounds) -> dict:
        """Train for an epoch on images x and targets y, in one graph, and return the running
        metrics, (K,) each. rows (K, images): each replica's order of the images; bounds
        (steps + 1,): the bounds of the batches in it."""
        names = ["loss", "accuracy"] if self.classify else ["loss"]
        sums = [tf.zeros(len(rows)) for _ in names]
        for step in tf.range(len(bounds) - 1):
            batch = rows[:, bounds[step] : bounds[step + 1]]
            found = self._step(tf.gather(x, batch), tf.gather(y, batch))
            size = tf.cast(tf.shape(batch)[1], tf.float32)  # Keras weights by the batch size
            sums = [total + size * value for total, value in zip(sums, found, strict=True)]
        images = tf.cast(bounds[-1], tf.float32)
        return dict(zip(names, [total / images for total in sums], strict=True))

    @tf.autograph.experimental.do_not_convert
    def _step(self, x, y) -> list:
        """One weight update; return each replica's loss (K,) and, for classes, accuracy (K,)."""
        with tf.GradientTape() as tape:
            raw = self(x, training=True)
            errors = self.loss.call(y, raw)
            losses = keras.ops.mean(errors, axis=1) + sum(map(_penalty, self.trainable))
            loss = keras.ops.sum(losses)  # each replica's gradient is that of its own loss
        gradients = tape.gradient(loss, [weight.value for weight in self.trainable])
        if isinstance(self.optimizer, keras.optimizers.SGD):
            self.optimizer.apply(gradients, self.trainable)
        else:
            self._update_fused(gradients)
        if not self.classify:
            return [losses]
        right = keras.metrics.sparse_categorical_accuracy(y, raw)
        return [losses, keras.ops.mean(right, axis=1)]

    @tf.function(autograph=False, reduce_retracing=True)
    def evaluate(self, x):
        """The outputs of :meth:`__call__` outside training."""
        return self(x, training=False)

    def outputs(self, x, rows: np.ndarray) -> np.ndarray:
        """Outputs (K, n, outputs) of all replicas for rows of the images x, either the same (n,)
        for all, or each replica's own (K, n)."""
        if shared := rows.ndim == 1:
            x = take(x, rows)
        chunks = [
            slice(start, start + EVALUATED_AT_ONCE)
            for start in range(0, rows.shape[-1], EVALUATED_AT_ONCE)
        ]
        raw = [self.evaluate(x[c] if shared else tf.gather(x, rows[:, c])) for c in chunks]
        return np.concatenate(raw, axis=1)


def _penalty(weight: keras.Variable):
    """The penalty (K,) on each replica's part of a stacked weight, or 0."""
    axes = tuple(range(1, len(weight.shape)))
    return weight.regularizer(weight, axes) if weight.regularizer else 0


def _masks(rate: float, first, shape: tuple, step):
    """Dropout's factors (K, B, U), 0 or 1 / (1 − rate), at ``step`` (from 0). Each replica draws
    from its own seed (K, 2), whose second number counts the steps."""
    seeds = tf.cast(first, tf.int32) + tf.stack([0, tf.cast(step, tf.int32)])
    drawn = tf.stack([tf.random.stateless_uniform(shape, seed) for seed in tf.unstack(seeds)])
    return tf.cast(drawn >= rate, tf.float32) / (1 - rate)


def _batch_norm(layer, gamma, beta, moving_mean, moving_variance, x, training: bool):
    """The layer's arithmetic, each replica with its own moments; all weights are (K, U)."""
    if training:
        images = keras.ops.cast(keras.ops.shape(x)[1], "float32")
        mean = _sums(x) / images
        centered = x - keras.ops.stop_gradient(mean)[:, None]
        variance = _sums(keras.ops.square(centered)) / images
        for moving, new in ((moving_mean, mean), (moving_variance, variance)):
            moving.assign(moving * layer.momentum + new * (1 - layer.momentum))
    else:
        mean, variance = moving_mean, moving_variance
    # A float32 root depends on the index in the stack, too; a rounded float64 one does not.
    root = keras.ops.sqrt(keras.ops.cast(variance + layer.epsilon, "float64"))
    scale = gamma / keras.ops.cast(root, "float32")
    return _shifted(_scaled(x, scale), beta - mean * scale)


@tf.custom_gradient
def _scaled(x, scale):
    """x (K, B, U) times scale (K, U)."""
    return x * scale[:, None], lambda g: (g * scale[:, None], _sums(g * x))


@tf.custom_gradient
def _shifted(x, shift):
    """x (K, B, U) plus shift (K, U)."""
    return x + shift[:, None], lambda g: (g, _sums(g))


def _sums(x):
    """The sums (K, U) of x (K, B, U) over a batch, as a product: TensorFlow's own sum, which its
    gradients use too, rounds a replica's numbers differently with its index in the stack."""
    ones = keras.ops.ones((x.shape[0], 1, keras.ops.shape(x)[1]))
    return keras.ops.matmul(ones, x)[:, 0]
