"""Published numbers beside ours: could one new run of ours have given the number? In each reading,
which is a defensible choice of what a source leaves open, and of all together."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from . import statistics, verdicts
from .claims import shown
from .measures import hashable, select
from .numbers import Published
from .numbers import select as numbers_of

NOTHING = "nothing"  # is assumed
UNITS = {
    "fraction": (4, 1, 0.02, 0.0), "percent": (2, 100, 2.0, 0.0), "points": (2, 100, 2.0, 0.0),
    "loss": (4, 1, 0.0, 0.15), "epochs": (1, 1, 0.0, 0.5), "count": (1, 1, 0.0, 0.5),
    "rate": (4, 1, np.log10(2), 0.0),  # a factor of two
}  # fmt: skip
"""Unit of a number: decimals, what our value is multiplied by, and the tolerance, as such or as a
share: a new run's interval that reaches farther to either side can confirm no number."""
READ_AS = {
    "train_accuracy": "accuracy evaluated after training",
    "restored_train_accuracy": "accuracy evaluated at the best epoch",
    "restored_test_accuracy": "test accuracy at the best epoch",
}
SHOWN = ["id", "condition", "quantity", "published", "measured", "n", "SD", "distance", "verdict",
         "assumed"]  # fmt: skip


def table(runs: pd.DataFrame, *patterns: str | Sequence[str]) -> pd.DataFrame:
    """Published numbers beside ours, a row each: that of the reading that answers it (columns and
    errors as in :func:`readings`), with the verdict that follows from all."""
    found = readings(runs, *patterns)
    frame = pd.DataFrame([_answer(lines) for _, lines in found.groupby("id", sort=False)])
    frame.attrs |= {"rows": "numbers", "shown": [*SHOWN, "readings"]}
    return frame


def _answer(lines: pd.DataFrame) -> dict[str, Any]:
    """A number's row, of all its readings; one that is said of several members needs all of them.
    Where all readings fail, the nearest stands in the row."""
    rank = lines["verdict"].map(verdicts.BEST_FIRST)
    worst = lines.loc[rank.groupby(lines["assumed"], sort=False).idxmax()]
    is_open = worst["assumed"].iloc[0] != NOTHING
    place, verdict = verdicts.any_holds(list(worst["verdict"]), is_open)
    chosen, p = worst.iloc[place], worst["p"].iloc[place]
    if verdict in {verdicts.NOT_REPRODUCED, verdicts.NO_READING}:
        away = worst["away"].abs().where(worst["verdict"] == verdicts.NOT_REPRODUCED)
        chosen, p = worst.loc[away.idxmin()] if away.any() else chosen, worst["p"].max()
    return chosen.to_dict() | {"verdict": verdict, "p": p, "readings": len(worst)}


def readings(runs: pd.DataFrame, *patterns: str | Sequence[str]) -> pd.DataFrame:
    """Every reading of the published numbers that ``patterns`` select, but for facts, a row each.

    ``runs``: a row per recipe × seed with the recipe's fields, ``seed``, ``train_images`` and
    metrics (accuracies as fractions). ValueError: no such runs, or several that no open field tells
    apart.

    ``measured``: mean ± half the 95 % confidence interval (of a learning rate: geometric mean and
    factor). ``SD`` over ``n`` seeds. ``distance``: (published − mean) / (SD · √(1 + 1/n)) to the
    nearest value that would be printed so, and its ``p``. ``assumed``: what the source does not
    say. ``new_run``: the 95 % prediction interval. ``equivalent``: mean within the tolerance of the
    published value (TOST). ``as_extreme``: share of seeds at least as far from our mean as it.
    """
    rows = [row for row in numbers_of(patterns) if not row.fact]
    frame = pd.DataFrame([line for row in rows for line in _readings(row, runs)])
    frame.attrs |= {"rows": "readings", "shown": SHOWN}
    return frame


