"""Readings: published numbers beside ours, for each defensible choice of what a source leaves
open. Could one new run of ours have given the number?"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .claims import shown
from .measures import plain, select
from .numbers import Published
from .numbers import select as numbers_of
from .statistics import (
    conformal_p,
    distance,
    equivalence_p,
    half_width_of_new_run,
    interval,
    p_of_distance,
    seeds_needed,
)
from .verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, SAYS_LITTLE, UNDECIDED

NOTHING = "nothing"  # is assumed
# A new run's interval that reaches farther to either side than this can confirm no number.
TOLERANCE = {"fraction": 0.02, "percent": 2.0, "points": 2.0}  # accuracies, absolute
RELATIVE_TOLERANCE = {"loss": 0.15, "epochs": 0.5, "count": 0.5}  # of the number
RATE_TOLERANCE = np.log10(2)  # a learning rate: a factor of two
DIGITS = {"fraction": 4, "loss": 4, "rate": 4, "percent": 2, "points": 2, "epochs": 1, "count": 1}
READ_AS = {
    "train_accuracy": "accuracy evaluated after training",
    "restored_train_accuracy": "accuracy evaluated at the best epoch",
    "restored_test_accuracy": "test accuracy at the best epoch",
}
SHOWN = ["id", "condition", "quantity", "published", "measured", "n", "SD", "distance", "verdict",
         "assumed"]  # fmt: skip


def readings(runs: pd.DataFrame, *patterns: str | Sequence[str]) -> pd.DataFrame:
    """Every reading of published numbers, a row each: ``measured``, the mean ± half the 95 %
    confidence interval (of a learning rate: geometric mean and factor); ``SD`` over ``n`` seeds;
    ``distance``, (published − mean) / (SD · √(1 + 1/n)) to the nearest value that would be printed
    so; the reading's own ``verdict``; ``assumed``, what the source does not say.

    Further columns hold what tables leave out: ``p`` of the distance, ``new_run``, the 95 %
    prediction interval, ``equivalent`` (mean within the tolerance of the published value, TOST) and
    ``as_extreme``, the share of seeds at least as far from our mean as the published value.
    """
    rows = [row for row in numbers_of(patterns) if not row.fact]
    if not rows:
        raise ValueError(f"{patterns}: only facts")
    spread = _family_spread(rows, runs)
    lines = [line for row in rows for line in _readings(row, runs, spread.get(row.family, 0.0))]
    frame = pd.DataFrame(lines)
    frame.attrs |= {"rows": "readings", "shown": SHOWN}
    return frame


def _family_spread(rows: list[Published], runs: pd.DataFrame) -> dict[str, float]:
    """Family -> the pooled seed SD of its numbers' first readings, in their unit."""
    pooled: dict[str, list[float]] = {}
    for row in rows:
        if row.family:
            sample = _in_unit(row, next(iter(_groups(row, runs)))[2])
            pooled.setdefault(row.family, []).append(np.var(sample, ddof=1))
    return {family: float(np.sqrt(np.mean(variances))) for family, variances in pooled.items()}


def _groups(row: Published, runs: pd.DataFrame) -> Iterator[tuple]:
    """The readings of a number: (metric, runs of one recipe, their values), in the runs' order."""
    needed = {*row.where, *row.protocol, *row.open, *row.metric, "train_images", "recipe", "seed"}
    if missing := needed - {"train_size"} - set(runs):
        raise ValueError(f"{row.id}: the runs have no column {', '.join(sorted(missing))}")
    chosen = select(runs, row.where)
    if chosen.empty:
        raise ValueError(f"{row.id}: no runs where {row.where}")
    fields = [*row.open, *([row.each] if row.each else [])]
    told_apart = [tuple(map(plain, values)) for values in chosen[fields].itertuples(index=False)]
    for metric in row.metric:
        for _, part in (
            chosen.groupby(pd.Index(told_apart), sort=False) if fields else [("", chosen)]
        ):
            if part["seed"].duplicated().any():
                raise ValueError(
                    f"{row.id}: ambiguous, {len(part)} runs of {part['recipe'].nunique()} recipes"
                )
            yield metric, part, part[metric].to_numpy(float)


def _in_unit(row: Published, values: np.ndarray) -> np.ndarray:
    values = values * 100 if row.unit in {"percent", "points"} else values
    return np.log10(values) if row.unit == "rate" else values


def _readings(row: Published, runs: pd.DataFrame, least_sd: float) -> list[dict[str, Any]]:
    lines = []
    for number, (metric, part, values) in enumerate(_groups(row, runs)):
        line = dict(id=row.id, report=row.report, condition=row.condition, quantity=row.quantity)
        line |= {"published": row.printed, **_judged(row, part, _in_unit(row, values), least_sd)}
        deviations = _deviations(row, part)
        if deviations:
            line["verdict"] = NOT_RUN
        line["assumed"] = _assumed(row, part, metric, first=number == 0)
        line["protocol"] = deviations or "as published"
        line["member"] = plain(part[row.each].iloc[0]) if row.each else ""
        lines.append(line)
    return lines


