"""All seeds of an MLP recipe at once: their networks are stacked along a replica axis and trained
as one, which spares a CPU most of a small network's time, the calls from one operation to the next.

Each replica keeps to itself: initial weights, order of images, dropout masks and held-out images
come from its own seed, and nothing in the graph mixes replicas. So each follows
:func:`single.train_one` of its seed, curve by curve, up to the rounding of float32. Where batches
are multiples of 8 images, it is the same to the last bit whatever seeds it shares a stack with.
"""

import functools
import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..backend import keras
from ..models import CLASSES, PIXELS
from ..provenance import cores
from ..recipe import Recipe
from . import single
from .arrays import epoch_order, evaluated, load_arrays, split
from .history import History, score
from .reuse import keep, stacked_model
from .single import Run


def worth_stacking(recipe: Recipe) -> bool:
    """Whether stacking beats one seed at a time: hidden layers of at most 256 units."""
    # benchmarks/README.md has the ratios. At 512 units stacking took longer (0.85): such large
    # products gain nothing from company.
    return stackable(recipe) and max(recipe.units, default=0) <= 256


def stackable(recipe: Recipe) -> bool:
    """Whether :func:`train_stacked` can train the recipe: any MLP in float32."""
    return recipe.model == "mlp" and recipe.precision == "float32"


