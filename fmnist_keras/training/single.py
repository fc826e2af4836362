"""One run: a recipe trained at one seed, through plain Keras ``fit``.

The seed decides everything random: initial weights and dropout masks (Keras' global seed, set right
before the model is built), the order of the images (a permutation per epoch, from a generator of
its own) and, for a random split, which images are held out.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import models
from ..backend import keras, tf
from ..recipe import Recipe
from . import checkpoint as checkpoints
from .arrays import Arrays, batches, load_arrays, select
from .history import History, score


@dataclass
class Run:
    """The result of one run: final ``metrics``, one list per epoch in ``curves``, and the model."""

    metrics: dict[str, float]
    curves: dict[str, list[float]]
    model: keras.Model = field(repr=False)


def train_one(recipe: Recipe, seed: int, checkpoint: Path | None = None) -> Run:
    """Train ``recipe`` at ``seed`` and evaluate it. The same seed gives the same numbers, bit for
    bit, on the same machine.

    Running metrics are Keras' own, averaged while the epoch trains (with dropout and penalties);
    evaluated ones are measured after it, and those of the test set at the end. A run stops once its
    loss is no longer finite, and counts, with ``diverged`` 1. ``checkpoint`` is a file that is
    written after each epoch, and from which a killed run goes on.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = compiled(recipe)
    arrays, history = load_arrays(recipe, seed), History(recipe)
    done = checkpoints.load(checkpoint, model, history) if checkpoint else 0
    if not history.ended:
        rows = tf.data.Dataset.from_generator(
            lambda: batches(recipe, arrays.train, seed, start=done * recipe.steps),
            output_signature=tf.TensorSpec((None,), tf.int64),
        )
        model.fit(
            rows.map(lambda at: (tf.gather(arrays.x, at), tf.gather(arrays.y, at))).prefetch(2),
            initial_epoch=done,
            epochs=recipe.epochs,
            steps_per_epoch=recipe.steps,
            callbacks=[_Recorder(history, arrays, checkpoint)],
            shuffle=False,  # the pipeline has shuffled already
            verbose=0,
        )
    return Run(_final_metrics(model, arrays, history), history.curves, model)


def compiled(recipe: Recipe) -> keras.Model:
    """The recipe's model with its loss and optimizer. A whole epoch is one call into the graph: on
    a CPU such calls are most of a small network's time. XLA is off: it slows convolutions there."""
    model = models.build(recipe)
    classify = recipe.task == "classify"
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        make_optimizer(recipe),
        loss=crossentropy if classify else keras.losses.MeanSquaredError(),
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
    """The recipe's optimizer and schedule; other constants are Keras' or PyTorch's defaults."""
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
    """Records each epoch, timed without its evaluation, saves it, and stops a run that ends."""

    def __init__(self, history: History, arrays: Arrays, checkpoint: Path | None) -> None:
        super().__init__()
        self.history, self.checkpoint = history, checkpoint
        self.parts = {name: part for name, part in arrays.parts.items() if name != "test"}

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.started
        row = {f"running_{name}": float(value) for name, value in logs.items()}
        row |= evaluate(self.model, self.parts)
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


def evaluate(model: keras.Model, parts: dict[str, tuple]) -> dict[str, float]:
    """Score the model on parts of the data, whose names the scores carry: ``val_loss``, …"""
    scores = {}
    for part, (x, y) in parts.items():
        scores |= score(outputs(model, x), np.asarray(y), part)
    return scores


def _final_metrics(model: keras.Model, arrays: Arrays, history: History) -> dict[str, float]:
    """The run's metrics, with its model scored on the test set and on all training images. A CNN
    keeps the training scores of its last epoch."""
    parts = {name: arrays.parts[name] for name in ("test", "train")}
    if history.recipe.convolutional:
        scores = evaluate(model, {"test": parts["test"]})
    else:
        parts["train"] = select(arrays.x, arrays.y, arrays.train)
        scores = evaluate(model, parts)
    restored = {}
    if history.best_weights:
        last = model.get_weights()
        model.set_weights(history.best_weights)
        restored = evaluate(model, parts)
        model.set_weights(last)
    return history.metrics(model, scores, restored)
