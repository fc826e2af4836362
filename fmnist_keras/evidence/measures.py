"""What is measured of runs: a metric they ended with, something of their curves, or arithmetic of
these. A measure is a Python expression such as ``train_accuracy - test_accuracy``, where a name is
a column of runs and a call one of :data:`OF_CURVES`, such as ``at(val_loss, 10)``; claims/README.md
explains them. ``results`` is anything with the two frames, ``runs`` and ``curves``.
"""

from collections import defaultdict
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
    units.yaml. A sum has its first term's unit, a product or quotient none."""

    name: str = ""
    scale: int = 1
    digits: int | None = None
    margin: float | None = None
    share: float | None = None

    def __add__(self, _: Any) -> "Unit":
        return self

    def __mul__(self, _: Any) -> "Unit":
        return Unit(share=self.share)

    def __neg__(self) -> "Unit":
        return self

    __radd__ = __sub__ = __rsub__ = __add__
    __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __mul__


UNITS = {
    column: Unit(f" {name}", **fields)
    for name, fields in yaml.safe_load(Path(__file__).with_name("units.yaml").read_text()).items()
    for column in fields.pop("columns")
}


def _last(curve: pd.DataFrame) -> pd.Series:
    return curve.ffill(axis=1).iloc[:, -1]


def _late_change(run: pd.Series, epochs: int) -> float:
    """The change over a run's last epochs, or over all where it has fewer."""
    values = run.dropna().to_numpy()[-1 - epochs :]
    return values[-1] - values[0]


def _epochs_to(curve: pd.DataFrame, level: float) -> pd.Series:
    """The first epoch at which each seed has the level; one more than it trained if never."""
    reached = curve.ge(level)
    return reached.idxmax(axis=1).where(reached.any(axis=1), curve.notna().sum(axis=1) + 1)


OF_CURVES = {
    # Each takes a curve, seeds × epochs (from 1), missing after a run's last epoch.
    "at": lambda curve, epoch: curve[min(epoch, curve.columns.max())],
    "mean": lambda curve, first, last: curve.loc[:, first:last].mean(axis=1),
    "fluctuation": lambda curve, first=1: curve.loc[:, first:].diff(axis=1).std(axis=1),
    "drop": lambda curve: curve[1] - _last(curve),
    "ratio": lambda curve: _last(curve) / curve[1],
    "rise_from_best": lambda curve: _last(curve) - curve.min(axis=1),
    "lowest": lambda curve: curve.min(axis=1),
    "lowest_at": lambda curve: curve.idxmin(axis=1),
    "highest_at": lambda curve: curve.idxmax(axis=1),
    "late_change": lambda curve, epochs: curve.apply(_late_change, axis=1, epochs=epochs),
    "directness": lambda curve: (
        (curve[1] - _last(curve)).abs() / curve.diff(axis=1).abs().sum(axis=1)
    ),
    "increases": lambda curve: curve.diff(axis=1).gt(0).sum(axis=1),
    "epochs_to": _epochs_to,
}
UNITS_OF_CURVES = {
    **dict.fromkeys(OF_CURVES, lambda unit, *_: unit),
    **dict.fromkeys(["ratio", "directness", "increases"], lambda unit: unit * 1),
    **dict.fromkeys(["lowest_at", "highest_at", "epochs_to"], lambda *_: Unit(" epochs")),
    "fluctuation": lambda unit, *_: replace(unit, margin=None, share=None),
}


def unit_of(measure: str) -> Unit:
    """The unit of a measure's differences, by those of its columns."""
    return _evaluate(measure, defaultdict(Unit, UNITS | UNITS_OF_CURVES))


def _evaluate(measure: str, names: dict[str, Any]) -> Any:
    return eval(measure, {"__builtins__": {}}, names)


def plain(value: Any) -> Any:
    """The value as a hashable one: a list as a tuple."""
    return tuple(value) if isinstance(value, list | np.ndarray) else value


def select(frame: pd.DataFrame, arm: Mapping[str, Any]) -> pd.DataFrame:
    """The rows whose fields have the arm's values."""
    keep = np.ones(len(frame), dtype=bool)
    for field, value in arm.items():
        keep &= np.array([plain(ours) == plain(value) for ours in frame[field]], dtype=bool)
    return frame[keep]


def measured(results: Any, arm: Mapping[str, Any], measure: str) -> pd.Series:
    """The measure of one arm's runs: seed -> value. ``arm``: fields of runs with the values that
    pick one condition. ValueError: they pick none or several, or there is no such measure."""
    if missing := set(arm) - set(results.runs):
        raise ValueError(f"{arm}: the runs have no column {', '.join(sorted(missing))}")
    runs = select(results.runs, arm)
    if runs.empty:
        raise ValueError(f"{arm}: no such runs")
    if runs["seed"].duplicated().any():
        recipes = runs["recipe"].nunique()
        raise ValueError(f"{arm}: ambiguous, {len(runs)} runs of {recipes} recipes")

    def of_curve(function: Callable) -> Callable:
        return lambda column, *rest: function(_curve(runs, results.curves, column.name), *rest)

    names = dict(runs.set_index("seed").items())
    names |= {name: of_curve(function) for name, function in OF_CURVES.items()}
    try:
        for name in set(compile(measure, "a measure", "eval").co_names) - set(names):
            if name not in set(results.curves.get("metric", ())):
                known = f"no column of runs, no curve and none of {', '.join(OF_CURVES)}"
                raise ValueError(f"{name} is {known}")
            names[name] = pd.Series(name=name, dtype=float)  # a curve alone
        return _evaluate(measure, names).astype(float)
    except Exception as error:
        raise ValueError(f"no measure {measure!r} of {arm}: {error}") from None


def _curve(runs: pd.DataFrame, curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric's curve of one condition's runs, seeds × epochs."""
    one = {"recipe": runs["recipe"].iloc[0], "name": runs["name"].iloc[0], "metric": metric}
    rows = curves[np.all([curves[field] == value for field, value in one.items()], axis=0)]
    if rows.empty:
        raise ValueError(f"there is no curve of {metric}")
    return rows.pivot_table(index="seed", columns="epoch", values="value", dropna=False)
