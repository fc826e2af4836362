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

    ``checkpoint`` names a seed's file, which is written after each epoch, and from which training
    goes on, if the seeds train one by one. The caller removes it once the run is stored.
    """
    if worth_stacking(recipe):
        return train_stacked(recipe, seeds)
    return [train_one(recipe, seed, checkpoint(seed)) for seed in seeds]
