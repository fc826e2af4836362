"""What a search may try: ranges and choices, and the point that it tries next."""

import copy
import warnings
from typing import Annotated, Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial
from pydantic import Field

from .checks import Positive, check, distinct
from .errors import RecipeError

warnings.filterwarnings("ignore", message="QMCSampler is experimental")
warnings.filterwarnings("ignore", message="Choices for a categorical distribution")

EXPLORED = 8
"""So many trials explore before the rest exploits."""
EDGE = 0.05
"""A best value this close to an end of its range, as a share of the range, lies at the edge."""

Space = dict[str, BaseDistribution]


def log_uniform(low: float, high: float) -> FloatDistribution:
    """A search range on a log scale. Raises RecipeError unless 0 < low < high, both finite."""
    for name, value in {"low": low, "high": high}.items():
        check(Positive, name, value)
    if not low < high:
        raise RecipeError(f"low = {low!r}: must be less than high = {high!r}")
    return FloatDistribution(low, high, log=True)


def uniform(low: float, high: float) -> FloatDistribution | IntDistribution:
    """A search range, of integers where both ends are. Raises RecipeError unless low < high, both
    finite."""
    kind = IntDistribution if isinstance(low, int) and isinstance(high, int) else FloatDistribution
    for name, value in {"low": low, "high": high}.items():
        check(Annotated[float, Field(allow_inf_nan=False)], name, value)
    if not low < high:
        raise RecipeError(f"low = {low!r}: must be less than high = {high!r}")
    return kind(low, high)


def choice(*values: Any) -> CategoricalDistribution:
    """Values to choose from, of any kind, such as optimizers or tuples of units. Raises RecipeError
    without values or for one that stands there twice."""
    if not values:
        raise RecipeError("values = (): must be at least one")
    distinct("values", values)
    return CategoricalDistribution(values)


def suggest(space: Space, done: list[FrozenTrial], kind: str, seed: int) -> dict[str, Any]:
    """The parameters to try after the trials ``done``; they follow from these, the kind of sampler
    ("tpe" or "random") and a seed alone."""
    sampler = _sampler(kind, seed, len(done))
    memory = optuna.create_study(direction="maximize", sampler=sampler)
    if isinstance(sampler, QMCSampler):  # it counts its points in a study: go on to the next one
        points = [sampler.sample_relative(memory, None, space) for _ in range(len(done) + 1)]
        return points[-1]
    memory.add_trials(done)
    return memory.ask(fixed_distributions=space).params


def _sampler(kind: str, seed: int, number: int) -> BaseSampler:
    """Every argument that changed its default between Optuna versions is given."""
    if kind == "random":
        return RandomSampler(seed=seed + number)
    if number < EXPLORED:
        return QMCSampler(qmc_type="halton", scramble=True, seed=seed)
    return TPESampler(
        seed=seed + number, n_startup_trials=0, n_ei_candidates=24, multivariate=False,
        group=False, constant_liar=False,
    )  # fmt: skip


def points_between(space: Space, number: int) -> list[dict[str, Any]]:
    """The ends of each range and every choice, one at a time; and so many points between."""
    ends = {name: _ends(distribution) for name, distribution in space.items()}
    first = {name: values[0] for name, values in ends.items()}
    asked = optuna.create_study(sampler=RandomSampler(seed=0))
    drawn = [asked.ask(fixed_distributions=space).params for _ in range(number)]
    return [first | {name: value} for name, values in ends.items() for value in values] + drawn


def _ends(distribution: BaseDistribution) -> list:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return [distribution.low, distribution.high]


def edge(distribution: BaseDistribution, value: float) -> str:
    """ "lower" or "upper", where the value lies at that end of a numeric range, else nothing."""
    if not isinstance(distribution, FloatDistribution):
        return ""
    scale = np.log if distribution.log else float
    low, high, here = scale(distribution.low), scale(distribution.high), scale(value)
    share = (here - low) / (high - low)
    return "lower" if share < EDGE else "upper" if share > 1 - EDGE else ""


def in_texts(trial: FrozenTrial) -> FrozenTrial:
    """The trial with its choices as texts: storages keep tuples as lists, which are others."""
    trial = copy.deepcopy(trial)
    trial._system_attrs = {}  # how Optuna was told the parameters
    for name, distribution in trial.distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            texts = list(map(str, distribution.choices))
            trial.distributions[name] = CategoricalDistribution(texts)
            trial.params[name] = str(trial.params[name])
    return trial
