"""Runs: a recipe, or a user's function with its settings, trained at a seed once and stored.

A run is one JSON file in results/runs, written whole and never changed. Its name says what decides
its numbers: the condition's key, the seed, the diagnostic and the fingerprint of code and
libraries. A damaged file counts as none. Processes on one machine share the folder; a file lock,
which the kernel frees when its process dies, keeps two from training the same.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import filelock
import pandas as pd

from . import fingerprint
from .checks import check_seeds
from .conditions import Job, condition
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
        """Both results in one; a run that is in both counts once."""
        keys = ["recipe", "name", "seed"]
        runs = pd.concat([self.runs, other.runs])
        curves = pd.concat([self.curves, other.curves])
        return Results(
            runs.drop_duplicates(keys, ignore_index=True),
            curves.drop_duplicates([*keys, "epoch", "metric"], ignore_index=True),
        )


def run(
    recipes: Recipe | Mapping | Iterable,
    seeds: list[int],
    diagnose: Callable[..., dict] | None = None,
    train: Callable[..., Any] | None = None,
    keep_checkpoints: bool = False,
) -> Results:
    """Train each recipe at each seed, unless that run is stored already.

    ``diagnose(model, arrays)`` may add metrics of the trained model: a dict of numbers, or of short
    lists that JSON can hold, which become columns of ``runs``.

    With ``train``, ``recipes`` are the settings of a function, one dict or several, of which
    ``name`` is a label; ``train(seed=…, **settings)`` returns a dict of metrics, or two dicts,
    metrics and curves (a list with a number per epoch). If it takes a ``folder``, each run has its
    own, for checkpoints. Checkpoints are removed once their run is stored, unless
    ``keep_checkpoints``: see :func:`hand_on`.

    Raises RecipeError, before anything trains, without recipes or for settings that the function
    does not take; StorageError where runs cannot be stored; StaleError where code that must
    train, or a switch in the environment, was changed since the code was imported; UserError where
    a setting of TensorFlow that decides numbers can no longer be put right.
    """
    seeds = check_seeds(seeds)
    recipes = [recipes] if isinstance(recipes, Recipe | Mapping) else list(recipes)
    if not recipes:
        raise RecipeError("recipes = []: must hold at least one recipe")
    conditions = [condition(each, diagnose, train) for each in recipes]
    jobs = [Job(each, seed) for each in conditions for seed in seeds]
    found = _complete({job.id: job for job in jobs}, keep_checkpoints)
    return _frames([(job, found[job.id]) for job in jobs])


def hand_on(recipe, longer, seeds: list[int], train: Callable | None = None) -> None:
    """Move the checkpoints that runs of ``recipe`` left to those of ``longer``, the same for more
    epochs, which go on from there; delete them where that is None."""
    for seed in seeds:
        left = condition(recipe, train=train).checkpoint(seed)
        if longer and left.exists():
            with contextlib.suppress(OSError):  # that one has begun already, or begins anew
                left.rename(condition(longer, train=train).checkpoint(seed))
        remove(left)


def _complete(jobs: dict[str, Job], keep_checkpoints: bool) -> dict[str, dict]:
    """Find, train or wait for the run of every job."""
    found, progress = {}, Progress(len(jobs))
    while True:
        for key, job in jobs.items():
            if key not in found and (stored := find(job)):
                found[key] = stored
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
    """Train and store the first stack, or single run, that no other process is training; wait for
    a moment if there is none."""
    for name, jobs in stacks(missing).items():
        if not (lock := _acquired(name)):
            continue
        with lock:
            jobs = [job for job in jobs if not find(job)]
            if jobs:
                each = jobs[0].condition
                keep(jobs, each.train([job.seed for job in jobs], each.checkpoint))
            for job in jobs if not keep_checkpoints else []:
                remove(job.condition.checkpoint(job.seed))
            return
    time.sleep(0.5)


def stacks(jobs: list[Job]) -> dict[str, list[Job]]:
    """The jobs that train at once, under a name: all seeds of a condition where they are stacked,
    else each job alone."""
    from . import training

    found: dict[str, list[Job]] = {}
    for job in jobs:
        each = job.condition
        stacked = each.recipe and training.worth_stacking(each.recipe)
        name = f"{each.key}-{each.diagnostic}" if stacked else job.name
        found.setdefault(name, []).append(job)
    return found


def _acquired(name: str) -> filelock.AcquireReturnProxy | None:
    """A lock that this process has now; None where another one has it."""
    folder = results_folder() / "locks"
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(filelock.Timeout):
            return filelock.FileLock(folder / name).acquire(blocking=False)


def _frames(rows: list[tuple[Job, dict]]) -> Results:
    settings = [
        {"recipe": job.condition.key, **job.condition.settings, "seed": job.seed} for job, _ in rows
    ]
    runs = pd.DataFrame(
        {**each, **run["metrics"], "fingerprint": run["fingerprint"], **run["provenance"]}
        for each, (_, run) in zip(settings, rows, strict=True)
    )
    points = [
        (number, epoch, metric, value)
        for number, (_, run) in enumerate(rows)
        for metric, values in sorted(run["curves"].items())
        for epoch, value in enumerate(values, start=1)
    ]
    points = pd.DataFrame(points, columns=["run", "epoch", "metric", "value"])
    curves = pd.DataFrame(settings).iloc[points.pop("run")].reset_index(drop=True)  # shares values
    return Results(runs, pd.concat([curves, points], axis=1))
