"""What is trained at each seed: a recipe, or a function of one's own with its settings."""

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import fingerprint
from .errors import RecipeError
from .identity import identity
from .recipe import Recipe
from .settings import results_folder


@dataclass(frozen=True)
class OfRecipe:
    """A recipe, and what is measured of its trained models beside their scores."""

    recipe: Recipe
    diagnose: Callable[..., dict] | None = None

    @functools.cached_property
    def key(self) -> str:
        return self.recipe.key

    @functools.cached_property
    def diagnostic(self) -> str:
        return identity(self.diagnose)

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint.of_recipe(self.recipe)

    @property
    def settings(self) -> dict[str, Any]:
        return self.recipe.model_dump()

    @property
    def seeds_train_together(self) -> bool:
        from . import training  # TensorFlow loads when something trains, not before

        return training.worth_stacking(self.recipe)

    def checkpoint(self, seed: int) -> Path:
        """Where a long run keeps what it has so far; only the same code goes on from there."""
        return _checkpoints() / f"{self.key}-{seed}-{self.fingerprint}.npz"

    def train(self, seeds: list[int]) -> list[dict]:
        """Metrics and curves of a run at each seed."""
        from . import training

        records = []
        runs = training.train(self.recipe, seeds, self.checkpoint)
        for run, seed in zip(runs, seeds, strict=True):
            metrics = _with_objective(run.metrics)
            if self.diagnose:
                metrics |= self.diagnose(run.model, training.load_arrays(self.recipe, seed))
            records.append({"metrics": metrics, "curves": run.curves})
        return records


@dataclass(frozen=True)
class OfFunction:
    """A function and its settings. Raises RecipeError for settings that it does not take, or that
    JSON cannot hold."""

    function: Callable[..., Any]
    settings: dict[str, Any]

    def __post_init__(self) -> None:
        try:
            inspect.signature(self.function).bind(**self._arguments(0, Path()))
            json.dumps(self.settings)
        except TypeError as error:
            raise RecipeError(f"{self._name} with {self.settings!r}: {error}") from None

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def _arguments(self, seed: int, folder: Path) -> dict[str, Any]:
        settings = {name: value for name, value in self.settings.items() if name != "name"}
        wants_folder = "folder" in inspect.signature(self.function).parameters
        return {"seed": seed, **settings, **({"folder": folder} if wants_folder else {})}

    @functools.cached_property
    def key(self) -> str:
        decisive = {name: value for name, value in self.settings.items() if name != "name"}
        text = json.dumps([identity(self.function), decisive], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint.CURRENT

    diagnostic = ""
    seeds_train_together = False

    def checkpoint(self, seed: int) -> Path:
        """The run's own folder."""
        return _checkpoints() / f"{self.key}-{seed}-{self.fingerprint}"

    def train(self, seeds: list[int]) -> list[dict]:
        """Metrics and curves of a run at each seed."""
        return [self._trained(seed) for seed in seeds]

    def _trained(self, seed: int) -> dict:
        arguments = self._arguments(seed, self.checkpoint(seed))
        if "folder" in arguments:
            arguments["folder"].mkdir(parents=True, exist_ok=True)
        returned = self.function(**arguments)
        try:
            metrics, curves = returned if isinstance(returned, tuple) else (returned, {})
            record = {"metrics": _with_objective(metrics), "curves": {**curves}}
            return json.loads(json.dumps(record, default=lambda value: np.asarray(value).tolist()))
        except (AttributeError, TypeError, ValueError):
            shown = " ".join(f"{returned!r:.200}".split())
            raise RecipeError(
                f"{self._name} returned {shown}: must be a dict of metrics, numbers or short "
                "lists, or two dicts, metrics and curves with a list of numbers each"
            ) from None


class Job(NamedTuple):
    """A condition at a seed: one run."""

    condition: OfRecipe | OfFunction
    seed: int

    @property
    def id(self) -> str:
        return f"{self.condition.key}/{self.seed}/{self.condition.diagnostic}"

    @property
    def name(self) -> str:
        return self.id.rstrip("/").replace("/", "-")


def _checkpoints() -> Path:
    return results_folder() / "checkpoints"


def _with_objective(metrics: Mapping) -> dict[str, Any]:
    """The metrics, and what a search maximizes: validation accuracy, or else minus the loss."""
    chosen = metrics.get("val_accuracy", -metrics.get("val_loss", float("inf")))
    return {**metrics, "objective": chosen if chosen == chosen else -float("inf")}
