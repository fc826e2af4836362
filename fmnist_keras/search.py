"""Searches: Optuna proposes parameters, runs answer.

A search tries the points of a quasi-random sequence first and lets TPE exploit what they show. Each
suggestion follows from the trials before it alone, so a search that was killed goes on where it
was: its runs are there, and the suggestions are made again. A copy of every search, parameters and
values in its trials, stands in an Optuna storage for optuna-dashboard.
"""

import contextlib
import copy
import functools
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import filelock
import optuna
import pandas as pd
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from . import fingerprint
from .checks import Counts, Trials, check, check_seeds
from .conditions import OfFunction
from .errors import RecipeError, StorageError
from .identity import identity
from .recipe import Recipe
from .runs import Results, hand_on, run
from .settings import option, results_folder
from .spaces import choice, edge, in_texts, log_uniform, points_between, suggest, uniform

__all__ = ["Search", "choice", "log_uniform", "search", "uniform"]

optuna.logging.set_verbosity(optuna.logging.WARNING)

REFUSED = (OSError, ImportError, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError)
Base = Recipe | Mapping | Callable[..., Recipe | Mapping]


@dataclass(frozen=True)
class Search:
    """A finished search: its Optuna study, recipe or settings of the best trial, and all runs."""

    study: optuna.Study
    best: Recipe | dict
    results: Results
    about: dict[str, Any]

    def trials(self) -> pd.DataFrame:
        """A row per trial, in order: ``number``, its parameters, ``value`` and the ``best`` so far;
        with a pruner also ``state``."""
        frame = pd.DataFrame(
            {"number": t.number, **t.params, "value": t.value, "state": t.state.name.lower()}
            for t in self.study.trials
        )
        columns = [] if (frame["state"] == "pruned").any() else ["state"]
        return frame.drop(columns=columns).assign(best=frame["value"].cummax().ffill())

    def summary(self) -> dict[str, object]:
        """What a report says of the search: budget, sampler, best parameters and value, and which
        of them lie at the edge of their range."""
        best = self.study.best_trial
        edges = [
            f"{name}: {side} edge"
            for name, distribution in best.distributions.items()
            if (side := edge(distribution, best.params[name]))
        ]
        return {
            "trials": len(self.study.trials),
            **self.about,
            **best.params,
            "value": best.value,
            "at the edge": ", ".join(edges) or "no",
        }


def search(
    base: Base,
    trials: int,
    seeds: list[int],
    sampler: str = "tpe",
    value: Callable[[Results], float] | None = None,
    train: Callable[..., Any] | None = None,
    pruner: BasePruner | None = None,
    rungs: list[int] | None = None,
    **space: BaseDistribution,
) -> Search:
    """Look for the best mean validation accuracy (or lowest validation loss) over ``seeds``.

    ``base`` is a recipe, or with ``train`` the settings of a function (see :func:`runs.run`), whose
    fields of the names in ``space`` take the values tried; or a function that makes either of
    parameters with these names, where one depends on another.
    ``value(results)`` is maximized in place of the mean, of a trial's runs at all seeds.
    ``sampler``: "tpe" (eight trials explore, the rest exploits) or "random", its yardstick.
    ``pruner``: any of Optuna's; it may end a trial after each of the epochs in ``rungs``, from
    where a trial that is promising goes on. Asking for more trials later adds to those there are.

    Raises RecipeError, before the first trial, for a bad argument or a value in ``space`` that is
    none for its parameter; StorageError for a storage that cannot be used.
    """
    check(Literal["tpe", "random"], "sampler", sampler)
    check(Trials, "trials", trials)
    seeds = check_seeds(seeds)
    if not space:
        raise RecipeError("space = {}: must hold at least one parameter with its range")
    if (pruner is None) != (rungs is None):
        raise RecipeError(f"rungs = {rungs!r}: a pruner needs them, the epochs after which it acts")
    rungs = sorted(check(Counts, "rungs", rungs)) if pruner else []
    task = _Task(base, seeds, sampler, value or _objective, train, rungs, space)
    task.check_space()
    mirror, results = _Copy(task), None
    pruner = copy.deepcopy(pruner)  # some learn from their trials, and would act otherwise again
    study = optuna.create_study(study_name=task.name, direction="maximize", pruner=pruner)
    for _ in range(trials):
        runs = task.next_trial(study)
        mirror.add(study.trials[-1])
        results = runs if results is None else results + runs
    about = {"seeds": len(seeds), "sampler": sampler}
    return Search(study, task.condition(study.best_params), results, about)