def _readings(row: Published, runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The readings of a number, in the runs' order: one for each metric and each choice of what is
    open; of a number that is said of several members, one for each of these too."""
    apart = [*row.open, *filter(None, [row.each])]
    chosen = select(runs, row.where)
    choices = [tuple(map(hashable, values)) for _, *values in chosen[apart].itertuples()]
    parts = [chosen[[one == other for other in choices]] for one in dict.fromkeys(choices)]
    for number, (metric, part) in enumerate(product(row.metric, parts)):
        if part["seed"].duplicated().any():
            raise ValueError(f"{row.id}: ambiguous, several runs of one seed")
        line = {"id": row.id, "report": row.report, "condition": row.condition}
        line |= {"quantity": row.quantity, "published": row.printed, **_judged(row, part, metric)}
        if deviation := deviations(row.protocol, part):
            line["verdict"] = verdicts.NOT_RUN
        line["assumed"] = _assumed(row, part, metric, is_first=number == 0)
        line["protocol"] = deviation or "as published"
        yield line | {"member": hashable(part[row.each].iloc[0]) if row.each else ""}


def _judged(row: Published, part: pd.DataFrame, metric: str) -> dict[str, Any]:
    """What the runs of one reading say of the number."""
    digits, scale, tolerance, share = UNITS[row.unit]
    tolerance = max(tolerance + share * abs(row.value), 0 if row.bound else row.rounding)
    sample, published, n = part[metric].to_numpy(float) * scale, row.range, len(part)
    if row.unit == "rate":
        sample, published = np.log10(sample), np.log10(published)
    ends = part[row.ends].to_numpy(float) if row.ends else np.full(n, np.inf)
    if not np.isfinite(sample).all() or (sample >= ends).any():
        return _judged_by_rank(row, sample, ends)
    (mean, _, top), sd = statistics.interval(sample), pd.Series(sample).std()
    sd = max(sd, part[row.least_sd].iloc[0]) if row.least_sd else sd
    measured = f"{mean:.{digits}f}" + (f" ± {top - mean:.{digits}f}" if n > 1 else "")
    if row.unit in {"epochs", "count"}:
        sd = np.hypot(sd, np.sqrt(1 / 12))  # whole numbers: a spread of none is not none
    if row.unit == "rate":  # nor is it of rates picked from a few
        sd = np.hypot(sd, tolerance / np.sqrt(12))
        measured = f"{10**mean:.{digits}f} ×÷ {10 ** (top - mean):.1f}"
    away, p = statistics.distance_of_new_run(published, mean, sd, n)
    half = statistics.half_width(sd, n)
    needed = statistics.seeds_needed(sd, tolerance)
    center = np.clip(mean, *published)
    surely = published[0] <= mean - half and mean + half <= published[1]
    verdict = verdicts.decided(p >= 0.05 and (surely or half <= tolerance), p < 0.05)
    if verdict == verdicts.UNDECIDED and n > 1 and not needed:
        verdict = verdicts.SAYS_LITTLE
    return {
        "measured": measured, "n": n, "SD": f"{sd:.{digits}f}" if n > 1 else "–",
        "distance": f"{round(away, 1) + 0:+.1f}" if n > 1 else "–",
        "verdict": verdict, "p": p, "away": away, "new_run": (mean - half, mean + half),
        "equivalent": statistics.p_value(sample, center, tolerance) < 0.05,
        "as_extreme": float(np.mean(np.abs(sample - mean) >= abs(center - mean))),
        "mean": mean, "seeds needed": needed,
    }  # fmt: skip


def _judged_by_rank(row: Published, sample: np.ndarray, ends: np.ndarray) -> dict[str, Any]:
    """For values of which some are only known to lie beyond where a run ended."""
    censored = ~np.isfinite(sample) | (sample >= ends)
    p = statistics.conformal_p(row.range, np.where(censored, np.inf, sample))
    every = row.bound == "lower" and np.min(np.where(censored, ends, sample)) >= row.value
    known = f"{np.median(sample[~censored]):.{UNITS[row.unit][0]}f}, " if not censored.all() else ""
    what = f"at the end, {ends.max():g}" if row.ends else "undefined"
    return {
        "measured": f"{known}{censored.sum()} of {len(sample)} {what}", "n": len(sample),
        "SD": "–", "distance": "–", "verdict": verdicts.decided(every, p < 0.05), "p": p,
        "away": np.nan, "new_run": (np.nan, np.nan), "equivalent": False, "as_extreme": np.nan,
        "mean": np.nan, "seeds needed": None,
    }  # fmt: skip


def deviations(protocol: Mapping[str, Any], runs: pd.DataFrame) -> str:
    """What the runs did otherwise than the source, or an empty string."""
    texts = []
    for field, theirs in protocol.items():
        column = runs["train_images" if field == "train_size" else field]
        ours, least = dict.fromkeys(map(hashable, column)), str(theirs).partition(">=")[2]
        if not all(value >= float(least) if least else value == theirs for value in ours):
            texts.append(f"{field} {', '.join(map(str, ours))} (published {theirs})")
    return "; ".join(texts)


def _assumed(row: Published, part: pd.DataFrame, metric: str, is_first: bool) -> str:
    """What this reading takes for granted: the open fields with their values here."""
    texts = [READ_AS.get(metric, metric.replace("_", " "))] if len(row.metric) > 1 else []
    for field in row.open:
        because = " (chosen because it fits)" if is_first and field in row.fitted else ""
        texts.append(f"{field.replace('_', ' ')} {shown(hashable(part[field].iloc[0]))}{because}")
    return ", ".join(texts) or NOTHING


def facts(measured: Mapping[str, float | Sequence[float]]) -> pd.DataFrame:
    """Numbers that need no statistics, such as shapes and parameter counts, beside ours: id of a
    fact -> our number or numbers. Reproduced are those that agree to half a printed unit."""
    lines = []
    for row, value in zip(numbers_of(list(measured)), measured.values(), strict=True):
        theirs, ours = np.atleast_1d(row.value), np.atleast_1d(value)
        close = theirs.shape == ours.shape and all(abs(theirs - ours) <= row.rounding / 2)
        line = dict(id=row.id, report=row.report, condition=row.condition, published=row.printed)
        line["ours"] = ", ".join(f"{number:.10g}" for number in ours)
        lines.append(line | {"verdict": verdicts.decided(close, not close)})
    frame = pd.DataFrame(lines)
    frame.attrs |= {"rows": "facts", "shown": ["id", "condition", "published", "ours", "verdict"]}
    return frame
