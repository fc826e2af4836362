"""All seeds of an MLP recipe at once: their networks are stacked along a replica axis and trained
as one, which amortizes the overhead of each operation, most of a small network's time on a CPU.

Each replica keeps to itself: initial weights, order of images, dropout masks and held-out images
come from its own seed, and nothing in the graph mixes replicas. So each follows
:func:`single.train_one` of its seed, curve by curve, up to the rounding of float32. Where batches
are multiples of 8 images, it is the same to the last bit whatever seeds it shares a stack with.
"""

import collections
import functools
import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..backend import cores, keras
from ..models import CLASSES, PIXELS
from ..recipe import Recipe
from . import single
from .arrays import batches, evaluated, load_arrays, split
from .history import History, score
from .single import Run
from .stacked_model import StackedModel, graph


def worth_stacking(recipe: Recipe) -> bool:
    """Whether stacking beats one seed at a time: float32 and hidden layers of at most 256 units."""
    # benchmarks/README.md has the ratios. At 512 units stacking took longer (0.85): such large
    # products gain nothing from company.
    dense = recipe.model == "mlp" and recipe.precision == "float32"
    return dense and max(recipe.units, default=0) <= 256


def train_stacked(recipe: Recipe, seeds: list[int]) -> list[Run]:
    """Train ``recipe``, an MLP in float32, at all ``seeds`` together; return what
    :func:`single.train_one` would, a run per seed, each with an ordinary model.

    A replica that stops early or diverges keeps the results of that epoch while the others go on.
    The curve ``seconds`` is a run's share: the time of all divided by their number.
    """
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


_idle: collections.deque[StackedModel] = collections.deque(maxlen=8)
"""Networks that have done their work: tracing and compiling takes as long as an epoch or more."""


def _stack_of(models: list[keras.Model]) -> StackedModel:
    """The models as one network, at its start: an idle one where one has the same graph."""
    wanted = graph(models)
    stack = next((stack for stack in _idle if stack.graph == wanted), None)
    if stack:
        _idle.remove(stack)
    stack = stack or StackedModel(models)
    stack.start(models)
    return stack


class StackTrainer:
    """Some seeds of a recipe and the stack that trains them."""

    def __init__(self, recipe: Recipe, seeds: list[int], share: float) -> None:
        """``share``: the part of its time that each run is charged."""
        self.recipe, self.seeds, self.share = recipe, seeds, share
        self.models = [_initial_model(recipe, seed) for seed in seeds]
        self.stack = _stack_of(self.models)
        self.arrays = load_arrays(recipe, seeds[0])
        self.histories = [History(recipe) for _ in seeds]
        self.running = dict(enumerate(self.histories))
        splits = [split(recipe, len(self.arrays.x), seed) for seed in seeds]
        train, val = zip(*splits, strict=True)
        self.batches = [batches(recipe, *each) for each in zip(train, seeds, strict=True)]

        # What is scored after each epoch, and at the end: images, targets, each replica's rows.
        x, y = self.arrays.x, np.asarray(self.arrays.y)
        x_test, y_test = self.arrays.parts["test"]
        test = x_test, np.asarray(y_test), [np.arange(len(x_test))] * len(seeds)
        self.each_epoch = {"train": (x, y, list(map(evaluated, train)))}
        if "val" in self.arrays.parts:
            self.each_epoch["val"] = test if recipe.validation == "test" else (x, y, val)
        self.at_the_end = {"test": test, "train": (x, y, train)}

    def train_epoch(self) -> None:
        """One more epoch, and its scores, for those that have not ended."""
        if not self.running:
            return
        started = time.perf_counter()
        order = _epoch_order(self.batches, self.recipe.steps)
        logs = self.stack.train(self.arrays.x, self.arrays.y, *order)
        logs = {f"running_{name}": values.numpy() for name, values in logs.items()}
        seconds = (time.perf_counter() - started) * self.share
        scores = self._scores(self.each_epoch)
        for k in list(self.running):
            row = {name: float(values[k]) for name, values in logs.items()} | scores[k]
            self.histories[k].add(row, seconds, functools.partial(self.stack.weights_of, k))
            if self.histories[k].ended:
                self.models[k].set_weights(self.stack.weights_of(k))
                del self.running[k]

    def _scores(self, parts: dict[str, tuple]) -> list[dict[str, float]]:
        """Each replica's scores on its rows of each part; those that all see are read once."""
        found = [{} for _ in self.seeds]
        for part, (x, y, rows) in parts.items():
            shared = all(np.array_equal(rows[0], own) for own in rows)
            raw = self.stack.outputs(x, rows[0] if shared else np.stack(rows))
            for k, own in enumerate(rows):
                found[k] |= score(raw[k], y[own], part)
        return found

    def runs(self) -> list[Run]:
        """A run per seed, once all epochs are over."""
        for k in self.running:
            self.models[k].set_weights(self.stack.weights_of(k))
        last = [model.get_weights() for model in self.models]
        self.stack.set_weights(last)
        scores = restored = self._scores(self.at_the_end)
        best = [history.best_weights for history in self.histories]
        if any(best):
            self.stack.set_weights([best[k] or last[k] for k in range(len(best))])
            restored = self._scores(self.at_the_end)
        _idle.append(self.stack)
        runs = []
        for k, (model, history) in enumerate(zip(self.models, self.histories, strict=True)):
            metrics = history.metrics(model, scores[k], restored[k] if best[k] else {})
            runs.append(Run(metrics, history.curves, model))
        return runs


def _initial_model(recipe: Recipe, seed: int) -> keras.Model:
    """The model as :func:`single.train_one` starts with it."""
    keras.utils.clear_session(free_memory=False)  # collecting garbage takes longer than all else
    keras.utils.set_random_seed(seed)
    return single.compiled(recipe)


def _epoch_order(replicas: list[Iterator], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one epoch's images, (K, images), and where in them its batches begin and end,
    (steps + 1,)."""
    epochs = [list(itertools.islice(batches, steps)) for batches in replicas]
    sizes = [len(rows) for rows in epochs[0]]
    return np.stack([np.concatenate(rows) for rows in epochs]), np.cumsum([0, *sizes])
