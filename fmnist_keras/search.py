"""Searches: Optuna proposes parameters, runs answer.

A search tries the points of a quasi-random sequence first; TPE then proposes more near the best.
Each proposal depends only on the trials before it, so a search that was killed makes the same
proposals again, finds their runs and goes on. A copy of every search, with the parameters and
values of its trials, is in an Optuna storage for optuna-dashboard.
"""

import functools
import itertools
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import filelock
import optuna
import pandas as pd
import sqlalchemy
from optuna.distributions import BaseDistribution
from pydantic import Field

from . import fingerprint
from .checks import Count, check, check_seeds
from .conditions import condition
from .errors import RecipeError, StorageError
from .identity import identity, name_of
from .recipe import Recipe
from .runs import Results, hand_on, run
from .settings import ROOT, option, results_folder
from .spaces import choice, edge, in_texts, log_uniform, points_between, suggest, uniform

__all__ = ["Search", "choice", "log_uniform", "search", "uniform"]

optuna.logging.set_verbosity(optuna.logging.WARNING)

Base = Recipe | Mapping | Callable[..., Recipe | Mapping]
Trials = Annotated[int, Field(ge=1, le=10_000)]
Rungs = Annotated[list[Count], Field(min_length=1)]
REFUSED = (OSError, ImportError, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError)


def search(
    base: Base,
    trials: int,
    seeds: list[int],
    sampler: str = "tpe",
    value: Callable[[Results], float] | None = None,
    train: Callable[..., Any] | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
    rungs: list[int] | None = None,
    **space: BaseDistribution,
) -> "Search":
    """Look for the best mean validation accuracy (or lowest validation loss) over ``seeds``.

    ``base`` is a recipe, or with ``train`` the settings of a function (see :func:`runs.run`), whose
    fields of the names in ``space`` take the values tried; or a function that makes either of
    parameters with these names, where one depends on another.
    ``value(results)``, of a trial's runs at all seeds, is maximized in place of the mean.
    ``sampler``: "tpe" (eight trials explore, TPE proposes the rest) or "random", its yardstick.
    ``pruner``: any of Optuna's; it may end a trial after each of the epochs in ``rungs``; a
    promising trial goes on from there. Asking for more trials later adds to those there are.

    Raises RecipeError, before the first trial, for a bad argument or a value in ``space`` that its
    parameter cannot have; StorageError for a storage that cannot be used.
    """
    check(Literal["tpe", "random"], "sampler", sampler)
    check(Trials, "trials", trials)
    seeds = check_seeds(seeds)
    if not space:
        raise RecipeError("space = {}: must hold at least one parameter with its range")
    if (pruner is None) != (rungs is None):
        raise RecipeError(f"rungs = {rungs!r}: a pruner needs them, the epochs after which it acts")
    rungs = sorted(check(Rungs, "rungs", rungs)) if pruner else []
    found = Search(base, seeds, sampler, value or _objective, train, pruner, rungs, space)
    for point in points_between(space, number=50):  # fails here if one of them is not allowed
        condition(found.made(point), train=train)
    _show(found)
    for _ in range(trials):
        runs = found.next_trial()
        found.results = found.results + runs if found.results else runs
        _show(found)
    return found