def train_stacked(recipe: Recipe, seeds: list[int]) -> list[Run]:
    """Train ``recipe`` at all ``seeds`` together; return what :func:`single.train_one` would, a run
    per seed, each with an ordinary model.

    A replica that stops early or diverges keeps the results of that epoch while the others go on.
    The curve ``seconds`` is a run's share: the time of all divided by their number.
    """
    if not stackable(recipe):
        raise ValueError(f"model = {recipe.model!r} in {recipe.precision}: only a float32 'mlp'")
    company = smallest_stack(recipe)
    if len(seeds) < company:
        return train_stacked(recipe, seeds * company)[: len(seeds)]
    keras.utils.clear_session(free_memory=False)
    parts = np.array_split(seeds, min(parallel_stacks(), len(seeds) // company))
    trainers = [StackTrainer(recipe, part.tolist(), share=1 / len(seeds)) for part in parts]
    with ThreadPoolExecutor(len(trainers)) as pool:
        for _ in range(recipe.epochs):
            list(pool.map(StackTrainer.train_epoch, trainers))
        return list(itertools.chain.from_iterable(pool.map(StackTrainer.runs, trainers)))


SMALL_PRODUCT = 128 * 128
"""Multiplications up to which TensorFlow's BatchMatMul treats one product in another way, with
other rounding, than each of several (batch_matmul_op_impl.h, ``kMaxCostOuterParallelism``)."""


def smallest_stack(recipe: Recipe) -> int:
    """How many replicas a stack must have for each to round as in any other stack: one, or two
    where the recipe has products small enough to be treated differently."""
    batches = {recipe.batch_size, recipe.train_images % recipe.batch_size} - {0}
    sizes = [PIXELS, *recipe.units, CLASSES]
    products = [inputs * units for inputs, units in itertools.pairwise(sizes)]
    return 2 if min(batches) * min(products) <= SMALL_PRODUCT else 1


def parallel_stacks() -> int:
    """How many stacks train at once: one, unless TF_NUM_INTRAOP_THREADS lets an operation have
    some of the process' cores only. Then each stack gets as many."""
    # Small operations gain next to nothing from a second thread, a second stack all there is.
    per_operation = int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or cores()
    return max(1, cores() // per_operation)


class StackTrainer:
    """Some seeds of a recipe and the stack that trains them."""

    def __init__(self, recipe: Recipe, seeds: list[int], share: float) -> None:
        """``share``: the part of its time that each run is charged."""
        self.recipe, self.seeds, self.share = recipe, seeds, share
        self.models = [_initial_model(recipe, seed) for seed in seeds]
        self.stack = stacked_model(self.models, recipe)
        self.arrays = load_arrays(recipe, seeds[0])
        splits = [split(recipe, len(self.arrays.x), seed) for seed in seeds]
        self.train, self.val = zip(*splits, strict=True)
        self.batches = [_batches(recipe, *each) for each in zip(self.train, seeds, strict=True)]
        self.parts = self._parts()
        self.histories = [History(recipe) for _ in seeds]
        self.running = dict(enumerate(self.histories))

    def _parts(self) -> dict[str, tuple]:
        """What is scored after each epoch: images, their targets and each replica's rows of
        them."""
        x, y = self.arrays.x, np.asarray(self.arrays.y)
        parts = {"train": (x, y, list(map(evaluated, self.train)))}
        if self.recipe.validation == "test":
            parts["val"] = self._test()
        elif self.recipe.validation != "none":
            parts["val"] = x, y, self.val
        return parts

    def _test(self) -> tuple:
        x, y = self.arrays.parts["test"]
        return x, np.asarray(y), [np.arange(len(x))] * len(self.seeds)

    def train_epoch(self) -> None:
        """One more epoch, and its scores, for those that have not ended."""
        if not self.running:
            return
        started = time.perf_counter()
        order = _epoch_order(self.batches, self.recipe.steps)
        logs = self.stack.train(self.arrays.x, self.arrays.y, *order)
        logs = {f"running_{name}": values.numpy() for name, values in logs.items()}
        seconds = (time.perf_counter() - started) * self.share
        scores = [self._scores(part, *self.parts[part]) for part in self.parts]
        for k in list(self.running):
            row = {name: float(values[k]) for name, values in logs.items()}
            row |= {name: value for part in scores for name, value in part[k].items()}
            if self.histories[k].add(row, seconds, functools.partial(self.stack.weights_of, k)):
                self.models[k].set_weights(self.stack.weights_of(k))
                del self.running[k]

    def _scores(self, part: str, x, y: np.ndarray, rows: list[np.ndarray]) -> list[dict]:
        """Each replica's scores on its rows of some images; those that all see are read once."""
        shared = all(np.array_equal(rows[0], own) for own in rows)
        raw = self.stack.outputs(x, rows[0] if shared else np.stack(rows))
        return [score(raw[k], y[own], part) for k, own in enumerate(rows)]

    def runs(self) -> list[Run]:
        """A run per seed, once all epochs are over."""
        for k in self.running:
            self.models[k].set_weights(self.stack.weights_of(k))
        last = [model.get_weights() for model in self.models]
        best = [history.best_weights for history in self.histories]
        scores, restored = self._final_scores(last), [{} for _ in best]
        if any(best):
            restored = self._final_scores([best[k] or last[k] for k in range(len(best))])
        keep(self.stack, self.recipe)
        return [self._run(k, scores[k], restored[k] if best[k] else {}) for k in range(len(best))]

    def _final_scores(self, weights: list[list[np.ndarray]]) -> list[dict[str, float]]:
        """Each replica's scores on the test set and on all its training images, with its weights
        as given."""
        self.stack.set_weights(weights)
        test = self._scores("test", *self._test())
        x, y, _ = self.parts["train"]
        train = self._scores("train", x, y, self.train)
        return [one | other for one, other in zip(test, train, strict=True)]

    def _run(self, k: int, scores: dict, restored: dict) -> Run:
        model, history = self.models[k], self.histories[k]
        metrics = single.final_metrics(model, history, scores, restored)
        return Run(metrics, history.curves, model)


def _initial_model(recipe: Recipe, seed: int) -> keras.Model:
    """The model as :func:`single.train_one` starts with it."""
    keras.utils.clear_session(free_memory=False)  # collecting garbage takes longer than all else
    keras.utils.set_random_seed(seed)
    return single.compiled(recipe)


def _batches(recipe: Recipe, train: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """The rows of each batch of one replica, pass after pass over its images, without end."""
    for number in itertools.count():
        order = epoch_order(train, seed, number)
        yield from np.split(order, range(recipe.batch_size, len(order), recipe.batch_size))


def _epoch_order(batches: list[Iterator], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one epoch's images, (K, images), and where batches begin and end, (steps + 1,).
    The last batch of a pass may be smaller, and an epoch may span passes."""
    epochs = [list(itertools.islice(each, steps)) for each in batches]
    sizes = [len(rows) for rows in epochs[0]]
    return np.stack([np.concatenate(rows) for rows in epochs]), np.cumsum([0, *sizes])
