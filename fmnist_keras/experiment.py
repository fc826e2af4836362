"""Recipes at several seeds: their runs, kept in Optuna storage and trained where it lacks them.

Every run (recipe × seed) is one Optuna trial. Trials that are wanted are queued, claimed one by
one, trained and told; a finished trial is never repeated, one whose process died is queued again,
and several processes or machines that share a storage share the work. A run counts as the same
only with the same fingerprint, so a number never outlives the code that computed it.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from . import fingerprint, provenance
from .progress import Progress
from .recipe import Recipe, RecipeError, check_seeds
from .storage import Heartbeat, alive, open_storage

optuna.logging.set_verbosity(optuna.logging.WARNING)

DIGITS = 9
"""Significant digits that storage keeps: a float32 has no more."""


@dataclass(frozen=True)
class Results:
    """Two tidy frames. ``runs``: a row per recipe × seed, with the recipe's fields, its metrics and
    its provenance. ``curves``: a row per recipe × seed × epoch (from 1) × metric, in ``value``."""

    runs: pd.DataFrame
    curves: pd.DataFrame

    def __add__(self, other: "Results") -> "Results":
        """Both results in one; a run that stands in both counts once."""
        runs = pd.concat([self.runs, other.runs]).drop_duplicates(["recipe", "name", "seed"])
        curves = pd.concat([self.curves, other.curves])
        keys = ["recipe", "name", "seed", "epoch", "metric"]
        return Results(
            runs.reset_index(drop=True), curves.drop_duplicates(keys).reset_index(drop=True)
        )


class Study:
    """The runs of one source: what its notebooks have in common is trained once.

    ``name`` names the Optuna study and the default journal file ``results/<name>.journal`` (folder:
    environment variable FMNIST_RESULTS). ``storage`` is any Optuna storage URL instead, or
    ``grpc://host:port`` for Optuna's proxy. Raises RecipeError for an empty or invalid seed list.
    """

    def __init__(self, name: str, seeds: list[int], storage: str = "") -> None:
        self.name, self.seeds = name, check_seeds(seeds)
        self.storage = open_storage(storage, name)
        self.study = optuna.create_study(
            study_name=name, storage=self.storage, direction="maximize", load_if_exists=True
        )

    def run(
        self,
        recipes: Recipe | Iterable[Recipe],
        seeds: list[int] | None = None,
        diagnose: Callable[..., dict] | None = None,
    ) -> Results:
        """Train each recipe at each seed, unless storage has the run already.

        ``diagnose(model, arrays)`` may add metrics of the trained model: a dict of numbers, or of
        short lists that JSON can hold, which become columns of ``runs``. Raises RecipeError without
        recipes, and RuntimeError where something must be trained by code that was edited meanwhile.
        """
        recipes = [recipes] if isinstance(recipes, Recipe) else list(recipes)
        if not recipes:
            raise RecipeError("recipes = []: must hold at least one recipe")
        seeds = self.seeds if seeds is None else check_seeds(seeds)
        diagnostic = fingerprint.of_function(diagnose)
        wanted = [
            (f"{recipe.key}/{seed}/{diagnostic}", recipe, seed)
            for recipe in recipes
            for seed in seeds
        ]  # two recipes that differ in name alone have the same key, and a row each
        finished = self._finish({key: (recipe, seed) for key, recipe, seed in wanted}, diagnose)
        return _frames([(recipe, seed, finished[key]) for key, recipe, seed in wanted])

    def _finish(self, jobs: dict, diagnose: Callable | None) -> dict[str, FrozenTrial]:
        """Work, or wait for others' work, until every job has a finished trial; return those."""
        progress = Progress(self.name, len(jobs))
        while True:
            trials = self._trials(jobs)
            done = {k: t for k, t in trials.items() if t.state == TrialState.COMPLETE}
            progress.show(len(done))
            if len(done) == len(jobs):
                progress.close()
                return done
            queued = [t for t in trials.values() if t.state == TrialState.WAITING]
            mine = [trial for trial in _stackable_with_first(queued, jobs) if self._claim(trial)]
            if mine:
                self._work(mine, jobs, diagnose)
            else:
                time.sleep(1)  # the rest is being trained by others

    def _trials(self, jobs: dict) -> dict[str, FrozenTrial]:
        """The valid trial of each job: the earliest that has not failed, by this code if there is
        one; queued now if there is none. Which is earliest is the storage's word, so two workers
        never disagree about it."""
        found: dict[str, FrozenTrial] = {}
        for trial in sorted(self.study.get_trials(deepcopy=False), key=_is_older):
            key = trial.user_attrs.get("job")
            if key in jobs and key not in found and _usable(trial) and not self._failed(trial):
                found[key] = trial
        missing = [key for key in jobs if key not in found]
        for key in missing:
            recipe, seed = jobs[key]
            attributes = {"job": key, "recipe": recipe.model_dump(mode="json"), "seed": seed}
            attributes["fingerprint"] = fingerprint.CURRENT
            self.study.enqueue_trial({}, user_attrs=attributes)
        return self._trials(jobs) if missing else found

    def _failed(self, trial: FrozenTrial) -> bool:
        """Whether the trial failed, or is running nowhere any more (and so is failed here)."""
        if trial.state != TrialState.RUNNING:
            return trial.state == TrialState.FAIL
        if alive(trial):
            return False
        with contextlib.suppress(ValueError):  # another worker was first
            self.study.tell(trial.number, state=TrialState.FAIL)
        return True

    def _claim(self, trial: FrozenTrial) -> bool:
        """Take a waiting trial; return whether no other worker was first."""
        # Optuna's ask() takes the oldest waiting trial, whatever it is: this takes a certain one.
        try:
            return self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _work(self, trials: list[FrozenTrial], jobs: dict, diagnose: Callable | None) -> None:
        """Train and store claimed trials of one recipe; an error or interrupt frees them."""
        recipe, _ = jobs[trials[0].user_attrs["job"]]
        unfinished = list(trials)
        try:
            fingerprint.check_unchanged()
            with Heartbeat(self.storage, [trial._trial_id for trial in trials]):
                seeds = [trial.user_attrs["seed"] for trial in trials]
                records = _train(recipe, seeds, diagnose)
            for trial, record in zip(trials, records, strict=True):
                self.storage.set_trial_user_attr(trial._trial_id, "result", record)
                self.study.tell(trial.number, record["metrics"]["objective"])
                unfinished.remove(trial)
        except BaseException:
            for trial in unfinished:
                self.study.tell(trial.number, state=TrialState.FAIL)
            raise


