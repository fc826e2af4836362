"""What a run leaves in a file after each epoch: killed, it goes on from there to the same bits."""

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
    with nothing changed, where there is no file or no whole one."""
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return 0
    variables = _variables(model)
    if sum(name.startswith("variable") for name in arrays) != len(variables):
        return 0
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"variable {i}"])
    best = sum(name.startswith("best") for name in arrays)
    return history.resume(
        json.loads(str(arrays["curves"])), [arrays[f"best {i}"] for i in range(best)] or None
    )


def _variables(model: keras.Model) -> list[keras.Variable]:
    model.optimizer.build(model.trainable_variables)  # does nothing where it is built
    return model.variables + model.optimizer.variables