@dataclass(frozen=True)
class _Task:
    """What is searched."""

    base: Base
    seeds: list[int]
    sampler: str
    value: Callable[[Results], float]
    train: Callable[..., Any] | None
    rungs: list[int]
    space: dict[str, BaseDistribution]

    def condition(self, params: dict[str, Any]) -> Recipe | dict:
        """The recipe, or the settings, that the parameters of a trial make."""
        if isinstance(self.base, Recipe):
            return self.base.replace(**params)
        return {**self.base, **params} if isinstance(self.base, Mapping) else self.base(**params)

    def key(self, condition: Recipe | dict) -> str:
        return condition.key if self.train is None else OfFunction(self.train, condition).key

    @functools.cached_property
    def first_key(self) -> str:
        """Tells what is searched from all else."""
        if isinstance(self.base, Recipe):
            return self.base.key
        return self.key(self.condition(points_between(self.space, number=0)[0]))

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """All that decides the trials."""
        return {
            "recipe": getattr(self.base, "model_dump_json", str)(),
            "seeds": self.seeds,
            "sampler": self.sampler,
            "rungs": self.rungs,
            "space": {name: repr(distribution) for name, distribution in self.space.items()},
            "value": identity(self.value),
            "fingerprint": fingerprint.CURRENT,
        }

    @functools.cached_property
    def name(self) -> str:
        digest = hashlib.sha256(json.dumps([self.settings, self.first_key]).encode()).hexdigest()
        if isinstance(self.base, Recipe):
            what = f"{self.base.optimizer} batch {self.base.batch_size}"
        else:
            what = getattr(self.train or self.base, "__name__", "search")
        return f"{what}, {', '.join(self.space)}, {self.sampler} [{digest[:8]}]"

    def check_space(self) -> None:
        """Raise RecipeError where a value that may be tried is none, or does not go together with
        others."""
        for point in points_between(self.space, number=50):
            self.key(self.condition(point))

    def next_trial(self, study: optuna.Study) -> Results:
        """Add the trial that follows from those in ``study``; return its runs."""
        params = suggest(self.space, study.trials, self.sampler, int(self.first_key[:6], 16))
        study.enqueue_trial(params)
        trial, condition = study.ask(self.space), self.condition(params)
        steps = [*(_with_epochs(condition, epochs) for epochs in self.rungs), condition]
        for epochs, (step, longer) in zip(self.rungs, itertools.pairwise(steps), strict=True):
            runs = run(step, self.seeds, train=self.train, keep_checkpoints=True)
            trial.report(float(self.value(runs)), epochs)
            pruned = trial.should_prune()
            hand_on(step, None if pruned else longer, self.seeds, self.train)
            if pruned:
                study.tell(trial, state=TrialState.PRUNED)
                return runs
        runs = run(condition, self.seeds, train=self.train)
        study.tell(trial, float(self.value(runs)))
        return runs


def _objective(runs: Results) -> float:
    return runs.runs["objective"].mean()


def _with_epochs(condition: Recipe | dict, epochs: int) -> Recipe | dict:
    of_recipe = isinstance(condition, Recipe)
    return condition.replace(epochs=epochs) if of_recipe else {**condition, "epochs": epochs}


class _Copy:
    """A search's trials in an Optuna storage, for others to look at. Nothing is read from there
    but which trials it has."""

    def __init__(self, task: _Task) -> None:
        self.url = option("storage") or f"sqlite:///{results_folder()}/searches.db"
        with self._locked():
            self.study = optuna.create_study(
                study_name=task.name, storage=self.url, direction="maximize", load_if_exists=True
            )
            for name, value in task.settings.items():
                self.study.set_user_attr(name, value)

    def add(self, trial: FrozenTrial) -> None:
        with self._locked():
            if trial.number >= len(self.study.get_trials(deepcopy=False)):
                self.study.add_trial(in_texts(trial))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process of this machine at a time; what the storage refuses, in one line."""
        folder = results_folder() / "locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder / "searches"):
                yield
        except REFUSED as error:
            cause = error.__cause__ or error
            shown = re.sub("(?<=:)[^:@/]+(?=@)", "***", self.url)
            reason = str(getattr(cause, "orig", cause)).strip().partition("\n")[0]
            raise StorageError(f"STORAGE = {shown!r}: {reason}") from None
