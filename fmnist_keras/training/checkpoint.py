"""Checkpoints: a run writes a file after each epoch. From it the same run, or a longer one of the
same recipe and seed, goes on to the same bits."""

import contextlib
import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np

from ..backend import keras
from .history import History


def save(path: Path, model: keras.Model, history: History) -> None:
    """Save weights, dropout's state, the optimizer and the history. The file appears whole or not
    at all; where it cannot be written, training goes on with a warning."""
    arrays = {f"variable {i}": np.array(v) for i, v in enumerate(_variables(model))}
    arrays |= {f"best {i}": weight for i, weight in enumerate(history.best_weights or [])}
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(file, curves=np.array(json.dumps(history.curves)), **arrays)
        part.replace(path)
    except OSError as error:
        warnings.warn(f"no checkpoint of this epoch: {error}", stacklevel=2)
        with contextlib.suppress(OSError):
            part.unlink()


def load(path: Path, model: keras.Model, history: History) -> int:
    """Restore model and history from the file; return the number of epochs trained. Return 0 and
    change nothing if there is no whole file, or if it has more epochs than the recipe."""
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return 0
    curves, variables = json.loads(str(arrays["curves"])), _variables(model)
    epochs, saved = len(curves["seconds"]), sum(name.startswith("variable") for name in arrays)
    if epochs > history.recipe.epochs or saved != len(variables):
        return 0
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"variable {i}"])
    best = sum(name.startswith("best") for name in arrays)
    history.resume(curves, [arrays[f"best {i}"] for i in range(best)] or None)
    return epochs


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All variables but the learning rate, which a schedule does not keep in one."""
    model.optimizer.build(model.trainable_variables)  # has no effect if it is built already
    rate = model.optimizer.learning_rate
    return model.variables + [v for v in model.optimizer.variables if v is not rate]
