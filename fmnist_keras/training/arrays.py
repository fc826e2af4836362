"""The images of a run: split, on the device, and in the order in which each epoch sees them."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import data
from ..backend import keras
from ..recipe import TRAIN_IMAGES, Recipe

EVALUATED_SHARE, MIN_EVALUATED = 0.1, 1_000
"""Training metrics after each epoch use the first tenth of the run's training images, at least
1,000: all of them would add a third to the epoch's time. Final ones use all, except for a CNN."""


@dataclass(frozen=True)
class Arrays:
    """The images of one run on the device; targets are labels, or the hidden pixels (n, 28)."""

    x: object
    y: object
    column: int
    train: np.ndarray
    parts: dict[str, tuple]
    """Images and targets to evaluate on: "train" (a part), "val" (unless none) and "test"."""


def load_arrays(recipe: Recipe, seed: int) -> Arrays:
    """The recipe's data, split for the seed, ready for ``fit`` and for evaluation."""
    how = not recipe.convolutional, recipe.scale, recipe.column, recipe.permuted_pixels
    x, y, x_test, y_test = _tensors(recipe.label_noise, recipe.task, *how)
    train, val = split(recipe, seed)
    test = x_test[: recipe.test_size], y_test[: recipe.test_size]
    parts = {"train": select(x, y, evaluated(train)), "test": test}
    if recipe.validation == "test":
        parts["val"] = test
    elif len(val):
        parts["val"] = select(x, y, val)
    return Arrays(x, y, recipe.column, train, parts)


@functools.lru_cache(maxsize=2)
def _tensors(label_noise: float, *how) -> tuple:
    arrays = list(data.prepare(data.load(), *how))
    if label_noise:
        arrays[1] = data.with_label_noise(arrays[1], label_noise)
    return tuple(map(keras.ops.convert_to_tensor, arrays))


def split(recipe: Recipe, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training images and of the held-out ones, the latter empty if none are."""
    held_out = recipe.validation, recipe.val_size
    return data.split_indices(TRAIN_IMAGES, *held_out, seed, recipe.train_size)


def evaluated(train: np.ndarray) -> np.ndarray:
    """The indices of the training images that are evaluated after each epoch."""
    return train[: max(round(len(train) * EVALUATED_SHARE), MIN_EVALUATED)]


def select(x, y, indices: np.ndarray) -> tuple:
    """Images and targets at some indices."""
    return take(x, indices), take(y, indices)


def take(x, indices: np.ndarray):
    """The rows of x at some indices, as a slice, which copies nothing, where they are in a row."""
    start = int(indices[0])
    if np.array_equal(indices, np.arange(start, start + len(indices))):
        return x[start : start + len(indices)]
    return keras.ops.take(x, indices, axis=0)


def epoch_order(train: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The training images' indices in the order in which ``epoch`` (from 0) sees them."""
    return np.random.default_rng([seed, epoch]).permutation(train)


def batches(recipe: Recipe, train: np.ndarray, seed: int, start: int = 0) -> Iterator[np.ndarray]:
    """The indices of each batch, from number ``start`` on, pass after pass over the training
    images, without end. The last batch of a pass may be smaller; an epoch may span passes."""
    passes = (epoch_order(train, seed, number) for number in itertools.count())
    cuts = range(recipe.batch_size, len(train), recipe.batch_size)
    found = itertools.chain.from_iterable(np.split(order, cuts) for order in passes)
    return itertools.islice(found, start, None)
