"""Finished runs as files that are committed: with them a report is rendered again, to the same
bytes, without any training.

A file holds the runs of one study, a row each: what identifies a run, and what storage keeps of it.
``recipe``, ``metrics`` and ``provenance`` are JSON; every curve is a column of lists. ::

    pandas.read_parquet("reports/paper/runs/keras_study.parquet")

The environment variable FMNIST_ARCHIVE names the folder to read from; scripts/execute.py sets it
where a profile's reports have such files. Runs of other code than this are left alone. How many
threads shared an operation does not matter here, though they add up in another order: a deep CNN
may have been trained by all the cores of a machine. Such a run keeps its own fingerprint.
"""

import json
import os
from collections.abc import Collection
from pathlib import Path

import pandas as pd
from optuna.trial import FrozenTrial, TrialState, create_trial

from . import fingerprint

IDENTITY = ["job", "seed", "fingerprint"]
AS_JSON = ["recipe", "metrics", "provenance"]


def write(trials: list[FrozenTrial], path: Path) -> int:
    """Write the finished runs of this code among ``trials`` to ``path``, beside those that it holds
    already; return their number. The same runs give the same bytes, in whatever order they were
    trained."""
    results = {}  # of several trials of a job the first counts, as in experiment.py
    for trial in [*trials, *map(_trial, _rows(path))]:
        made_here = trial.user_attrs.get("fingerprint") == fingerprint.CURRENT
        if made_here and trial.state == TrialState.COMPLETE:
            results.setdefault(trial.user_attrs["job"], trial.user_attrs["result"])
    rows = []
    for _, result in sorted(results.items()):
        row = {name: result[name] for name in IDENTITY}
        row |= {name: json.dumps(result[name]) for name in AS_JSON}
        rows.append(row | result["curves"])
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame(rows)
        frame[sorted(frame.columns)].to_parquet(path, compression="zstd", index=False)
    return len(rows)


def trials(study: str, jobs: Collection[str]) -> list[FrozenTrial]:
    """Those of the jobs that the archive has, as finished trials; none without an archive."""
    folder = os.environ.get("FMNIST_ARCHIVE")
    rows = _rows(Path(folder) / f"{study}.parquet") if folder else []
    return [_trial(row) for row in rows if row["job"] in jobs]


def _rows(path: Path) -> list[dict]:
    """The runs of this code that a file holds; none where there is no file."""
    if not path.exists():
        return []
    frame = pd.read_parquet(path)
    return frame[frame["fingerprint"] == fingerprint.CURRENT].to_dict("records")


def _trial(row: dict) -> FrozenTrial:
    known = {name: row[name] for name in IDENTITY}
    known |= {name: json.loads(row[name]) for name in AS_JSON}
    curves = {
        name: list(values)
        for name, values in row.items()
        if name not in known and values is not None
    }
    result = known | {"curves": curves}
    attributes = {name: result[name] for name in ("job", "seed", "recipe")} | {"result": result}
    attributes["fingerprint"] = fingerprint.CURRENT  # it counts as a run of this session's
    return create_trial(
        state=TrialState.COMPLETE, value=result["metrics"]["objective"], user_attrs=attributes
    )
