"""All seeds of an MLP recipe at once: their networks are stacked along a replica axis and trained
as one, which spares a CPU most of a small network's time, the calls from one operation to the next.

Each replica keeps to itself: initial weights, order of images, dropout masks and held-out images
come from its own seed, and nothing in the graph mixes replicas. So each follows
:func:`training.train` of its seed, curve by curve, up to the rounding of float32. Where batches are
multiples of 8 images, it is the same to the last bit whatever seeds it shares a stack with.

Shapes below: K replicas, B images in a batch, I inputs and U units of a layer.
"""

import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from . import training
from .provenance import cores
from .quiet import keras
from .recipe import Recipe
from .records import Record, score
from .training import Arrays, Run

layers = keras.layers

EVALUATED_AT_ONCE = 2_000
"""Images per chunk of an evaluation: 10 replicas of 256 units then hold 20 MB of activations."""


def pays(recipe: Recipe) -> bool:
    """Whether stacking beats one seed at a time: hidden layers of at most 256 units."""
    # benchmarks/README.md has the ratios. At 512 units stacking took longer (0.85): such large
    # products gain nothing from company.
    return stackable(recipe) and max(recipe.units, default=0) <= 256


def stackable(recipe: Recipe) -> bool:
    """Whether :func:`train_replicas` can train the recipe: any MLP in float32."""
    return recipe.model == "mlp" and recipe.precision == "float32"


def train_replicas(recipe: Recipe, seeds: list[int]) -> list[Run]:
    """Train ``recipe`` at all ``seeds`` together; return what :func:`training.train` would, a run
    per seed, each with an ordinary model.

    A replica that stops early or diverges keeps the results of that epoch while the others go on.
    The curve ``seconds`` is a run's share: the time of all divided by their number.
    """
    if not stackable(recipe):
        raise ValueError(f"model = {recipe.model!r} in {recipe.precision}: only a float32 'mlp'")
    keras.utils.clear_session()
    parts = np.array_split(seeds, min(side_by_side(), len(seeds)))
    teams = [Team(recipe, part.tolist(), share=1 / len(seeds)) for part in parts]
    with ThreadPoolExecutor(len(teams)) as pool:
        for _ in range(recipe.epochs):
            list(pool.map(Team.train_epoch, teams))
        return list(itertools.chain.from_iterable(pool.map(Team.runs, teams)))


