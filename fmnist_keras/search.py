"""Searches: each is an Optuna study of its own, beside the runs that it is made of.

A search tries the points of a quasi-random sequence first and lets TPE exploit what they show.
Each suggestion follows from the trials before it alone, so a search that was killed goes on where
it was: its runs are in storage, and the suggestion whose trial is missing is made again.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, create_trial
from pydantic import Field

from . import fingerprint
from .checks import Positive, Trials, check, check_seeds
from .errors import RecipeError
from .experiment import Results, Study
from .recipe import Recipe

warnings.filterwarnings("ignore", message="QMCSampler is experimental")

EXPLORED = 8
"""So many trials explore before the rest exploits."""
EDGE = 0.05
"""A best value this close to an end of its range, as a share of the range, lies at the edge."""


@dataclass(frozen=True)
class Search:
    """A finished search: its Optuna study, its trials in order, and all runs that it made."""

    study: optuna.Study
    finished: list[FrozenTrial]
    base: Recipe
    results: Results

    @property
    def best(self) -> Recipe:
        """The recipe of the best trial."""
        return self.base.but(**self._best_trial.params)

    @property
    def _best_trial(self) -> FrozenTrial:
        return max(self.finished, key=lambda trial: trial.value)

    def trials(self) -> pd.DataFrame:
        """A row per trial, in order: ``number``, its parameters, ``value`` and the ``best`` so
        far."""
        rows = [
            {"number": number, **trial.params, "value": trial.value}
            for number, trial in enumerate(self.finished)
        ]
        frame = pd.DataFrame(rows)
        return frame.assign(best=frame["value"].cummax())

    def summary(self) -> dict[str, object]:
        """What a report says of the search: budget, sampler, best parameters and value, and which
        of them lie at the edge of their range."""
        best = self._best_trial
        edges = [
            f"{name}: {side} edge"
            for name, distribution in best.distributions.items()
            if (side := _edge(distribution, best.params[name]))
        ]
        settings = self.study.user_attrs
        return {
            "trials": len(self.finished),
            "seeds": len(settings["seeds"]),
            "sampler": settings["sampler"],
            **best.params,
            "value": best.value,
            "at the edge": ", ".join(edges) or "no",
        }


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


def search(
    study: Study,
    base: Recipe,
    trials: int,
    seeds: list[int] | None = None,
    sampler: str = "tpe",
    value: Callable[[Results], float] | None = None,
    **space: BaseDistribution,
) -> Search:
    """Look for the best mean validation accuracy (or lowest validation loss) of ``base`` over
    ``space``, one distribution per recipe field, by a mean over ``seeds`` (None: the study's).

    ``value(results)`` is maximized in its place, of a trial's runs at all seeds; what it depends on
    beside them must be numbers, strings or tuples, which tell one search from another.
    ``sampler``: "tpe" (eight trials explore, the rest exploits) or "random", its yardstick.
    Asking for more trials later adds to the ones there are. Raises RecipeError for a bad argument.
    """
    check(Literal["tpe", "random"], "sampler", sampler)
    check(Trials, "trials", trials)
    if unknown := [name for name in space if name not in Recipe.model_fields]:
        raise RecipeError(f"{unknown[0]} = {space[unknown[0]]!r}: no parameter has this name")
    if not space:
        raise RecipeError("space = {}: must hold at least one parameter with its range")
    seeds = study.seeds if seeds is None else check_seeds(seeds)
    found = _open(study, base, seeds, sampler, space, value)
    results = None
    for number in range(trials):
        done = _finished(found)
        if number < len(done):
            params = done[number].params
        else:
            params = _suggest(space, done, _sampler(sampler, base, number))
        runs = study.run(base.but(**params), seeds=seeds)
        results = runs if results is None else results + runs
        if number >= len(_finished(found)):  # nobody who shares the storage was faster
            reached = float(value(runs) if value else runs.runs["objective"].mean())
            attributes = {"number": number, "recipe": runs.runs["recipe"].iloc[0]}
            found.add_trial(
                create_trial(
                    params=params, distributions=space, value=reached, user_attrs=attributes
                )
            )
    return Search(found, _finished(found)[:trials], base, results)


def _open(
    study: Study, base: Recipe, seeds: list[int], sampler: str, space: dict, value: Callable | None
) -> optuna.Study:
    """The search's Optuna study, known by all that decides its trials."""
    settings = {
        "recipe": base.model_dump(mode="json"),
        "seeds": list(seeds),
        "sampler": sampler,
        "space": {name: repr(distribution) for name, distribution in space.items()},
        "value": fingerprint.of_function(value),
        "fingerprint": fingerprint.CURRENT,
    }
    digest = hashlib.sha256(json.dumps([settings, base.key], sort_keys=True).encode())
    label = f"{base.optimizer} batch {base.batch_size}, {', '.join(space)}, {sampler}"
    name = f"{study.name} search: {label} [{digest.hexdigest()[:8]}]"
    found = optuna.create_study(
        study_name=name, storage=study.storage, direction="maximize", load_if_exists=True
    )
    for key, value in settings.items():
        if key not in found.user_attrs:
            found.set_user_attr(key, value)
    return found


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """The search's trials in order, one for each number, should two workers have added it."""
    trials = {t.user_attrs["number"]: t for t in reversed(study.get_trials(deepcopy=False))}
    return [trials[number] for number in sorted(trials)]


def _sampler(kind: str, base: Recipe, number: int) -> BaseSampler:
    """The sampler of one trial; every argument that changed its default between Optuna versions is
    given. Its random numbers follow from the recipe and the trial's number."""
    seed = int(base.key[:6], 16) + number
    if kind == "random":
        return RandomSampler(seed=seed)
    if number < EXPLORED:
        return QMCSampler(qmc_type="halton", scramble=True, seed=int(base.key[:6], 16))
    return TPESampler(
        seed=seed, n_startup_trials=0, n_ei_candidates=24, multivariate=False, group=False,
        constant_liar=False,
    )  # fmt: skip


def _suggest(space: dict, done: list[FrozenTrial], sampler: BaseSampler) -> dict:
    """The parameters that ``sampler`` draws after the finished trials ``done``."""
    memory = optuna.create_study(direction="maximize", sampler=sampler)
    if isinstance(sampler, QMCSampler):  # it counts its points in a study: go on to the next one
        points = [sampler.sample_relative(memory, None, space) for _ in range(len(done) + 1)]
        return points[-1]
    memory.add_trials(done)
    return memory.ask(fixed_distributions=space).params


def _edge(distribution: BaseDistribution, value: float) -> str:
    """ "lower" or "upper", where the value lies at that end of a numeric range, else nothing."""
    if not isinstance(distribution, FloatDistribution):
        return ""
    scale = np.log if distribution.log else float
    low, high, here = scale(distribution.low), scale(distribution.high), scale(value)
    share = (here - low) / (high - low)
    return "lower" if share < EDGE else "upper" if share > 1 - EDGE else ""
