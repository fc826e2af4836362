"""Settings from the environment."""

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def results_folder() -> Path:
    """The folder of runs, searches and checkpoints: FMNIST_RESULTS, by default results/ in ROOT."""
    return Path(os.environ.get("FMNIST_RESULTS") or ROOT / "results")


def option(name: str) -> Any:
    """One of FMNIST_OPTIONS, the JSON object that make passes on, or None: ``report``
    ("profile/chapter", while a report is made), ``numbers`` (a file that stores the notebook's
    numbers), ``reuse``, ``storage`` (an Optuna URL) or ``scheduler`` (a Dask address)."""
    return json.loads(os.environ.get("FMNIST_OPTIONS") or "{}").get(name)