def _judged(row: Published, part: pd.DataFrame, sample: np.ndarray, least_sd: float) -> dict:
    """What the runs of one reading say of the number."""
    n, (low, high) = len(sample), row.range
    if row.unit == "rate":
        low, high = np.log10([low, high])
    ends = part[row.ends].to_numpy(float) if row.ends else np.full(n, np.inf)
    censored = ~np.isfinite(sample) | (sample >= ends)
    if censored.any():
        return _judged_by_rank(row, sample, censored, ends)
    mean, _, top = interval(sample)
    sd = max(float(np.std(sample, ddof=1)) if n > 1 else np.nan, least_sd)
    if row.unit in {"epochs", "count"}:
        sd = np.hypot(sd, np.sqrt(1 / 12))  # whole numbers: a spread of none is not none
    if row.unit == "rate":  # nor is it of rates picked from a few
        sd = np.hypot(sd, RATE_TOLERANCE / np.sqrt(12))
    away, half = distance((low, high), mean, sd, n), half_width_of_new_run(sd, n)
    tolerance, p = _tolerance(row), p_of_distance(away, n)
    center = np.clip(mean, low, high)
    surely = low <= mean - half and mean + half <= high
    return {
        "measured": _shown_mean(row, mean, top - mean),
        "n": n,
        "SD": f"{sd:.{DIGITS[row.unit]}f}" if n > 1 else "–",
        "distance": f"{round(away, 1) + 0:+.1f}" if n > 1 else "–",
        "verdict": REPRODUCED if surely else _verdict(p, half, tolerance, sd),
        "p": p,
        "away": away,
        "new_run": (mean - half, mean + half),
        "equivalent": equivalence_p(sample - center, tolerance) < 0.05,
        "as_extreme": float(np.mean(np.abs(sample - mean) >= abs(center - mean))),
        "mean": mean,
        "seeds needed": seeds_needed(sd, tolerance) if n > 1 else None,
    }


def _verdict(p: float, half: float, tolerance: float, sd: float) -> str:
    if p < 0.05:
        return NOT_REPRODUCED
    if half <= tolerance:
        return REPRODUCED
    return UNDECIDED if np.isnan(half) or seeds_needed(sd, tolerance) else SAYS_LITTLE


def _judged_by_rank(row: Published, sample: np.ndarray, censored: np.ndarray, ends) -> dict:
    """For values of which some are only known to lie beyond where a run ended."""
    p = conformal_p(row.range, np.where(censored, np.inf, sample))
    every = row.bound == "lower" and np.min(np.where(censored, ends, sample)) >= row.value
    known = sample[~censored]
    texts = [f"{np.median(known):.{DIGITS[row.unit]}f}"] if known.size else []
    what = f"at the end, {ends.max():g}" if row.ends else "undefined"
    texts.append(f"{censored.sum()} of {len(sample)} {what}")
    return {
        "measured": ", ".join(texts),
        "n": len(sample),
        "SD": "–",
        "distance": "–",
        "verdict": REPRODUCED if every else NOT_REPRODUCED if p < 0.05 else UNDECIDED,
        "p": p,
        "away": np.nan,
        "new_run": (np.nan, np.nan),
        "equivalent": False,
        "as_extreme": np.nan,
        "mean": np.nan,
        "seeds needed": None,
    }


def _tolerance(row: Published) -> float:
    if row.unit == "rate":
        return RATE_TOLERANCE
    least = TOLERANCE.get(row.unit) or RELATIVE_TOLERANCE[row.unit] * abs(row.value)
    return max(least, 0 if row.bound else row.rounding)


def _shown_mean(row: Published, mean: float, half: float) -> str:
    digits = DIGITS[row.unit]
    if row.unit == "rate":
        return f"{10**mean:.{digits}f} ×÷ {10**half:.1f}"
    return f"{mean:.{digits}f}" + (f" ± {half:.{digits}f}" if half == half else "")


def _deviations(row: Published, runs: pd.DataFrame) -> str:
    """What the runs did otherwise than the report, or an empty string."""
    texts = []
    for field, theirs in row.protocol.items():
        column = runs["train_images" if field == "train_size" else field]
        ours, least = dict.fromkeys(map(plain, column)), str(theirs).partition(">=")[2]
        if not all(value >= float(least) if least else value == theirs for value in ours):
            texts.append(f"{field} {', '.join(map(str, ours))} (published {theirs})")
    return "; ".join(texts)


def _assumed(row: Published, part: pd.DataFrame, metric: str, first: bool) -> str:
    """What this reading takes for granted: the open fields with their values here."""
    texts = [READ_AS.get(metric, metric.replace("_", " "))] if len(row.metric) > 1 else []
    for field in row.open:
        value = plain(part[field].iloc[0])
        because = " (chosen because it fits)" if first and field in row.fitted else ""
        texts.append(f"{field.replace('_', ' ')} {shown(value)}{because}")
    return ", ".join(texts) or NOTHING
