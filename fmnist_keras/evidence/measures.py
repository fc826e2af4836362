"""What is measured of runs: a metric they ended with, something of their curves, or arithmetic of
these. A measure is an expression such as ``train_accuracy - test_accuracy``, where a name is a
column of runs and a call one of :data:`OF_CURVES`, for example ``at(val_loss, 10)``.

``results`` is anything with the two frames, ``runs`` and ``curves``.
"""

import ast
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

Arm = Mapping[str, Any]
"""Fields of runs and the values that pick one condition."""


def _first_at(curve: pd.DataFrame, reached: pd.DataFrame) -> pd.Series:
    """The first epoch at which each seed has reached it; one more than it trained if never."""
    return reached.idxmax(axis=1).where(reached.any(axis=1), curve.notna().sum(axis=1) + 1)


def _late_change(run: pd.Series, epochs: int) -> float:
    """The change over a run's last epochs, or over all where it has fewer."""
    values = run.dropna().to_numpy()[-1 - epochs :]
    return values[-1] - values[0]


OF_CURVES = {
    # Each takes a curve, seeds × epochs (from 1), missing after a run's last epoch.
    "at": lambda curve, epoch: curve[min(epoch, curve.columns.max())],
    "mean": lambda curve, first, last: curve.loc[:, first:last].mean(axis=1),
    "fluctuation": lambda curve, first=1: curve.loc[:, first:].diff(axis=1).std(axis=1),
    "drop": lambda curve: curve[1] - curve.ffill(axis=1).iloc[:, -1],
    "ratio": lambda curve: curve.ffill(axis=1).iloc[:, -1] / curve[1],
    "rise_from_best": lambda curve: curve.ffill(axis=1).iloc[:, -1] - curve.min(axis=1),
    "lowest": lambda curve: curve.min(axis=1),
    "lowest_at": lambda curve: curve.idxmin(axis=1),
    "highest_at": lambda curve: curve.idxmax(axis=1),
    "late_change": lambda curve, epochs: curve.apply(_late_change, axis=1, epochs=epochs),
    "directness": lambda curve: (
        (curve[1] - curve.ffill(axis=1).iloc[:, -1]).abs() / curve.diff(axis=1).abs().sum(axis=1)
    ),
    "increases": lambda curve: curve.diff(axis=1).gt(0).sum(axis=1),
    "epochs_to": lambda curve, level: _first_at(curve, curve.ge(level)),
    "epochs_below": lambda curve, level: _first_at(curve, curve.le(level)),
}
"""at(m, epoch), or at the last epoch of shorter runs · mean(m, first, last): over these epochs · \
fluctuation(m), fluctuation(m, first): SD of the changes from epoch to epoch, of all or from the \
first on · drop(m): first minus last · ratio(m): last by first · rise_from_best(m): last minus \
lowest · lowest(m), lowest_at(m): its epoch; highest_at(m) likewise · late_change(m, epochs): over \
the last so many · directness(m): change from first to last by the sum of all changes, 1 where it \
never turns back · increases(m): epochs with a higher value than the \
one before · epochs_to(m, level), epochs_below(m, level)."""

_ARITHMETIC = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


def plain(value: Any) -> Any:
    """The value as a hashable one: a list as a tuple."""
    return tuple(value) if isinstance(value, list | np.ndarray) else value


def select(frame: pd.DataFrame, arm: Arm) -> pd.DataFrame:
    """The rows whose fields have the arm's values."""
    keep = np.ones(len(frame), dtype=bool)
    for field, value in arm.items():
        keep &= np.array([plain(ours) == plain(value) for ours in frame[field]], dtype=bool)
    return frame[keep]


def measured(results: Any, arm: Arm, measure: str) -> pd.Series:
    """The measure of one arm's runs: seed -> value.

    ValueError: the arm picks no runs or several recipes, or the measure is unknown.
    """
    if missing := set(arm) - set(results.runs):
        raise ValueError(f"{arm}: the runs have no column {', '.join(sorted(missing))}")
    runs = select(results.runs, arm)
    if runs.empty:
        raise ValueError(f"{arm}: no such runs")
    if runs["seed"].duplicated().any():
        raise ValueError(
            f"{arm}: ambiguous, {len(runs)} runs of {runs['recipe'].nunique()} recipes"
        )
    try:
        value = _evaluate(ast.parse(measure, mode="eval").body, runs.set_index("seed"), results)
    except ValueError as error:
        raise ValueError(f"{measure} of {arm}: {error}") from None
    return value.astype(float)


def _evaluate(node: ast.expr, runs: pd.DataFrame, results: Any) -> Any:
    """One part of a measure's expression, for one condition's runs by seed."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name) if name in runs:
            return runs[name]
        case ast.Name(id=name):
            raise ValueError(f"the runs have no column {name}")
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            both = (_evaluate(side, runs, results) for side in (node.left, node.right))
            return _ARITHMETIC[type(op)](*both)
        case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=metric), *rest]) if (
            name in OF_CURVES
        ):
            arguments = [ast.literal_eval(argument) for argument in rest]
            return OF_CURVES[name](_curve(runs, results.curves, metric), *arguments)
    raise ValueError(f"{ast.unparse(node)} is no measure")


def _curve(runs: pd.DataFrame, curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric's curve of one condition's runs, seeds × epochs."""
    one = runs.iloc[0]
    same = (curves["recipe"] == one["recipe"]) & (curves["name"] == one["name"])
    rows = curves[same & (curves["metric"] == metric)]
    if rows.empty:
        raise ValueError(f"there is no curve of {metric}")
    return rows.pivot_table(index="seed", columns="epoch", values="value", dropna=False)
