"""Stacked networks that have done their work and wait for a recipe with the same graph: tracing and
compiling a graph takes as long as an epoch or more."""

import threading

from ..backend import keras
from ..recipe import Recipe
from .stacked_model import StackedModel

OUTSIDE_GRAPH = {
    "name", "learning_rate", "epochs", "patience", "min_delta", "initializer",
    "validation", "val_size", "train_size", "test_size", "scale", "column", "label_noise",
}  # fmt: skip
"""Fields of a recipe that change what a stacked network starts with or is given, not its graph."""

KEPT = 8
_idle: list[tuple[str, StackedModel]] = []
_lock = threading.Lock()


def stacked_model(models: list[keras.Model], recipe: Recipe) -> StackedModel:
    """The models as one network, at its start; nobody else has it until it is kept again."""
    graph = _graph(recipe, len(models))
    with _lock:
        found = next((entry for entry in _idle if entry[0] == graph), None)
        if found:
            _idle.remove(found)
    stack = found[1] if found else StackedModel(models, recipe)
    stack.start(models, recipe)
    return stack


def keep(stack: StackedModel, recipe: Recipe) -> None:
    """Let the next recipe with the same graph have the network."""
    with _lock:
        _idle.append((_graph(recipe, stack.replicas), stack))
        del _idle[:-KEPT]


def _graph(recipe: Recipe, replicas: int) -> str:
    """What a network's graph depends on; a schedule's rates and steps are part of it."""
    fields = recipe.model_dump(exclude=None if recipe.lr_step_size else OUTSIDE_GRAPH)
    return repr((fields, replicas))
