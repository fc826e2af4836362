"""What a search may try, ranges and choices, and the point that it tries next."""

import copy
import warnings
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial
from pydantic import FiniteFloat

from .checks import Positive, check, distinct
from .errors import RecipeError

warnings.filterwarnings("ignore", message="QMCSampler is experimental")
warnings.filterwarnings("ignore", message="Choices for a categorical distribution")

EXPLORED = 8
"""The number of trials that explore; TPE proposes the rest."""
EDGE = 0.05
"""A best value this close to an end of its range, as a share of the range, lies at the edge."""

Space = dict[str, BaseDistribution]


def log_uniform(low: float, high: float) -> FloatDistribution:
    """A search range on a log scale. Raises RecipeError unless 0 < low < high, both finite."""
    _check_range(Positive, low, high)
    return FloatDistribution(low, high, log=True)


def uniform(low: float, high: float) -> FloatDistribution | IntDistribution:
    """A search range, of integers where both ends are. Raises RecipeError unless low < high, both
    finite."""
    _check_range(FiniteFloat, low, high)
    of_integers = isinstance(low, int) and isinstance(high, int)
    return IntDistribution(low, high) if of_integers else FloatDistribution(low, high)


def _check_range(kind: Any, low: float, high: float) -> None:
    check(kind, "low", low)
    check(kind, "high", high)
    if not low < high:
        raise RecipeError(f"low = {low!r}: must be less than high = {high!r}")


def choice(*values: Any) -> CategoricalDistribution:
    """Values to choose from, of any kind, such as optimizers or tuples of units. Raises RecipeError
    without values or for one that occurs twice."""
    if not values:
        raise RecipeError("values = (): must be at least one")
    distinct("values", values)
    return CategoricalDistribution(values)


def suggest(space: Space, done: list[FrozenTrial], sampler: str, seed: int) -> dict[str, Any]:
    """The parameters to try after the trials ``done``. They depend on these, on ``sampler`` ("tpe"
    or "random") and on the seed alone; arguments whose defaults differ between Optuna versions are
    given."""
    number = len(done)
    if sampler == "tpe" and number < EXPLORED:
        halton = QMCSampler(qmc_type="halton", scramble=True, seed=seed)
        study = optuna.create_study()  # it counts the points there
        return [halton.sample_relative(study, None, space) for _ in range(number + 1)][-1]
    tpe = TPESampler(
        seed=seed + number, n_startup_trials=0, n_ei_candidates=24, multivariate=False,
        group=False, constant_liar=False,
    )  # fmt: skip
    random = RandomSampler(seed=seed + number)
    study = optuna.create_study(direction="maximize", sampler=tpe if sampler == "tpe" else random)
    study.add_trials(done)
    return study.ask(fixed_distributions=space).params


def points_between(space: Space, number: int) -> list[dict[str, Any]]:
    """The ends of each range and every choice, one at a time, and ``number`` random points."""
    ends = {
        name: getattr(each, "choices", None) or (each.low, each.high)
        for name, each in space.items()
    }
    first = {name: values[0] for name, values in ends.items()}
    asked = optuna.create_study(sampler=RandomSampler(seed=0))
    drawn = [asked.ask(fixed_distributions=space).params for _ in range(number)]
    return [first | {name: value} for name, values in ends.items() for value in values] + drawn


def edge(distribution: BaseDistribution, value: float) -> str:
    """Which end of a range of real numbers the value is near, "lower" or "upper", or ""."""
    if not isinstance(distribution, FloatDistribution):
        return ""
    scale = np.log if distribution.log else float
    low, high, here = scale(distribution.low), scale(distribution.high), scale(value)
    share = (here - low) / (high - low)
    return "lower" if share < EDGE else "upper" if share > 1 - EDGE else ""


def in_texts(trial: FrozenTrial) -> FrozenTrial:
    """A copy of the trial with its choices as texts: storages would turn tuples into lists."""
    trial = copy.deepcopy(trial)
    trial._system_attrs = {}  # how Optuna was told the parameters
    for name, distribution in trial.distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            texts = list(map(str, distribution.choices))
            trial.distributions[name] = CategoricalDistribution(texts)
            trial.params[name] = str(trial.params[name])
    return trial
