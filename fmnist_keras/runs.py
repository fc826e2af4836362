"""Runs: a recipe at a seed, or a function of one's own with its settings, trained once and kept.

A run is one JSON file in results/runs, written whole and never changed. Its name says what decides
its numbers: the condition's key, the seed, the diagnostic and the fingerprint of code and
libraries. A damaged file counts as none. Processes on one machine share the folder: a file lock,
which the kernel frees when its process dies, keeps two from training the same. Runs that are
committed with a profile's reports stand in one Parquet file and come before local ones.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import filelock
import pandas as pd

from . import fingerprint
from .checks import check_seeds
from .conditions import Job, OfFunction, OfRecipe
from .errors import RecipeError
from .progress import Progress
from .recipe import Recipe
from .settings import option, results_folder
from .store import explained, find, keep, remove


@dataclass(frozen=True)
class Results:
    """Two tidy frames. ``runs``: a row per condition × seed, with its settings, metrics and
    provenance. ``curves``: a row per condition × seed × epoch (from 1) × metric, in ``value``."""

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


def run(
    recipes: Recipe | Mapping | Iterable,
    seeds: list[int],
    diagnose: Callable[..., dict] | None = None,
    train: Callable[..., Any] | None = None,
    keep_checkpoints: bool = False,
) -> Results:
    """Train each recipe at each seed, unless the run is there already.

    ``diagnose(model, arrays)`` may add metrics of the trained model: a dict of numbers, or of short
    lists that JSON can hold, which become columns of ``runs``.

    With ``train`` a function is trained instead: ``recipes`` are its settings, one dict or several,
    of which ``name`` is a label; ``train(seed=…, **settings)`` returns a dict of metrics, or two
    dicts, metrics and curves (a list with a number per epoch). If it takes a ``folder``, each run
    has one of its own, say for a checkpoint. Checkpoints are removed once their run is stored,
    unless ``keep_checkpoints``: see :func:`hand_on`.

    Raises RecipeError, before anything trains, without recipes or for settings that the function
    does not take; StorageError where runs cannot be kept; RuntimeError where something must be
    trained by code that was edited since it was imported.
    """
    seeds = check_seeds(seeds)
    recipes = [recipes] if isinstance(recipes, Recipe | Mapping) else list(recipes)
    if not recipes:
        raise RecipeError("recipes = []: must hold at least one recipe")
    conditions = [_condition(each, diagnose, train) for each in recipes]
    jobs = [Job(condition, seed) for condition in conditions for seed in seeds]
    found = _complete({job.id: job for job in jobs}, keep_checkpoints)
    return _frames([(job, found[job.id]) for job in jobs])


def _condition(recipe: Recipe | Mapping, diagnose=None, train=None) -> OfRecipe | OfFunction:
    return OfFunction(train, {"name": "", **recipe}) if train else OfRecipe(recipe, diagnose)


def hand_on(recipe, longer, seeds: list[int], train: Callable | None = None) -> None:
    """Give the checkpoints that runs of ``recipe`` left to those of ``longer``, the same for more
    epochs, which go on from there; drop them where that is None."""
    for seed in seeds:
        left = _condition(recipe, train=train).checkpoint(seed)
        if longer and left.exists():
            with contextlib.suppress(OSError):  # that one has begun already, or begins anew
                left.rename(_condition(longer, train=train).checkpoint(seed))
        remove(left)


def _complete(jobs: dict[str, Job], keep_checkpoints: bool) -> dict[str, dict]:
    """Work, or wait for others' work, until every job has its run; return what is kept of each."""
    found, progress = {}, Progress(len(jobs))
    while True:
        for key, job in jobs.items():
            if key not in found and (kept := find(job)):
                found[key] = kept
        progress.show(len(found))
        missing = [job for key, job in jobs.items() if key not in found]
        if not missing:
            return found
        fingerprint.check_unchanged()
        if address := option("scheduler"):
            from . import cluster

            for done in cluster.train(address, missing):
                progress.show(len(found) + done)
        else:
            _train_first_free(missing, keep_checkpoints)


def _train_first_free(missing: list[Job], keep_checkpoints: bool) -> None:
    """Train and store what no other process is at, as much as trains at once; wait for a moment
    where others are at all of it."""
    for name, jobs in together(missing).items():
        with _lock(name) as mine:
            if not mine:
                continue
            jobs = [job for job in jobs if not find(job)]
            if jobs:
                keep(jobs, jobs[0].condition.train([job.seed for job in jobs]))
            for job in jobs if not keep_checkpoints else []:
                remove(job.condition.checkpoint(job.seed))
            return
    time.sleep(0.5)


def together(jobs: list[Job]) -> dict[str, list[Job]]:
    """Those jobs that train at once, under a name: all seeds of a condition where they are stacked,
    else each run alone."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        stacked = job.condition.seeds_train_together
        name = f"{job.condition.key}-{job.condition.diagnostic}" if stacked else job.name
        groups.setdefault(name, []).append(job)
    return groups


@contextlib.contextmanager
def _lock(name: str) -> Iterator[bool]:
    """Hold a lock while the block runs; give whether it was free."""
    folder = results_folder() / "locks"
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / name)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            yield False
            return
    try:
        yield True
    finally:
        lock.release()


def _frames(rows: list[tuple[Job, dict]]) -> Results:
    settings = pd.DataFrame(
        {"recipe": job.condition.key, **job.condition.settings, "seed": job.seed} for job, _ in rows
    )
    runs = pd.DataFrame(
        {**s, **kept["metrics"], "fingerprint": kept["fingerprint"], **kept["provenance"]}
        for s, (_, kept) in zip(settings.to_dict("records"), rows, strict=True)
    )
    points = [
        (number, epoch, metric, value)
        for number, (_, kept) in enumerate(rows)
        for metric, values in sorted(kept["curves"].items())
        for epoch, value in enumerate(values, start=1)
    ]
    points = pd.DataFrame(points, columns=["run", "epoch", "metric", "value"])
    curves = settings.iloc[points.pop("run")].reset_index(drop=True)  # shares its values, lean
    return Results(runs, pd.concat([curves, points], axis=1))
