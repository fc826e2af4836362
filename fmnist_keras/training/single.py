"""One run: a recipe trained at one seed, through plain Keras ``fit``.

The seed settles everything random: initial weights and dropout masks (Keras' global seed, set right
before the model is built), the order of the images (a permutation per epoch from a generator of
its own) and, for a random split, which images are held out.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from .. import models
from ..backend import keras
from ..recipe import Recipe
from . import checkpoint as checkpoints
from .arrays import Arrays, batches, load_arrays, select
from .history import History, score


@dataclass
class Run:
    """What one run leaves: final ``metrics``, one list per epoch in ``curves``, and the model."""

    metrics: dict[str, float]
    curves: dict[str, list[float]]
    model: keras.Model = field(repr=False)


def train_one(recipe: Recipe, seed: int, checkpoint: Path | None = None) -> Run:
    """Train ``recipe`` at ``seed`` and evaluate it; the same seed gives the same numbers, bit for
    bit, on the same machine.

    Running metrics are Keras' own, averaged while the epoch trains (dropout on, penalties in the
    loss); evaluated ones are measured after it. The test set is evaluated once, at the end. A run
    whose loss is no longer finite stops there and counts: its metrics say ``diverged`` 1 and hold
    what the network does in that state. ``checkpoint`` is a file that is written after each epoch,
    and from which the same run goes on if it was killed, or one of more epochs.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = compiled(recipe)
    arrays = load_arrays(recipe, seed)
    recorder = _Recorder(recipe, arrays, checkpoint)
    done = checkpoints.load(checkpoint, model, recorder.history) if checkpoint else 0
    if not recorder.history.ended:
        rows = tf.data.Dataset.from_generator(
            lambda: batches(recipe, arrays.train, seed, start=done * recipe.steps),
            output_signature=tf.TensorSpec((None,), tf.int64),
        )
        model.fit(
            rows.map(lambda at: (tf.gather(arrays.x, at), tf.gather(arrays.y, at))).prefetch(2),
            initial_epoch=done,
            epochs=recipe.epochs,
            steps_per_epoch=recipe.steps,
            callbacks=[recorder],
            shuffle=False,  # the pipeline has shuffled already
            verbose=0,
        )
    return Run(_scored(model, arrays, recorder.history), recorder.history.curves, model)


def compiled(recipe: Recipe) -> keras.Model:
    """The recipe's model with its loss and optimizer. A whole epoch is one call into the graph: on
    a CPU the calls are most of a small network's time. XLA is off: it slows convolutions there."""
    model = models.build(recipe)
    classify = recipe.task == "classify"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        make_optimizer(recipe),
        loss=loss if classify else keras.losses.MeanSquaredError(),
        metrics=["accuracy"] if classify else [],
        steps_per_execution=recipe.steps,
        jit_compile=False,
    )
    return model


TORCH_DEFAULTS = {
    "sgd": {},
    "adam": {"epsilon": 1e-8},
    "nadam": {"epsilon": 1e-8},
    "rmsprop": {"rho": 0.99, "epsilon": 1e-16},  # Keras adds it under the root, PyTorch outside
    "adadelta": {"rho": 0.9, "epsilon": 1e-6},
}
"""PyTorch's defaults where they differ from Keras' (torch.optim's documentation, 2.13)."""


def make_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """The recipe's optimizer and schedule, its other constants Keras' or PyTorch's defaults."""
    rate, drops = recipe.learning_rate, []
    if recipe.lr_step_size:
        drops = range(recipe.lr_step_size, recipe.epochs, recipe.lr_step_size)
    if drops:
        boundaries = [epoch * recipe.steps - 1 for epoch in drops]  # the last step before each
        rates = [rate * 0.1**number for number in range(len(boundaries) + 1)]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)
    options = TORCH_DEFAULTS[recipe.optimizer] if recipe.framework_defaults == "torch" else {}
    if recipe.optimizer == "sgd":
        options = {"momentum": recipe.momentum}
    if recipe.beta_1 is not None:
        options = {**options, "beta_1": recipe.beta_1}
    return type(keras.optimizers.get(recipe.optimizer))(rate, **options)


class _Recorder(keras.callbacks.Callback):
    """Fills the history: times the epochs without their evaluation, saves, and stops a run that
    ends."""

    def __init__(self, recipe: Recipe, arrays: Arrays, checkpoint: Path | None) -> None:
        super().__init__()
        self.history, self.arrays, self.checkpoint = History(recipe), arrays, checkpoint

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.started
        row = {f"running_{name}": float(value) for name, value in logs.items()}
        parts = self.arrays.parts
        row |= evaluate(self.model, parts, [part for part in parts if part != "test"])
        self.history.add(row, seconds, self.model.get_weights)
        self.model.stop_training = self.history.ended
        if self.checkpoint:
            checkpoints.save(self.checkpoint, self.model, self.history)


def outputs(model: keras.Model, x) -> np.ndarray:
    """Raw outputs (n, 10) or (n, 28), float32: of flat vectors all at once, of images in chunks
    that keep a CNN's feature maps small."""
    if len(x.shape) == 2:
        return np.asarray(model(x, training=False))  # few and large operations need no graph
    chunks = [model.predict_on_batch(x[i : i + 1_000]) for i in range(0, len(x), 1_000)]
    return np.concatenate(chunks)


def evaluate(model: keras.Model, parts: dict[str, tuple], names: Iterable[str]) -> dict[str, float]:
    """Score the model on some parts of the data; the names carry the part: ``val_loss``, …"""
    scores = {}
    for part in names:
        x, y = parts[part]
        scores |= score(outputs(model, x), np.asarray(y), part)
    return scores


def _scored(model: keras.Model, arrays: Arrays, history: History) -> dict[str, float]:
    """The run's metrics, its model scored on all training images (a CNN keeps the scores of its
    last epoch) and on the test set."""
    parts, scored, restored = arrays.parts, ["test"], {}
    if not history.recipe.convolutional:
        parts = parts | {"train": select(arrays.x, arrays.y, arrays.train)}
        scored = ["test", "train"]
    scores = evaluate(model, parts, scored)
    if history.best_weights:
        last = model.get_weights()
        model.set_weights(history.best_weights)
        restored = evaluate(model, parts, ["test", "train"])
        model.set_weights(last)
    return history.metrics(model, scores, restored)
