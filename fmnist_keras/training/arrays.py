"""The images of a run: split, on the device, and in the order in which each epoch sees them."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import data
from ..backend import keras
from ..recipe import Recipe

EVALUATED_SHARE, EVALUATED_AT_LEAST = 0.1, 1_000
"""Training metrics evaluated after each epoch use the first tenth of the run's training images, at
least 1,000: all of them would cost a third of the epoch again. Final ones use all, but for a CNN.
"""


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
    """The data of the recipe, split as it says, ready for ``fit`` and for evaluation."""
    x, y, x_test, y_test = _tensors(
        recipe.task,
        not recipe.convolutional,
        recipe.scale,
        recipe.column,
        recipe.permuted_pixels,
        recipe.label_noise,
    )
    train, val = split(recipe, len(x), seed)
    test = x_test[: recipe.test_size], y_test[: recipe.test_size]
    parts = {"train": select(x, y, evaluated(train)), "test": test}
    if recipe.validation == "test":
        parts["val"] = test
    elif len(val):
        parts["val"] = select(x, y, val)
    return Arrays(x, y, recipe.column, train, parts)


def evaluated(train: np.ndarray) -> np.ndarray:
    """Those of the training images' indices that are evaluated after each epoch."""
    return train[: max(round(len(train) * EVALUATED_SHARE), EVALUATED_AT_LEAST)]


def split(recipe: Recipe, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and of the held-out images, the latter empty where none are."""
    validation = "none" if recipe.validation == "test" else recipe.validation
    return data.split_indices(images, validation, recipe.val_size, seed, recipe.train_size)


@functools.lru_cache(maxsize=2)
def _tensors(task: str, flat: bool, scale: str, column: int, permuted: bool, noise: float) -> tuple:
    arrays = list(data.prepare(data.load(), task, flat, scale, column, permuted=permuted))
    if noise:
        arrays[1] = data.with_noise(arrays[1], noise)
    return tuple(keras.ops.convert_to_tensor(array) for array in arrays)


def select(x, y, indices: np.ndarray) -> tuple:
    """Images and targets at some indices."""
    return take(x, indices), take(y, indices)


def take(x, indices: np.ndarray):
    """The rows of x at some indices; a slice, which copies nothing, where that will do."""
    start = int(indices[0])
    if np.array_equal(indices, np.arange(start, start + len(indices))):
        return x[start : start + len(indices)]
    return keras.ops.take(x, indices, axis=0)


def epoch_order(train: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The training images' indices in the order in which ``epoch`` (from 0) sees them."""
    return np.random.default_rng([seed, epoch]).permutation(train)


def batches(recipe: Recipe, train: np.ndarray, seed: int, start: int = 0) -> Iterator[np.ndarray]:
    """The indices of each batch, from number ``start`` on, pass after pass over the training images
    and without end. The last batch of a pass may be smaller; an epoch may span passes."""
    passes = (epoch_order(train, seed, number) for number in itertools.count())
    cuts = range(recipe.batch_size, len(train), recipe.batch_size)
    found = itertools.chain.from_iterable(np.split(order, cuts) for order in passes)
    return itertools.islice(found, start, None)
