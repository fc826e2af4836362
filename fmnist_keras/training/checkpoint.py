"""What a run leaves in a file after each epoch: killed, it goes on from there to the same bits. So
does a longer run of the same recipe and seed."""

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
    """Keep all that the next epochs depend on: weights, dropout's state, the optimizer and the
    history. The file appears as a whole or not at all; where it cannot be written the training goes
    on, with a warning."""
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
    """Put model and history where the file says they were; return how many epochs are trained: 0,
    with nothing changed, where there is no whole file, or one of more epochs than the recipe's."""
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return 0
    curves, variables = json.loads(str(arrays["curves"])), _variables(model)
    epochs, kept = len(curves["seconds"]), sum(name.startswith("variable") for name in arrays)
    if epochs > history.recipe.epochs or kept != len(variables):
        return 0
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"variable {i}"])
    best = sum(name.startswith("best") for name in arrays)
    history.resume(curves, [arrays[f"best {i}"] for i in range(best)] or None)
    return epochs


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All but the learning rate, which is none of the optimizer's variables under a schedule."""
    model.optimizer.build(model.trainable_variables)  # does nothing where it is built
    rate = model.optimizer.learning_rate
    return model.variables + [v for v in model.optimizer.variables if v is not rate]