def _usable(trial: FrozenTrial) -> bool:
    """Whether the trial's numbers are, or will be, those of this code. FMNIST_REUSE keeps finished
    ones of older code too; provenance then shows their fingerprint."""
    if not _is_older(trial):
        return True
    return trial.state == TrialState.COMPLETE and bool(os.environ.get("FMNIST_REUSE"))


def _is_older(trial: FrozenTrial) -> bool:
    """Whether other code than this made the trial."""
    return trial.user_attrs.get("fingerprint") != fingerprint.CURRENT


def _stackable_with_first(queued: list[FrozenTrial], jobs: dict) -> list[FrozenTrial]:
    """Waiting trials to train at once: all of the first one's recipe where seeds can be stacked."""
    if not queued:
        return []
    from . import training  # TensorFlow loads when something trains, not before

    recipe = jobs[queued[0].user_attrs["job"]][0]
    if not training.worth_stacking(recipe):
        return queued[:1]
    return [trial for trial in queued if jobs[trial.user_attrs["job"]][0].key == recipe.key]


def _train(recipe: Recipe, seeds: list[int], diagnose: Callable | None) -> list[dict]:
    """What storage keeps of the recipe's runs at ``seeds``."""
    from . import training

    records = []
    for run, seed in zip(training.train(recipe, seeds), seeds, strict=True):
        metrics = dict(run.metrics)
        chosen = metrics.get("val_accuracy", -metrics.get("val_loss", float("inf")))
        metrics["objective"] = chosen if chosen == chosen else -float("inf")
        if diagnose:
            metrics |= diagnose(run.model, training.load_arrays(recipe, seed))
        record = {"metrics": metrics, "curves": run.curves}
        records.append(_rounded(record) | {"provenance": provenance.current()})
    return records


def _rounded(value):
    """The value with all floats in it to the digits that mean something."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _frames(rows: list[tuple[Recipe, int, FrozenTrial]]) -> Results:
    runs, curves = [], []
    for recipe, seed, trial in rows:
        settings = {"recipe": recipe.key, **recipe.model_dump(), "seed": seed}
        saved = trial.user_attrs["result"]
        made_by = {"fingerprint": trial.user_attrs["fingerprint"], **saved["provenance"]}
        runs.append({**settings, **saved["metrics"], **made_by})
        for metric, values in saved["curves"].items():
            curves += [
                {**settings, "epoch": epoch, "metric": metric, "value": value}
                for epoch, value in enumerate(values, start=1)
            ]
    return Results(pd.DataFrame(runs), pd.DataFrame(curves))
