"""Recipes at several seeds: their runs, kept in Optuna storage and trained where it lacks them.

Every run (recipe × seed) is one Optuna trial, created when a worker begins with it. Of several
workers that begin with the same one the first has it; a finished trial is never repeated, one whose
worker died is begun anew, and processes and machines that share a storage share the work. A run
counts as the same only with the same fingerprint, so a number never outlives its code.
"""

import contextlib
import functools
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import optuna
import pandas as pd
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from . import archive, fingerprint, provenance
from .checks import check_seeds
from .errors import RecipeError, StorageError
from .progress import Progress
from .recipe import Recipe
from .storage import checkpoint_file, forget_checkpoint, open_storage
from .worker import Watch, Worker

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
    ``grpc://host:port`` for Optuna's proxy. Raises RecipeError for an empty or invalid seed list or
    a name that cannot be a file's, and StorageError for storage that cannot be used.
    """

    def __init__(self, name: str, seeds: list[int], storage: str = "") -> None:
        if not (isinstance(name, str) and re.fullmatch(r"\w[\w .-]{0,99}", name)):
            raise RecipeError(
                f"name = {name!r}: must be at most 100 letters, digits, spaces, '_', '-' and '.'"
            )
        self.name, self.seeds = name, check_seeds(seeds)
        self.storage, self.watch = open_storage(storage, name), Watch()
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
        self.study.add_trials(archive.trials(self.name, set(jobs) - set(self._trials(jobs))))
        while True:
            trials = self._trials(jobs)
            done = {k: t for k, t in trials.items() if t.state == TrialState.COMPLETE}
            progress.show(len(done))
            if len(done) == len(jobs):
                progress.close()
                return done
            missing = [key for key in jobs if key not in trials]
            if missing:
                fingerprint.check_unchanged()
                self._work(_stackable_with_first(missing, jobs), jobs, diagnose)
            else:
                time.sleep(1)  # the rest is being trained by others

    def _trials(self, jobs: dict) -> dict[str, FrozenTrial]:
        """The valid trial of each job that has one: the earliest that has not failed, by this code
        if there is one. Which is earliest is the storage's word, so workers never disagree."""
        found: dict[str, FrozenTrial] = {}
        for trial in sorted(self.study.get_trials(deepcopy=False), key=_is_older):
            key = trial.user_attrs.get("job")
            if key in jobs and key not in found and _usable(trial) and not self._failed(trial):
                found[key] = trial
        return found

    def _failed(self, trial: FrozenTrial) -> bool:
        """Whether the trial failed, or is running nowhere any more (and so is failed here)."""
        if trial.state != TrialState.RUNNING:
            return trial.state != TrialState.COMPLETE
        if self.watch.alive(trial):
            return False
        self._tell(trial)
        return True

    def _tell(self, trial: FrozenTrial, value: float | None = None) -> None:
        """End a trial, failed if without a value, unless another worker has."""
        state = TrialState.FAIL if value is None else None
        with contextlib.suppress(ValueError, UpdateFinishedTrialError):
            self.study.tell(trial.number, value, state=state)

    def _work(self, keys: list[str], jobs: dict, diagnose: Callable | None) -> None:
        """Train and store those jobs of one recipe that no other worker was first to claim; an
        error or interrupt frees them."""
        recipe, _ = jobs[keys[0]]
        with Worker(self.storage) as worker:
            unfinished = []
            try:
                unfinished = self._claim(keys, jobs, worker)
                seeds = [trial.user_attrs["seed"] for trial in unfinished]
                records = _train(recipe, seeds, diagnose) if seeds else []
                for trial, record in zip(list(unfinished), records, strict=True):
                    self._store(trial, record)
                    unfinished.remove(trial)
                    forget_checkpoint(recipe, trial.user_attrs["seed"])
            except StorageError:
                raise  # it cannot be told; without a heartbeat the trials will be begun anew
            except BaseException:
                for trial in unfinished:
                    self._tell(trial)
                raise

    def _claim(self, keys: list[str], jobs: dict, worker: Worker) -> list[FrozenTrial]:
        """Create a running trial for each job, and return those that came first. Job and worker
        are in it from the start, and storage numbers trials in order, so all see the same first."""
        for key in keys:
            recipe, seed = jobs[key]
            attributes = {"job": key, "recipe": recipe.model_dump(mode="json"), "seed": seed}
            attributes |= {"fingerprint": fingerprint.CURRENT, "worker": worker.identity}
            self.study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=attributes))
        first = {trial.number for trial in self._trials(jobs).values()}
        mine = [trial for trial in self.study.get_trials(deepcopy=False) if worker.made(trial)]
        for trial in mine:
            if trial.number not in first:
                self._tell(trial)
        mine = [trial for trial in mine if trial.number in first]
        worker.trial_ids = [trial._trial_id for trial in mine]
        return mine

    def _store(self, trial: FrozenTrial, record: dict) -> None:
        """Store a run, complete in itself, unless another worker has taken it over meanwhile."""
        run = {name: trial.user_attrs[name] for name in ("job", "recipe", "seed", "fingerprint")}
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(trial._trial_id, "result", {**run, **record})
            self._tell(trial, record["metrics"]["objective"])


def _usable(trial: FrozenTrial) -> bool:
    """Whether the trial's numbers are, or will be, those of this code. FMNIST_REUSE keeps finished
    ones of older code too; provenance then shows their fingerprint."""
    if not _is_older(trial):
        return True
    return trial.state == TrialState.COMPLETE and bool(os.environ.get("FMNIST_REUSE"))


def _is_older(trial: FrozenTrial) -> bool:
    """Whether other code than this made the trial."""
    return trial.user_attrs.get("fingerprint") != fingerprint.CURRENT


def _stackable_with_first(keys: list[str], jobs: dict) -> list[str]:
    """The jobs to train at once: all of the first one's recipe where seeds can be stacked."""
    from . import training  # TensorFlow loads when something trains, not before

    recipe = jobs[keys[0]][0]
    if not training.worth_stacking(recipe):
        return keys[:1]
    return [key for key in keys if jobs[key][0].key == recipe.key]


def _train(recipe: Recipe, seeds: list[int], diagnose: Callable | None) -> list[dict]:
    """What storage keeps of the recipe's runs at ``seeds``."""
    from . import training

    records = []
    runs = training.train(recipe, seeds, functools.partial(checkpoint_file, recipe))
    for run, seed in zip(runs, seeds, strict=True):
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
        made_by = {"fingerprint": saved["fingerprint"], **saved["provenance"]}
        runs.append({**settings, **saved["metrics"], **made_by})
        for metric, values in saved["curves"].items():
            curves += [
                {**settings, "epoch": epoch, "metric": metric, "value": value}
                for epoch, value in enumerate(values, start=1)
            ]
    return Results(pd.DataFrame(runs), pd.DataFrame(curves))