def side_by_side() -> int:
    """How many stacks train at once: one, unless TF_NUM_INTRAOP_THREADS lets an operation have
    some of the process' cores only. Then each stack gets as many."""
    # Small operations gain next to nothing from a second thread, a second stack all there is.
    per_operation = int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or cores()
    return max(1, cores() // per_operation)


class Team:
    """Some seeds of a recipe and the stack that trains them."""

    def __init__(self, recipe: Recipe, seeds: list[int], share: float) -> None:
        """``share``: the part of its time that each run is charged."""
        self.recipe, self.seeds, self.share = recipe, seeds, share
        self.models = [_initial_model(recipe, seed) for seed in seeds]
        arrays = training.load_arrays(recipe, seeds[0])
        self.stack = Stack(self.models, recipe)
        self.train = self.stack.epoch_function(arrays.x, arrays.y)
        splits = [_split(recipe, arrays, seed) for seed in seeds]
        self.evaluate = _evaluator(self.stack, recipe, arrays, splits)
        self.batches = [_batches(recipe, len(arrays.x), seed) for seed in seeds]
        self.records = [Record(recipe) for _ in seeds]
        self.running = dict(enumerate(self.records))

    def train_epoch(self) -> None:
        """One more epoch, and its scores, for those that have not ended."""
        if not self.running:
            return
        started = time.perf_counter()
        logs = self.train(*_epoch_order(self.batches, self.recipe.steps))
        logs = {f"running_{name}": values.numpy() for name, values in logs.items()}
        seconds = (time.perf_counter() - started) * self.share
        for k, scores in self.evaluate(self.running).items():
            row = {name: float(values[k]) for name, values in logs.items()} | scores
            if self.records[k].add(row, seconds, functools.partial(self.stack.weights_of, k)):
                self.models[k].set_weights(self.stack.weights_of(k))
                del self.running[k]

    def runs(self) -> list[Run]:
        """A run per seed, once all epochs are over."""
        for k in self.running:
            self.models[k].set_weights(self.stack.weights_of(k))
        each = zip(self.seeds, self.models, self.records, strict=True)
        return [_run(self.recipe, *one) for one in each]


def _initial_model(recipe: Recipe, seed: int) -> keras.Model:
    """The model as :func:`training.train` starts with it."""
    keras.utils.clear_session(free_memory=False)  # collecting garbage takes longer than all else
    keras.utils.set_random_seed(seed)
    return training.compiled(recipe)


def _run(recipe: Recipe, seed: int, model: keras.Model, record: Record) -> Run:
    arrays = training.load_arrays(recipe, seed)
    return Run(training.final_metrics(model, arrays, record), record.curves, model)


def _split(recipe: Recipe, arrays: Arrays, seed: int) -> dict[str, np.ndarray]:
    """One replica's rows to evaluate: "train" and, if there is one, "val"; those of the test set,
    where that serves as validation, come after those of the training images."""
    images = len(arrays.x)
    train, val = training.split(recipe, images, seed)
    val = images + np.arange(recipe.test_size) if recipe.validation == "test" else val
    shown = {"train": training.evaluated(train), "val": val}
    return {part: rows for part, rows in shown.items() if len(rows)}


def _batches(recipe: Recipe, images: int, seed: int) -> Iterator[np.ndarray]:
    """The rows of each batch of one replica, pass after pass over its images, without end."""
    train, _ = training.split(recipe, images, seed)
    for number in itertools.count():
        order = training.epoch_order(train, seed, number)
        yield from np.split(order, range(recipe.batch_size, len(order), recipe.batch_size))


def _epoch_order(batches: list[Iterator], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one epoch's images, (K, images), and where batches begin and end, (steps + 1,).
    The last batch of a pass may be smaller, and an epoch may span passes."""
    epochs = [list(itertools.islice(each, steps)) for each in batches]
    sizes = [len(rows) for rows in epochs[0]]
    return np.stack([np.concatenate(rows) for rows in epochs]), np.cumsum([0, *sizes])


def _evaluator(stack: "Stack", recipe: Recipe, arrays: Arrays, splits: list[dict]) -> Callable:
    """A function of some replicas' numbers that scores each after an epoch. Where all are scored
    on the same images, these are gathered once for all."""
    x, y = arrays.x, np.asarray(arrays.y)
    if recipe.validation == "test":
        x = keras.ops.concatenate([x, arrays.parts["test"][0]])
        y = np.concatenate([y, arrays.parts["test"][1]])
    rows = np.stack([np.concatenate(list(split.values())) for split in splits])
    shared = rows[0] if (rows == rows[0]).all() else rows

    def evaluate(replicas) -> dict[int, dict[str, float]]:
        raw, scores = stack.outputs(x, shared), {k: {} for k in replicas}
        for k, row in scores.items():
            start = 0
            for part, part_rows in splits[k].items():
                end = start + len(part_rows)
                found = score(raw[k, start:end], y[part_rows])
                row |= {f"{part}_{name}": value for name, value in found.items()}
                start = end
        return scores

    return evaluate


class Stack:
    """K models of one recipe as one network; its weights are theirs, stacked: (K, I, U), (K, U)."""

    def __init__(self, models: list[keras.Model], recipe: Recipe) -> None:
        import tensorflow as tf

        self.recipe = recipe
        self.layers = []  # per layer: that of each model, and their stacked weights
        for alike in zip(*(model.layers for model in models), strict=True):
            same = zip(*(layer.weights for layer in alike), strict=True)
            self.layers.append((alike, [_stacked(variables) for variables in same]))
        self.weights = [weight for _, weights in self.layers for weight in weights]
        self.trainable = [weight for weight in self.weights if weight.trainable]
        self.optimizer = training.make_optimizer(recipe)
        self.optimizer.build(self.trainable)
        if recipe.optimizer != "sgd":
            # XLA fuses the many elementwise operations; all else it would only slow down.
            self.update = tf.function(self.update, jit_compile=True, autograph=False)
        self.evaluate = tf.function(
            lambda x, rows: self(tf.gather(x, rows), training=False), autograph=False
        )

    def weights_of(self, k: int) -> list[np.ndarray]:
        """What ``get_weights`` of replica k's model would be."""
        return [np.array(weight[k]) for weight in self.weights]

    def __call__(self, x, training: bool):
        """Outputs (K, B, outputs) of images (K, B, 784), or of images (B, 784) that all share."""
        for alike, weights in self.layers:
            if training and isinstance(alike[0], layers.Dropout):
                x = x * _masks(alike, keras.ops.shape(x)[1:], self.optimizer.iterations)
            else:
                x = _call(alike[0], weights, x, training)
        return x

    def update(self, gradients: list) -> None:
        """Let the optimizer change the weights."""
        self.optimizer.apply(gradients, self.trainable)

    def epoch_function(self, x, y) -> Callable:
        """A function of an epoch's rows (K, images) and its batches' bounds (steps + 1,) that
        trains on it, whole in the graph, and returns the running metrics, (K,) each."""
        import tensorflow as tf

        names = ["loss", "accuracy"] if self.recipe.task == "classify" else ["loss"]
        update = tf.autograph.experimental.do_not_convert(self._step)  # it has no loops to convert

        def epoch(rows, bounds):
            sums = [tf.zeros(len(rows)) for _ in names]
            for step in tf.range(len(bounds) - 1):
                batch = rows[:, bounds[step] : bounds[step + 1]]
                found = update(tf.gather(x, batch), tf.gather(y, batch))
                size = tf.cast(tf.shape(batch)[1], tf.float32)  # Keras weights by the batch size
                sums = [total + size * value for total, value in zip(sums, found, strict=True)]
            images = tf.cast(bounds[-1], tf.float32)
            return dict(zip(names, [total / images for total in sums], strict=True))

        return tf.function(epoch, reduce_retracing=True)

    def _step(self, x, y) -> list:
        """One weight update; return each replica's loss (K,) and, of classes, accuracy (K,)."""
        import tensorflow as tf

        classify = self.recipe.task == "classify"
        with tf.GradientTape() as tape:
            raw = self(x, training=True)
            if classify:
                errors = keras.losses.sparse_categorical_crossentropy(y, raw, from_logits=True)
            else:
                errors = keras.losses.mean_squared_error(y, raw)
            losses = keras.ops.mean(errors, axis=1) + sum(map(_penalty, self.trainable))
            loss = keras.ops.sum(losses)  # its gradient is, for each replica, that of its own loss
        gradients = tape.gradient(loss, [weight.value for weight in self.trainable])
        self.update(gradients)
        if not classify:
            return [losses]
        right = keras.metrics.sparse_categorical_accuracy(y, raw)
        return [losses, keras.ops.mean(right, axis=1)]

    def outputs(self, x, rows: np.ndarray) -> np.ndarray:
        """Outputs (K, n, outputs) of all replicas for rows of the images x: the same (n,) for all,
        or each its own (K, n)."""
        starts = range(0, rows.shape[-1], EVALUATED_AT_ONCE)
        chunks = [
            self.evaluate(x, rows[..., start : start + EVALUATED_AT_ONCE]) for start in starts
        ]
        return np.concatenate(chunks, axis=1)


def _stacked(variables: tuple) -> keras.Variable:
    stacked = keras.Variable(np.stack(variables), trainable=variables[0].trainable)
    stacked.regularizer = variables[0].regularizer
    return stacked


def _penalty(weight: keras.Variable):
    """What each replica's part of a stacked weight adds to its loss, (K,), or 0."""
    axes = range(1, len(weight.shape))
    l1, l2 = (getattr(weight.regularizer, name, 0) for name in ("l1", "l2"))
    total = l1 * keras.ops.sum(keras.ops.abs(weight), axes) if l1 else 0
    return total + l2 * keras.ops.sum(keras.ops.square(weight), axes) if l2 else total


def _masks(alike: tuple, shape: tuple, step):
    """The factors (K, B, U), 0 or 1 / (1 − rate), that the layers draw at ``step`` (from 0): each
    draws from its own seed, the second half of which counts the steps."""
    import tensorflow as tf

    first = tf.stack([layer.seed_generator.state.value for layer in alike])
    seeds = tf.cast(first, tf.int32) + tf.stack([0, tf.cast(step, tf.int32)])
    drawn = tf.stack([tf.random.stateless_uniform(shape, seed) for seed in tf.unstack(seeds)])
    rate = alike[0].rate
    return tf.cast(drawn >= rate, tf.float32) / (1 - rate)


def _call(layer, weights: list, x, training: bool):
    """A layer of K replicas with their stacked weights, on x (K, B, I)."""
    if isinstance(layer, layers.Dense):
        kernel, bias = weights
        return _affine(keras.ops.matmul(x, kernel), None, bias)
    if isinstance(layer, layers.BatchNormalization):
        return _batch_norm(layer, *weights, x, training)
    return layer(x)  # elementwise: an activation, or dropout at rest


def _batch_norm(layer, gamma, beta, moving_mean, moving_variance, x, training: bool):
    """The layer's own arithmetic, each replica by its own moments; all weights are (K, U)."""
    if training:
        mean = _sums(x) / keras.ops.cast(keras.ops.shape(x)[1], "float32")
        variance = _sums(
            keras.ops.square(x - keras.ops.stop_gradient(mean)[:, None])
        ) / keras.ops.cast(keras.ops.shape(x)[1], "float32")
        for moving, new in ((moving_mean, mean), (moving_variance, variance)):
            moving.assign(moving * layer.momentum + new * (1 - layer.momentum))
    else:
        mean, variance = moving_mean, moving_variance
    # A float32 root, too, depends on the place in the stack; a float64 one does not once rounded.
    root = keras.ops.sqrt(keras.ops.cast(variance + layer.epsilon, "float64"))
    scale = gamma / keras.ops.cast(root, "float32")
    return _affine(x, scale, beta - mean * scale)


def _affine(x, scale, shift):
    """x (K, B, U) times scale (K, U), unless it is None, plus shift (K, U)."""
    import tensorflow as tf

    @tf.custom_gradient
    def affine(x, scale, shift):
        def gradient(g):
            return g * scale[:, None], _sums(g * x), _sums(g)

        return x * scale[:, None] + shift[:, None], gradient

    @tf.custom_gradient
    def plus(x, shift):
        return x + shift[:, None], lambda g: (g, _sums(g))

    return plus(x, shift) if scale is None else affine(x, scale, shift)


def _sums(x):
    """The sums (K, U) of x (K, B, U) over a batch, as a product: TensorFlow's own sum rounds a
    replica's numbers differently with its place in the stack."""
    ones = keras.ops.ones((x.shape[0], 1, keras.ops.shape(x)[1]))
    return keras.ops.matmul(ones, x)[:, 0]
