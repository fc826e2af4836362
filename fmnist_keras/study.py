"""A study: recipes at several seeds, kept in Optuna storage, run where storage lacks them.

Every run (recipe × seed) is one Optuna trial. Trials that are wanted are queued, claimed one by
one, trained and told; a finished trial is never repeated, one whose process died is queued again,
and several processes or machines that share a storage share the work.
"""

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import optuna
import pandas as pd
from IPython.display import clear_output
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from . import provenance
from .recipe import Recipe, RecipeError, check_seeds
from .storage import Signature, alive, open_storage

optuna.logging.set_verbosity(optuna.logging.WARNING)


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


@dataclass(frozen=True)
class Search:
    """A finished search: Optuna's study, the best recipe, and all runs that it made."""

    study: optuna.Study
    best: Recipe
    results: Results


def log_uniform(low: float, high: float) -> FloatDistribution:
    """A search range on a log scale."""
    return FloatDistribution(low, high, log=True)


class Study:
    """The runs of one report: what its notebooks have in common is trained once.

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
        measure: Callable[..., dict] | None = None,
    ) -> Results:
        """Train each recipe at each seed, unless storage has the run already.

        ``measure(model, arrays)`` may add metrics of the trained model: a dict of numbers, or of
        short lists that JSON can hold, which become columns of ``runs``.
        """
        recipes = [recipes] if isinstance(recipes, Recipe) else list(recipes)
        if not recipes:
            raise RecipeError("recipes = []: must hold at least one recipe")
        seeds = self.seeds if seeds is None else check_seeds(seeds)
        jobs = {
            _job_key(recipe, seed, measure): (recipe, seed) for recipe in recipes for seed in seeds
        }
        finished = self._finish(jobs, measure)
        rows = [
            (recipe, seed, finished[_job_key(recipe, seed, measure)])
            for recipe in recipes
            for seed in seeds
        ]
        return _frames(rows)

    def search(
        self,
        base: Recipe,
        trials: int,
        seeds: list[int] | None = None,
        sampler: str = "tpe",
        **space: BaseDistribution,
    ) -> Search:
        """Let Optuna look for the best mean validation accuracy (or lowest validation loss) of
        ``base`` over ``space``, one distribution per recipe field.

        Each suggestion follows from the ones before and its own number alone, so a search that was
        killed and starts over suggests the same again, finds those runs in storage, and goes on
        from there. ``sampler`` is "tpe" or "random" (the yardstick for it).
        """
        make = {"tpe": _tpe, "random": optuna.samplers.RandomSampler}
        study = optuna.create_study(direction="maximize", study_name=f"{self.name} {sampler}")
        results = None
        for number in range(trials):
            study.sampler = make[sampler](seed=number)
            trial = study.ask(fixed_distributions=space)
            found = self.run(base.but(**trial.params), seeds=seeds)
            study.tell(trial, found.runs["objective"].mean())
            results = found if results is None else results + found
        return Search(study, base.but(**study.best_params), results)

    def _finish(self, jobs: dict, measure: Callable | None) -> dict[str, FrozenTrial]:
        """Work, or wait for others' work, until every job has a finished trial; return those."""
        started, trained, shown = time.monotonic(), 0, None
        while True:
            trials = self._trials(jobs)
            done = {k: t for k, t in trials.items() if t.state == TrialState.COMPLETE}
            if len(done) != shown:  # not every second while others train
                shown, minutes = len(done), (time.monotonic() - started) / 60
                line = f"{self.name}: {shown} of {len(jobs)} runs done, {trained} trained here"
                _show(f"{line}, {minutes:.1f} min")
            if len(done) == len(jobs):
                return done
            queued = [t for t in trials.values() if t.state == TrialState.WAITING]
            mine = [trial for trial in _together(queued, jobs) if self._claim(trial)]
            if mine:
                self._work(mine, jobs, measure)
                trained += len(mine)
            else:
                time.sleep(1)  # the rest is being trained by others

    def _trials(self, jobs: dict) -> dict[str, FrozenTrial]:
        """The valid trial of each job: the earliest that has not failed; queued now if there is
        none. Which is earliest is the storage's word, so two workers never disagree about it."""
        found: dict[str, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):
            key = trial.user_attrs.get("job")
            if key in jobs and key not in found and not self._lost(trial):
                found[key] = trial
        missing = [key for key in jobs if key not in found]
        for key in missing:
            recipe, seed = jobs[key]
            attributes = {"job": key, "recipe": recipe.model_dump(mode="json"), "seed": seed}
            self.study.enqueue_trial({}, user_attrs=attributes)
        return self._trials(jobs) if missing else found

    def _lost(self, trial: FrozenTrial) -> bool:
        """Whether the trial failed, or is running nowhere any more (and so is failed here)."""
        if trial.state != TrialState.RUNNING:
            return trial.state == TrialState.FAIL
        if alive(trial):
            return False
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # others were first
            self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return True

    def _claim(self, trial: FrozenTrial) -> bool:
        """Take a waiting trial; return whether no other worker was first."""
        try:
            return self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _work(self, trials: list[FrozenTrial], jobs: dict, measure: Callable | None) -> None:
        """Train and store claimed trials of one recipe; an error or interrupt frees them."""
        recipe, _ = jobs[trials[0].user_attrs["job"]]
        seeds = [trial.user_attrs["seed"] for trial in trials]
        open_trials = {trial._trial_id for trial in trials}
        try:
            with Signature(self.storage, list(open_trials)):
                records = dict(zip(seeds, _train(recipe, seeds, measure), strict=True))
            for trial in trials:
                record = records[trial.user_attrs["seed"]]
                for name, value in record.items():
                    self.storage.set_trial_user_attr(trial._trial_id, name, value)
                value = [record["metrics"]["objective"]]
                self.storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, value)
                open_trials.remove(trial._trial_id)
        except BaseException:
            for trial_id in open_trials:
                self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
            raise