@dataclass
class Search:
    """What is searched, the Optuna study, and at the end the runs of all trials."""

    base: Base
    seeds: list[int]
    sampler: str
    value: Callable[[Results], float]
    train: Callable[..., Any] | None
    pruner: optuna.pruners.BasePruner | None
    rungs: list[int]
    space: dict[str, BaseDistribution]
    results: Results | None = None
    copy: optuna.Study | None = None
    """Its trials in the Optuna storage, for the dashboard; only how many there are is read."""

    @functools.cached_property
    def study(self) -> optuna.Study:
        # Some pruners learn from their trials and one uses the name: a replay needs both the same.
        pruner = deepcopy(self.pruner)
        return optuna.create_study(study_name=self.name, direction="maximize", pruner=pruner)

    @property
    def best(self) -> Recipe | dict:
        """The recipe or the settings of the best trial."""
        return self.made(self.study.best_params)

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
        """Budget, sampler, best parameters and value, and which of them lie at the edge of their
        range."""
        best = self.study.best_trial
        sides = {name: edge(each, best.params[name]) for name, each in self.space.items()}
        return {
            "trials": len(self.study.trials),
            "seeds": len(self.seeds),
            "sampler": self.sampler,
            **best.params,
            "value": best.value,
            "at the edge": ", ".join(f"{n}: {s} edge" for n, s in sides.items() if s) or "no",
        }

    def made(self, params: dict[str, Any]) -> Recipe | dict:
        """The recipe, or the settings, of a trial with these parameters."""
        return self.base(**params) if callable(self.base) else _changed(self.base, params)

    @functools.cached_property
    def first_key(self) -> str:
        """Identifies what is searched; the samplers' seed follows from it."""
        if isinstance(self.base, Recipe):
            return self.base.key
        first = self.made(points_between(self.space, number=0)[0])
        return condition(first, train=self.train).key

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """All that decides the trials."""
        return {
            "recipe": self.base.model_dump_json() if isinstance(self.base, Recipe) else "",
            "seeds": self.seeds,
            "sampler": self.sampler,
            "rungs": self.rungs,
            "space": {name: repr(distribution) for name, distribution in self.space.items()},
            "value": identity(self.value),
            "fingerprint": fingerprint.CURRENT,
        }

    @functools.cached_property
    def name(self) -> str:
        if isinstance(self.base, Recipe):
            what = f"{self.base.optimizer} batch {self.base.batch_size}"
        else:
            what = name_of(self.train or self.base)
        digest = fingerprint.digest([self.settings, self.first_key])
        return f"{what}, {', '.join(self.space)}, {self.sampler} [{digest[:8]}]"

    def next_trial(self) -> Results:
        """Add the trial that follows from those in the study; return its runs."""
        study = self.study
        params = suggest(self.space, study.trials, self.sampler, int(self.first_key[:6], 16))
        study.enqueue_trial(params)
        trial, whole = study.ask(self.space), self.made(params)
        steps = [*(_changed(whole, {"epochs": epochs}) for epochs in self.rungs), whole]
        for epochs, (step, longer) in zip(self.rungs, itertools.pairwise(steps), strict=True):
            runs = run(step, self.seeds, train=self.train, keep_checkpoints=True)
            trial.report(float(self.value(runs)), epochs)
            pruned = trial.should_prune()
            hand_on(step, None if pruned else longer, self.seeds, self.train)
            if pruned:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return runs
        runs = run(whole, self.seeds, train=self.train)
        study.tell(trial, float(self.value(runs)))
        return runs


def _objective(runs: Results) -> float:
    if not {"val_accuracy", "val_loss"} & {*runs.runs}:
        raise RecipeError("the runs have neither val_accuracy nor val_loss: pass value=")
    return runs.runs["objective"].mean()


def _changed(base: Recipe | Mapping, changes: dict[str, Any]) -> Recipe | dict:
    return base.replace(**changes) if isinstance(base, Recipe) else {**base, **changes}


def _show(found: Search) -> None:
    """Copy the trials that the Optuna storage lacks, one process of this machine at a time. Raises
    StorageError with the storage's reason and no password."""
    url = option("storage") or f"sqlite:///{results_folder()}/searches.db"
    url = re.sub(r"^(sqlite\S*:///)(?=[^/:])", rf"\g<1>{ROOT}/", url)  # as relative folders
    folder = results_folder() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "searches"):
            found.copy = found.copy or optuna.create_study(
                study_name=found.name, storage=url, direction="maximize", load_if_exists=True
            )
            for name, value in found.settings.items() if not found.copy.user_attrs else ():
                found.copy.set_user_attr(name, value)
            for trial in found.study.trials[len(found.copy.get_trials(deepcopy=False)) :]:
                found.copy.add_trial(in_texts(trial))
    except REFUSED as error:
        cause = error.__cause__ or error
        shown = re.sub("(?<=:)[^:@/]+(?=@)", "***", url)
        reason = str(getattr(cause, "orig", cause)).strip().partition("\n")[0]
        raise StorageError(f"STORAGE = {shown!r}: {reason}") from None
