"""The ledger: what the five reports printed, as data, and the rules that set our runs beside it.

``published.yaml`` has a row per printed number. This module reads it, takes the ``runs`` frame and
says of each number whether one new run of ours could plausibly have given it.
"""

import difflib
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from scipy import stats

# An interval that reaches farther to either side than this cannot confirm a number.
TOLERANCE = {"fraction": 0.02, "percent": 2.0, "points": 2.0}  # accuracies, absolute
RELATIVE_TOLERANCE = {"loss": 0.15, "epochs": 0.5, "rate": 0.5, "count": 0.5}  # of the number
DIGITS = {"fraction": 4, "loss": 4, "rate": 4, "percent": 2, "points": 2, "epochs": 1, "count": 1}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Text = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Settings = dict[str, Annotated[str | int | float | tuple[int, ...], BeforeValidator(_plain)]]


class Published(BaseModel):
    """One printed number: where it stands, how exactly it is printed, and which runs answer it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    id: Text
    report: Literal["K", "P", "D", "M", "I"]
    section: Text
    quantity: Text
    condition: Text
    value: Annotated[Number | tuple[Number, ...], BeforeValidator(_plain)]  # several: facts only
    rounding: Annotated[Number, Field(gt=0)]  # one unit of the last printed digit
    about: bool = False  # given as approximate, or as a range: value in its middle, rounding wide
    bound: Literal["lower", "upper"] | None = None  # exact: the quantity lies above it, below it
    unit: Literal["fraction", "percent", "loss", "epochs", "points", "rate", "count"]
    metric: Text  # a column of runs; derived: the notebook computes it; fact: needs no runs
    where: Settings  # recipe fields that pick the runs out of the frame the notebook hands over
    protocol: Settings  # recipe field -> what the report used, or ">= 38" for at least 38
    notebook: Annotated[str, Field(pattern=r"^\d\d_[a-z_]+$")]
    note: str = ""

    @property
    def printed(self) -> str:
        """The number as the report has it: "0.0990", "≈ 92", "> 0.9", "256, 64, 28"."""
        digits = len(f"{self.rounding:.10f}".rstrip("0").partition(".")[2])
        texts = [max(f"{v:.10g}", f"{v:.{digits}f}", key=len) for v in np.atleast_1d(self.value)]
        sign = {"lower": "> ", "upper": "< ", None: "≈ " if self.about else ""}[self.bound]
        return sign + ", ".join(texts)


def load(path: Path) -> dict[str, Published]:
    """Read a YAML list of rows: id -> row, in file order. A bad row is a one-line ValueError."""
    rows: dict[str, Published] = {}
    for number, fields in enumerate(yaml.safe_load(path.read_text("utf-8")), start=1):
        place = f"{path.name}, row {number}"
        try:
            row = Published.model_validate(fields)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            name = (*problem["loc"], "row")[0]
            value = "" if problem["type"] == "missing" else f" = {problem['input']!r}"
            raise ValueError(f"{place}: {name}{value}: {problem['msg']}") from None
        if row.id in rows:
            raise ValueError(f"{place}: the id {row.id} stands in the file twice")
        rows[row.id] = row
    return rows


@functools.cache
def published() -> dict[str, Published]:
    """Every published number, id -> row, in the ledger's order."""
    return load(Path(__file__).with_name("published.yaml"))


def select(pattern: str | Sequence[str]) -> list[Published]:
    """The row with this id, or else all rows whose id goes on after it with "-" or ".".

    "K-T3.1" gives K-T3.1-0.0219 but never K-T3.10. A list or tuple gives each pattern's rows in
    turn, no row twice. ValueError, with the nearest names, when a pattern fits nothing.
    """
    if not isinstance(pattern, str):
        return list({row.id: row for part in pattern for row in select(part)}.values())
    rows = published()
    if pattern in rows:
        return [rows[pattern]]
    found = [row for name, row in rows.items() if name.startswith((f"{pattern}-", f"{pattern}."))]
    if not found:
        names = {*rows, *(name[:i] for name in rows for i, c in enumerate(name) if c in "-.")}
        close = ", ".join(difflib.get_close_matches(pattern, sorted(names))) or "none"
        raise ValueError(f"no published number {pattern!r}; close: {close}")
    return found


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of n independent values and its confidence interval, in their unit: (mean, low, high).

    Student's mean ± t·s/√n with n − 1 degrees of freedom. One value: nan bounds; none: ValueError.
    """
    sample = np.asarray(values, dtype=float)
    if not sample.size:
        raise ValueError("no values: an interval needs at least one")
    if sample.size == 1:
        return sample.item(), np.nan, np.nan
    t = stats.t.ppf((1 + level) / 2, sample.size - 1)
    mean, half = sample.mean(), t * sample.std(ddof=1) / np.sqrt(sample.size)
    return float(mean), float(mean - half), float(mean + half)


def prediction_interval(
    values: Sequence[float], rounding: float = 0, extra_sd: float = 0.0, level: float = 0.95
) -> tuple[float, float]:
    """Where one further value, printed in units of ``rounding``, is expected: (low, high).

    mean ± (t·√(s² + extra_sd²)·√(1 + 1/n) + rounding/2): one new observation from the normal
    population that gave the n values (Hahn & Meeker, Statistical Intervals). ``extra_sd``: spread
    that the published run had and our values lack, such as another draw of the validation images;
    where our seeds draw the split, s holds it already. One value: (nan, nan); none: ValueError.
    """
    n, (mean, _, top) = np.size(values), interval(values, level)
    extra = extra_sd * stats.t.ppf((1 + level) / 2, n - 1) / np.sqrt(n) if n > 1 else 0
    half = np.hypot(top - mean, extra) * np.sqrt(n + 1) + rounding / 2
    return float(mean - half), float(mean + half)


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
        runs = runs.loc[[_plain(ours) == value for ours in runs[field]]]
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
        ours, least = dict.fromkeys(map(_plain, column)), str(theirs).partition(">=")[2]
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