def _job_key(recipe: Recipe, seed: int, measure: Callable | None) -> str:
    return f"{recipe.key}/{seed}/{measure.__name__ if measure else ''}"


def _together(queued: list[FrozenTrial], jobs: dict) -> list[FrozenTrial]:
    """Waiting trials to train at once: all of the first one's recipe where seeds can be stacked."""
    if not queued or not _stackable(recipe := jobs[queued[0].user_attrs["job"]][0]):
        return queued[:1]
    return [trial for trial in queued if jobs[trial.user_attrs["job"]][0].key == recipe.key]


def _stackable(recipe: Recipe) -> bool:
    from . import replicas  # TensorFlow loads when something trains, not before

    return replicas.pays(recipe)


def _train(recipe: Recipe, seeds: list[int], measure: Callable | None) -> list[dict]:
    """What storage keeps of the recipe's runs at ``seeds``."""
    from . import replicas, training

    if _stackable(recipe):
        runs = replicas.train_replicas(recipe, seeds)
    else:
        runs = [training.train(recipe, seed) for seed in seeds]
    records = []
    for run, seed in zip(runs, seeds, strict=True):
        metrics = dict(run.metrics)
        chosen = metrics.get("val_accuracy", -metrics.get("val_loss", float("inf")))
        metrics["objective"] = chosen if chosen == chosen else -float("inf")
        if measure:
            metrics |= measure(run.model, training.load_arrays(recipe, seed))
        records.append(
            {"metrics": metrics, "curves": run.curves, "provenance": provenance.current()}
        )
    return records


def _show(line: str) -> None:
    clear_output(wait=True)
    print(line, flush=True)


def _frames(rows: list[tuple[Recipe, int, FrozenTrial]]) -> Results:
    runs, curves = [], []
    for recipe, seed, trial in rows:
        settings = {"recipe": recipe.key, **recipe.model_dump(), "seed": seed}
        saved = trial.user_attrs
        runs.append({**settings, **saved["metrics"], **saved["provenance"]})
        for metric, values in saved["curves"].items():
            curves += [
                {**settings, "epoch": epoch, "metric": metric, "value": value}
                for epoch, value in enumerate(values, start=1)
            ]
    return Results(pd.DataFrame(runs), pd.DataFrame(curves))


def _tpe(seed: int) -> optuna.samplers.TPESampler:
    """Every argument that changed its default between Optuna versions is given here."""
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=5, multivariate=False, group=False, constant_liar=False
    )
