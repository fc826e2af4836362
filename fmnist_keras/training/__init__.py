"""From a recipe and seeds to runs: one seed through Keras ``fit``, or many seeds stacked."""

from collections.abc import Callable
from pathlib import Path

from ..recipe import Recipe
from .arrays import Arrays, load_arrays
from .single import Run, outputs, train_one
from .stacked import train_stacked, worth_stacking

__all__ = ["Arrays", "Run", "load_arrays", "outputs", "train", "train_one", "train_stacked"]


def train(
    recipe: Recipe, seeds: list[int], checkpoint: Callable[[int], Path | None] = lambda seed: None
) -> list[Run]:
    """Train ``recipe`` at each seed, by whichever way is faster; return a run per seed.

    Where seeds train one by one, ``checkpoint`` names the file of a seed: it is written after every
    epoch, and training goes on from it. Whoever has stored the run removes it.
    """
    if worth_stacking(recipe):
        return train_stacked(recipe, seeds)
    return [train_one(recipe, seed, checkpoint(seed)) for seed in seeds]
