"""All seeds of an MLP recipe at once: their networks are stacked along a replica axis and trained
as one, which saves the overhead of each operation, most of a small network's time on a CPU.

Initial weights, order of images, dropout masks and held-out images of a replica come from its own
seed, and nothing in the graph mixes replicas. So each gives the curves of :func:`single.train_one`
at its seed, up to the rounding of float32. If batches are multiples of 8 images, its numbers are
the same, to the bit, with whatever seeds it shares a stack.
"""

import collections
import functools
import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..backend import cores, keras
from ..models import CLASSES, PIXELS
from ..recipe import Recipe
from . import single
from .arrays import batches, evaluated, load_arrays, split
from .history import History, score
from .single import Run
from .stacked_model import StackedModel


def worth_stacking(recipe: Recipe) -> bool:
    """Whether stacking is faster than one seed at a time: for an MLP in float32 with hidden layers
    of at most 256 units. At 512 units it is slower (0.85); benchmarks/README.md has the ratios."""
    dense = recipe.model == "mlp" and recipe.precision == "float32"
    return dense and max(recipe.units, default=0) <= 256


def train_stacked(recipe: Recipe, seeds: list[int]) -> list[Run]:
    """Train ``recipe``, an MLP in float32, at all ``seeds`` together; return what
    :func:`single.train_one` would, a run per seed, each with an ordinary model.

    A replica that stops early or diverges keeps the results of that epoch while the others go on.
    The curve ``seconds`` is the time of all divided by their number.
    """
    least = min_replicas(recipe)
    if len(seeds) < least:
        return train_stacked(recipe, seeds * least)[: len(seeds)]
    keras.utils.clear_session(free_memory=False)
    parts = np.array_split(seeds, min(parallel_stacks(), len(seeds) // least))
    trainers = [StackTrainer(recipe, part.tolist(), share=1 / len(seeds)) for part in parts]
    with ThreadPoolExecutor(len(trainers)) as pool:
        for _ in range(recipe.epochs):
            list(pool.map(StackTrainer.train_epoch, trainers))
        return list(itertools.chain.from_iterable(pool.map(StackTrainer.runs, trainers)))


SMALL_PRODUCT = 128 * 128
"""Up to so many multiplications TensorFlow's BatchMatMul rounds a product differently alone than
among several (batch_matmul_op_impl.h, ``kMaxCostOuterParallelism``)."""


def min_replicas(recipe: Recipe) -> int:
    """The number of replicas that a stack needs for each to round as in any larger stack: two if
    the recipe has small products, else one."""
    batches = {recipe.batch_size, recipe.train_images % recipe.batch_size} - {0}
    sizes = [PIXELS, *recipe.units, CLASSES]
    products = [inputs * units for inputs, units in itertools.pairwise(sizes)]
    return 2 if min(batches) * min(products) <= SMALL_PRODUCT else 1


def parallel_stacks() -> int:
    """The number of stacks that train at once: one per TF_NUM_INTRAOP_THREADS cores. Small
    operations gain next to nothing from a second thread, so a second stack makes better use of it.
    """
    per_operation = int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or cores()
    return max(1, cores() // per_operation)


NOT_IN_GRAPH = {
    "name", "validation", "val_size", "train_size", "test_size", "scale", "column",
    "permuted_pixels", "label_noise", "initializer", "learning_rate", "patience", "min_delta",
    "batch_size", "epochs", "steps_per_epoch",
}  # fmt: skip
"""Recipes that differ in these fields alone train with the same graph, unless it has a schedule."""

_idle: collections.deque[StackedModel] = collections.deque(maxlen=8)
"""Stacks to use again: tracing and compiling takes as long as an epoch or more."""


def _stack_of(recipe: Recipe, models: list[keras.Model]) -> StackedModel:
    """The models as one network before training, an idle one if one has the same graph."""
    ignored = {"name"} if recipe.lr_step_size else NOT_IN_GRAPH
    graph = len(models), recipe.model_dump_json(exclude=ignored)
    stack = next((stack for stack in _idle if stack.graph == graph), None)
    if stack:
        _idle.remove(stack)
    stack = stack or StackedModel(models, graph)
    stack.start(models)
    return stack


class StackTrainer:
    """Some seeds of a recipe and the stack that trains them; each run's training time is ``share``
    times that of the stack."""

    def __init__(self, recipe: Recipe, seeds: list[int], share: float) -> None:
        self.recipe, self.share = recipe, share
        self.models = [_initial_model(recipe, seed) for seed in seeds]
        self.stack = _stack_of(recipe, self.models)
        self.arrays = load_arrays(recipe, seeds[0])
        self.histories = [History(recipe) for _ in seeds]
        self.running = dict(enumerate(self.histories))
        train, val = zip(*(split(recipe, seed) for seed in seeds), strict=True)
        self.batches = [batches(recipe, *each) for each in zip(train, seeds, strict=True)]

        # The parts to score after each epoch and at the end: images, targets, each replica's rows.
        x, y = self.arrays.x, np.asarray(self.arrays.y)
        x_test, y_test = self.arrays.parts["test"]
        test = x_test, np.asarray(y_test), [np.arange(len(x_test))] * len(seeds)
        self.each_epoch = {"train": (x, y, list(map(evaluated, train)))}
        if "val" in self.arrays.parts:
            self.each_epoch["val"] = test if recipe.validation == "test" else (x, y, val)
        self.at_the_end = {"test": test, "train": (x, y, train)}

    def train_epoch(self) -> None:
        """Train and score one more epoch of the runs that have not ended."""
        if not self.running:
            return
        started = time.perf_counter()
        epochs = [list(itertools.islice(each, self.recipe.steps)) for each in self.batches]
        order = np.stack([np.concatenate(rows) for rows in epochs])
        bounds = np.cumsum([0, *map(len, epochs[0])])
        logs = self.stack.train(self.arrays.x, self.arrays.y, order, bounds)
        logs = {f"running_{name}": values.numpy() for name, values in logs.items()}
        seconds = (time.perf_counter() - started) * self.share
        scores = self._scores(self.each_epoch)
        for k, history in list(self.running.items()):
            row = {name: float(values[k]) for name, values in logs.items()} | scores[k]
            history.add(row, seconds, functools.partial(self.stack.weights_of, k))
            if history.ended:
                self.models[k].set_weights(self.stack.weights_of(k))
                del self.running[k]

    def _scores(self, parts: dict[str, tuple]) -> list[dict[str, float]]:
        """Each replica's scores on its rows of each part; rows that all share are read once."""
        found = [{} for _ in self.models]
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
            self.stack.set_weights([best[k] or last[k] for k in range(len(last))])
            restored = self._scores(self.at_the_end)
        _idle.append(self.stack)
        runs = []
        for k, (model, history) in enumerate(zip(self.models, self.histories, strict=True)):
            metrics = history.metrics(model, scores[k], restored[k] if best[k] else {})
            runs.append(Run(metrics, history.curves, model))
        return runs


def _initial_model(recipe: Recipe, seed: int) -> keras.Model:
    """The model that :func:`single.train_one` starts with."""
    keras.utils.clear_session(free_memory=False)  # collecting garbage would take most of the time
    keras.utils.set_random_seed(seed)
    return single.compiled(recipe)
