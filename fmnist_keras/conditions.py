"""Conditions: what is trained at each seed, a recipe or a user's function with its settings."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import fingerprint
from .errors import RecipeError
from .identity import identity, name_of
from .pinned import pinned
from .recipe import Recipe
from .settings import results_folder

RESERVED = {
    "recipe", "seed", "fingerprint", "objective", "versions", "backend", "device", "threads",
    "cores", "commit",
}  # fmt: skip
"""Columns of runs that neither a setting nor a metric may replace."""


@dataclass(frozen=True)
class Condition:
    """A recipe, or a function (then ``recipe`` is None), with all that identifies its runs: plain
    values, so that a worker on another machine has the same ones."""

    key: str
    fingerprint: str
    settings: dict[str, Any]
    train: Callable[[list[int], Callable[[int], Path]], list[dict]]
    """Metrics and curves of a run at each seed, from the seeds and :meth:`checkpoint`."""
    recipe: Recipe | None = None
    diagnostic: str = ""

    def checkpoint(self, seed: int) -> Path:
        """The file of a recipe's unfinished run, or the folder of a function's."""
        name = f"{self.key}-{seed}-{self.fingerprint}{'.npz' if self.recipe else ''}"
        return results_folder() / "checkpoints" / name


class Job(NamedTuple):
    """A condition at a seed: one run."""

    condition: Condition
    seed: int

    @property
    def id(self) -> str:
        return f"{self.condition.key}/{self.seed}/{self.condition.diagnostic}"

    @property
    def name(self) -> str:
        return self.id.rstrip("/").replace("/", "-")


def condition(
    recipe: Recipe | Mapping,
    diagnose: Callable[..., dict] | None = None,
    train: Callable[..., Any] | None = None,
) -> Condition:
    """The condition of a recipe, whose trained models ``diagnose(model, arrays)`` may measure; or,
    with a function ``train``, of its settings, of which ``name`` is a label. Raises RecipeError for
    settings that the function does not take, or that JSON cannot hold."""
    if isinstance(recipe, Recipe) != (train is None):
        what = "is a recipe, which trains itself" if train else "needs train=, its function"
        raise RecipeError(f"recipes: {recipe!r:.200} {what}")
    if train is None:
        mark, call = fingerprint.of_recipe(recipe), partial(_train, recipe, diagnose)
        return Condition(recipe.key, mark, recipe.model_dump(), call, recipe, identity(diagnose))
    settings = {"name": "", **recipe}
    decisive = {name: value for name, value in settings.items() if name != "name"}
    if taken := RESERVED & decisive.keys():
        raise RecipeError(f"{min(taken)} = {decisive[min(taken)]!r}: no setting may have this name")
    try:
        signature = inspect.signature(train)
        folder = {"folder": Path()} if "folder" in signature.parameters else {}
        signature.bind(seed=0, **decisive, **folder)
        json.dumps(settings)
    except (TypeError, ValueError) as error:
        hint = "; name is a label and not passed on" if "'name'" in str(error) else ""
        raise RecipeError(f"{name_of(train)} with {settings!r}: {error}{hint}") from None
    key = fingerprint.digest([identity(train), decisive])
    return Condition(key, fingerprint.CURRENT, settings, partial(_call, train, decisive))


def _train(
    recipe: Recipe, diagnose: Callable | None, seeds: list[int], checkpoint: Callable[[int], Path]
) -> list[dict]:
    from . import training  # TensorFlow loads when something trains, not before

    records = []
    with pinned():
        for run, seed in zip(training.train(recipe, seeds, checkpoint), seeds, strict=True):
            metrics = _with_objective(run.metrics)
            if diagnose:
                metrics |= diagnose(run.model, training.load_arrays(recipe, seed))
            records.append({"metrics": metrics, "curves": run.curves})
    return records


def _call(
    function: Callable, settings: dict, seeds: list[int], checkpoint: Callable[[int], Path]
) -> list[dict]:
    records = []
    for seed in seeds:
        arguments = {"seed": seed, **settings}
        if "folder" in inspect.signature(function).parameters:
            arguments["folder"] = checkpoint(seed)
            arguments["folder"].mkdir(parents=True, exist_ok=True)
        with pinned():
            returned = function(**arguments)
        try:
            metrics, curves = returned if isinstance(returned, tuple) else (returned, {})
            taken = metrics.keys() & {*RESERVED, "name", *settings}
            record = {"metrics": _with_objective(metrics), "curves": {**curves}}
            text = json.dumps(record, default=lambda value: np.asarray(value).tolist())
        except (AttributeError, RecursionError, TypeError, ValueError):
            shown = " ".join(f"{returned!r:.200}".split())
            raise RecipeError(
                f"{name_of(function)} returned {shown}: must be a dict of metrics, numbers or "
                "short lists, or two dicts, metrics and curves with a list of numbers each"
            ) from None
        if taken:
            raise RecipeError(f"{name_of(function)} returned {min(taken)}: a column has this name")
        records.append(json.loads(text))
    return records


def _with_objective(metrics: Mapping) -> dict[str, Any]:
    """The metrics, and what a search maximizes: validation accuracy, or else minus the loss."""
    chosen = metrics.get("val_accuracy", -metrics.get("val_loss", float("inf")))
    return {**metrics, "objective": chosen if chosen == chosen else -float("inf")}
