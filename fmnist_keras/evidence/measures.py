"""What is measured of runs: a metric they ended with, something of their curves, or arithmetic of
these. A measure is a Python expression such as ``train_accuracy - test_accuracy``, where a name is
a column of runs and a call one of :data:`OF_CURVES`, such as ``at(val_loss, 10)``; claims/README.md
explains them. ``results`` is anything with the two frames, ``runs`` and ``curves``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml


@dataclass(frozen=True)
class Unit:
    """What a measure's differences are counted in, and how small a one makes none: fields as in
    units.yaml."""

    name: str = ""
    scale: int = 1
    digits: int | None = None
    margin: float | None = None
    share: float | None = None


UNITS = {
    column: Unit(f" {name}", **fields)
    for name, fields in yaml.safe_load(Path(__file__).with_name("units.yaml").read_bytes()).items()
    for column in fields.pop("columns")
}


def unit_of(measure: str) -> Unit:
    """The unit of a measure's differences: its first column's, but none if it multiplies, divides
    or counts."""
    function, *columns = re.findall(r"[^\W\d]\w*", measure)
    of_column = function in OF_CURVES and function not in UNITS
    unit = UNITS.get(columns[0] if of_column else function, Unit())
    if function == "fluctuation":
        unit = replace(unit, margin=None, share=None)
    if function in {"ratio", "directness", "increases"} or {*measure} & {*"*/"}:
        unit = Unit(share=unit.share)
    return unit


def _last(curve: pd.DataFrame) -> pd.Series:
    return curve.ffill(axis=1).iloc[:, -1]


def _late_change(curve: pd.DataFrame, epochs: int) -> pd.Series:
    """The change over each seed's last epochs, or over all where it has fewer."""
    return _last(curve) - curve.apply(lambda run: run.dropna().iloc[-1 - epochs :].iloc[0], axis=1)


def _fluctuation(curve: pd.DataFrame, first: int = 1) -> pd.Series:
    """The SD of what is left without trend: the root mean square of the second differences, by √6,
    which is the SD of white noise."""
    return np.sqrt((curve.loc[:, first:].diff(axis=1).diff(axis=1) ** 2).mean(axis=1) / 6)


def _epochs_to(curve: pd.DataFrame, level: float) -> pd.Series:
    """The first epoch at which each seed has the level; one more than it trained if never."""
    reached = curve.ge(level)
    return reached.idxmax(axis=1).where(reached.any(axis=1), curve.notna().sum(axis=1) + 1)


OF_CURVES = {
    # Each takes a curve, seeds × epochs (from 1), missing after a run's last epoch.
    "at": lambda curve, epoch: curve[min(epoch, curve.columns.max())],
    "mean": lambda curve, first, last: curve.loc[:, first:last].mean(axis=1),
    "fluctuation": _fluctuation,
    "drop": lambda curve: curve[1] - _last(curve),
    "ratio": lambda curve: _last(curve) / curve[1],
    "rise_from_best": lambda curve: _last(curve) - curve.min(axis=1),
    "lowest": lambda curve: curve.min(axis=1),
    "lowest_at": lambda curve: curve.idxmin(axis=1),
    "highest_at": lambda curve: curve.idxmax(axis=1),
    "late_change": _late_change,
    "directness": lambda curve: (
        (curve[1] - _last(curve)).abs() / curve.diff(axis=1).abs().sum(axis=1)
    ),
    "increases": lambda curve: curve.diff(axis=1).gt(0).sum(axis=1),
    "epochs_to": _epochs_to,
}


def hashable(value: Any) -> Any:
    """The value as a hashable one: a list as a tuple."""
    return tuple(value) if isinstance(value, list | np.ndarray) else value


def select(runs: pd.DataFrame, arm: Mapping[str, Any]) -> pd.DataFrame:
    """The runs whose fields have the arm's values. ValueError if there are none."""
    keep = np.ones(len(runs), dtype=bool)
    for field, value in arm.items():
        keep &= np.array([hashable(ours) == hashable(value) for ours in runs[field]], dtype=bool)
    if not keep.any():
        raise ValueError(f"no runs where {arm}")
    return runs[keep]


def measured(results: Any, arm: Mapping[str, Any], measure: str) -> pd.Series:
    """The measure of one arm's runs: seed -> value. ``arm``: fields of runs with the values that
    pick one condition. ValueError: they pick none or several, or there is no such measure."""
    runs = select(results.runs, arm)
    if runs["seed"].duplicated().any():
        raise ValueError(f"{arm}: ambiguous, several runs of one seed")

    def of_curve(function: Callable) -> Callable:
        return lambda column, *rest: function(_curve(runs, results.curves, column.name), *rest)

    curves = set(results.curves.get("metric", ()))
    names = {metric: pd.Series(name=metric, dtype=float) for metric in curves}
    names |= dict(runs.set_index("seed").items())
    names |= {name: of_curve(function) for name, function in OF_CURVES.items()}
    try:
        return eval(measure, {"__builtins__": {}}, names).astype(float)
    except Exception as error:
        raise ValueError(f"no measure {measure!r} of {arm}: {error}") from None


def _curve(runs: pd.DataFrame, curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric's curve of one condition's runs, seeds × epochs."""
    one = {"recipe": runs["recipe"].iloc[0], "name": runs["name"].iloc[0], "metric": metric}
    rows = curves[np.all([curves[field] == value for field, value in one.items()], axis=0)]
    return rows.pivot_table(index="seed", columns="epoch", values="value", dropna=False)
