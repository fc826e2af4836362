"""Published numbers beside ours: could one new run of ours plausibly have given each?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .numbers import Published, plain, select
from .statistics import interval, prediction_interval

# An interval that reaches farther to either side than this cannot confirm a number.
TOLERANCE = {"fraction": 0.02, "percent": 2.0, "points": 2.0}  # accuracies, absolute
RELATIVE_TOLERANCE = {"loss": 0.15, "epochs": 0.5, "rate": 0.5, "count": 0.5}  # of the number
DIGITS = {"fraction": 4, "loss": 4, "rate": 4, "percent": 2, "points": 2, "epochs": 1, "count": 1}


def _judge(row: Published, low: float, high: float) -> str:
    """Could one new run, expected from low to high, have given the published value?"""
    tolerance = TOLERANCE.get(row.unit) or RELATIVE_TOLERANCE[row.unit] * abs(row.value)
    least = -np.inf if row.bound == "upper" else row.value
    most = np.inf if row.bound == "lower" else row.value
    if high < least or low > most:  # a wide interval, too, may rule the value out
        return "not plausible"
    narrow = (high - low) / 2 <= max(tolerance, 0 if row.bound else row.rounding)
    return "plausible" if narrow or least <= low <= high <= most else "too wide to tell"


def _answering(row: Published, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that answer a published number: of one recipe, unless the number is derived."""
    needed = {*row.where, *row.protocol, row.metric, "train_images", "recipe", "seed"}
    if missing := needed - {"train_size", "derived"} - set(runs):
        raise ValueError(f"{row.id}: the runs have no column {', '.join(sorted(missing))}")
    for field, value in row.where.items():
        runs = runs.loc[[plain(ours) == value for ours in runs[field]]]
    if runs.empty:
        raise ValueError(f"{row.id}: no runs where {row.where}")
    recipes = runs["recipe"].nunique()
    if row.metric != "derived" and (recipes > 1 or runs["seed"].duplicated().any()):
        raise ValueError(f"{row.id}: ambiguous, {len(runs)} runs of {recipes} recipes: {row.where}")
    return runs


def _deviations(row: Published, runs: pd.DataFrame) -> str:
    """What the runs did otherwise than the report, or an empty string."""
    texts = []
    for field, theirs in row.protocol.items():
        column = runs["train_images" if field == "train_size" else field]
        ours, least = dict.fromkeys(map(plain, column)), str(theirs).partition(">=")[2]
        if not all(value >= float(least) if least else value == theirs for value in ours):
            texts.append(f"{field} {', '.join(map(str, ours))} (published {theirs})")
    return "; ".join(texts)


def _compare(row: Published, runs: pd.DataFrame, values: Mapping[str, Any]) -> dict[str, Any]:
    ours = values[row.id] if row.metric == "derived" else runs[row.metric]
    ours = np.array([*ours.values()] if isinstance(ours, Mapping) else ours, dtype=float)
    ours *= 100 if row.unit == "percent" and row.metric != "derived" else 1
    digits, measured, new_run = DIGITS[row.unit], "–", "–"
    if undefined := np.count_nonzero(~np.isfinite(ours)):  # diverged, or a level never reached
        verdict = f"undefined in {undefined} of {len(ours)} runs"
    elif len(ours) == 1:
        measured, verdict = f"{ours[0]:.{digits}f}", "one seed, no interval"
    else:
        rounding = 0 if row.bound else row.rounding
        if row.unit == "rate":  # positive, and searched on a log scale: so are its intervals
            mean, _, top = 10 ** np.array(interval(np.log10(ours)))
            low, high = 10 ** np.array(prediction_interval(np.log10(ours)))
            low, high = low - rounding / 2, high + rounding / 2
            measured = f"{mean:.{digits}f} ×÷ {top / mean:.1f}"
        else:
            mean, _, top = interval(ours)
            low, high = prediction_interval(ours, rounding)
            measured = f"{mean:.{digits}f} ± {top - mean:.{digits}f}"
        new_run, verdict = f"{low:.{digits}f} to {high:.{digits}f}", _judge(row, low, high)
    line = dict(id=row.id, condition=row.condition, quantity=row.quantity, published=row.printed)
    line |= {"measured": measured, "n": len(ours), "one new run": new_run}
    deviations = _deviations(row, runs)
    verdict = "not tested at full protocol" if deviations else verdict
    return line | {"verdict": verdict, "protocol": deviations or "as published"}


def table(
    runs: pd.DataFrame, *patterns: str | Sequence[str], values: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Published numbers beside ours, a row each; :func:`select` tells what a pattern may be.

    ``runs``: a row per recipe × seed with the recipe's fields, ``recipe`` (a hash), ``seed``,
    ``train_images`` and metrics (accuracies as fractions). ``values``: for each derived number, one
    value per seed (or seed -> value) in the number's unit. Facts are left out: see :func:`facts`.

    measured: mean ± half the 95 % confidence interval (of a learning rate: geometric mean, and the
    factor that bounds its interval). one new run: the 95 % prediction interval.
    verdict: could a new run have given the published number? "too wide to tell" where the interval
    holds it but exceeds the tolerance; always "not tested at full protocol" where the runs left the
    published one. ValueError: no runs, several recipes, a seed twice, a missing column, or
    ``values`` that are not those of the derived numbers.
    """
    rows = [row for row in select(patterns) if row.metric != "fact"]
    derived, values = [row.id for row in rows if row.metric == "derived"], values or {}
    if not rows or set(derived) != set(values):
        raise ValueError(f"{patterns}: {len(rows)} numbers; values for {derived}, not {[*values]}")
    return pd.DataFrame([_compare(row, _answering(row, runs), values) for row in rows])


def facts(measured: Mapping[str, float | Sequence[float]]) -> pd.DataFrame:
    """Numbers that need no statistics, such as shapes and parameter counts, beside ours.

    ``measured``: id of a fact -> our number or numbers. verdict: "agrees" if all of them are the
    published ones to half a printed unit. ValueError: an id that is unknown or not a fact's.
    """
    lines = []
    for row, value in zip(select(list(measured)), measured.values(), strict=True):
        if row.id not in measured or row.metric != "fact":
            raise ValueError(f"{row.id} is not the id of a fact: table() takes measured numbers")
        theirs, ours = np.atleast_1d(row.value), np.atleast_1d(value)
        close = theirs.shape == ours.shape and all(abs(theirs - ours) <= row.rounding / 2)
        line = dict(id=row.id, condition=row.condition, published=row.printed)
        line["ours"] = ", ".join(f"{number:.10g}" for number in ours)
        lines.append(line | {"verdict": "agrees" if close else "does not agree"})
    return pd.DataFrame(lines)
