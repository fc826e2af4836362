"""Every chapter of the paper profile comes out of the committed runs, row by row, untrained."""

import json

import nbformat
import numpy as np
import pytest
from IPython.utils.capture import capture_output

from fmnist_keras import training
from fmnist_keras.backend import keras
from fmnist_keras.chapter import MIME, tables
from fmnist_keras.parameters import read
from fmnist_keras.settings import ROOT

PAPER = ROOT / "reports" / "paper"
NAMES = [path.stem for path in sorted(PAPER.glob("*.ipynb")) if tables(path)]
LIVE = {"07-repeat-runs"}
"""Cells that train, while the notebook runs, what a row rests on. Others that train, for a figure
alone, are passed over."""


class NotCommitted(Exception):
    """Something would have to be trained."""


def rendered(name: str, shell, monkeypatch) -> list[dict]:
    """The rows that a chapter shows when its cells run in order with the paper's parameters."""

    def train(*arguments, original=training.train):
        if cell.id not in LIVE:
            raise NotCommitted
        return original(*arguments)

    monkeypatch.setattr(training, "train", train)
    eager = property(lambda model: True, lambda model, value: None)
    monkeypatch.setattr(keras.Model, "run_eagerly", eager)  # one step each: tracing it takes longer
    parameters = read(ROOT / "params" / "paper" / f"{name}.yaml")
    rows, accepted = [], (NotCommitted,)
    for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type != "code":
            continue
        with capture_output() as captured:
            result = shell.run_cell(cell.source, store_history=False)
        if "parameters" in cell.metadata.get("tags", []):
            shell.user_ns.update(parameters)
        error = result.error_before_exec or result.error_in_exec
        if error and not isinstance(error, accepted):
            raise error
        if error:  # what a later cell draws of it is not there either
            accepted = (NotCommitted, NameError)
        rows += [row for output in captured.outputs for row in output.data.get(MIME, [])]
    return [{"notebook": name, **row} for row in rows]


def alike(ours, theirs) -> bool:
    """Equal, numbers to within what another processor's rounding of live gradients changes."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(alike(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return bool(np.isclose(ours, theirs, rtol=1e-3, atol=1e-7, equal_nan=True))
    return ours == theirs


def place(row: dict) -> list[str]:
    """What a row is about; where in the chapter it stands does not matter."""
    return [str(row.get(part)) for part in ("rows", "id", "assumed", "member", "claim")]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_chapter_gives_the_committed_rows_from_the_committed_runs(name, shell, monkeypatch):
    monkeypatch.setenv("FMNIST_OPTIONS", json.dumps({"report": f"paper/{name}"}))
    committed = json.loads(json.dumps(tables(PAPER / f"{name}.ipynb")))
    ours = json.loads(json.dumps(rendered(name, shell, monkeypatch)))
    ours, committed = (sorted(rows, key=place) for rows in (ours, committed))
    assert list(map(place, ours)) == list(map(place, committed))
    for mine, theirs in zip(ours, committed, strict=True):
        assert alike(mine, theirs), f"{name}: {mine['id']}\n{mine}\n{theirs}"
