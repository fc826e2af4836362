"""Published numbers beside ours: could one more run of ours have given all the numbers that a
printed run gave? A reading is one choice of what a source leaves open; it fits if all of them lie
where one more run of ours falls in 95 of 100 cases."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from . import statistics
from .claims import shown
from .measures import hashable, select
from .numbers import Published, distinct
from .numbers import select as numbers_of
from .outcomes import CHOSEN, NOT_AS_PUBLISHED, NOT_REPRODUCED, OPEN, OTHER_READING, REPRODUCED

NOTHING = "nothing"  # is assumed
UNITS = {
    "fraction": (4, 1, 0.02, 0.0), "percent": (2, 100, 2.0, 0.0), "points": (2, 100, 2.0, 0.0),
    "loss": (4, 1, 0.0, 0.15), "epochs": (1, 1, 0.0, 0.25), "count": (1, 1, 0.0, 0.25),
    "rate": (4, 1, np.log10(2), 0.0),  # a factor of two
}  # fmt: skip
"""Unit of a number: decimals, what our value is multiplied by, and the tolerance, as such or as a
share: seeds that differ by more can confirm no number."""
READ_AS = {
    "train_accuracy": "accuracy evaluated after training",
    "restored_train_accuracy": "accuracy evaluated at the best epoch",
    "restored_test_accuracy": "test accuracy at the best epoch",
}
SHOWN = ["id", "condition", "quantity", "published", "measured", "n", "SD", "distance"]


def table(runs: pd.DataFrame, *patterns: str | Sequence[str]) -> pd.DataFrame:
    """Published numbers beside ours, a row each, under the reading of their run that answers:
    the first one if it fits, or else the nearest, if possible one that was not found by looking.
    Columns and errors as in :func:`readings`, and:

    ``outcome``: reproduced (under another reading, also where the first one was chosen because it
    fits); not reproduced if the number fits no reading and that survives the adjustment for all
    numbers of its source; or else open, for the ``reason`` given. ``readings``: how many there are.
    """
    found = readings(runs, *patterns)
    rows = [row for _, lines in found.groupby("run", sort=False) for row in _answers(lines)]
    frame = pd.DataFrame(rows)
    frame.attrs |= {"rows": "numbers", "shown": [*SHOWN, "outcome", "reason", "assumed"]}
    return frame


def _answers(lines: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of one printed run's numbers, under the reading that answers for all of them."""
    usable = lines[lines["deviation"] == ""]
    joint = (lines if usable.empty else usable).groupby("reading")["joint p"].first()
    fits = joint[joint >= 0.05]
    chosen = joint.index[0]
    if chosen not in fits.index and joint.notna().any():
        added = lines.groupby("reading")["added"].first()
        tried = [some[~added[some.index]] for some in (fits, joint)]
        chosen = next(some for some in (tried[0], fits, tried[1], joint) if len(some)).idxmax()
    for _, of_number in lines.groupby("id", sort=False):
        as_published = of_number[of_number["deviation"] == ""]
        alone = as_published.groupby("reading")["shared p"].min().max()
        of_members = of_number[of_number["reading"] == chosen]
        row = of_members.loc[of_members["shared p"].fillna(1).idxmin()]
        outcome, reason = _outcome(row, alone, fits=chosen in fits.index)
        yield row.to_dict() | {
            "outcome": outcome, "reason": reason, "p": alone,
            "readings": of_number["reading"].nunique(),
        }  # fmt: skip


def _outcome(row: pd.Series, alone: float, fits: bool) -> tuple[str, str]:
    """A number's outcome and reason. ``alone``: its p under the reading that is kindest to it."""
    if row["deviation"]:
        return OPEN, f"{NOT_AS_PUBLISHED}: {row['deviation']}"
    if (fits and row["open because"]) or np.isnan(alone):
        return OPEN, row["open because"]
    if fits:
        return OTHER_READING if row["reading"] or row["added"] else REPRODUCED, ""
    if alone >= 0.05:
        return OPEN, "it fits alone, but no reading gives all numbers of its run"
    if alone * len(distinct(row["report"])) >= 0.05:
        return OPEN, "borderline: one of so many numbers may lie as far off by chance"
    return NOT_REPRODUCED, ""


def readings(runs: pd.DataFrame, *patterns: str | Sequence[str]) -> pd.DataFrame:
    """Every reading of the published numbers that ``patterns`` select, but for facts, a row each.

    ``runs``: a row per recipe × seed with the recipe's fields, ``seed``, ``train_images`` and
    metrics (accuracies as fractions). ValueError: no such runs, or several that no open field tells
    apart.

    ``measured``: mean ± half the 95 % confidence interval (of a learning rate: geometric mean and
    factor). ``SD`` over ``n`` seeds. ``distance``: (published − mean) / (SD · √(1 + 1/n)) to the
    nearest value that would be printed so; ``shared p``: its p times how many numbers the run
    gave; ``joint p``: the lowest of them. ``assumed``: what the source does not say. ``limit``: the
    distance at which a new run ends. ``new_run``: that 95 % prediction interval.
    """
    rows = [row for row in numbers_of(patterns) if not row.fact]
    printed: dict[str, list[Published]] = {}
    for row in rows:
        printed.setdefault(row.run or row.id, []).append(row)
    lines = [line for run, some in printed.items() for line in _readings(run, some, runs)]
    frame = pd.DataFrame(lines)
    frame.attrs |= {"rows": "readings", "shown": [*SHOWN, "fits", "assumed"]}
    return frame


def _readings(run: str, rows: list[Published], runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The readings of a printed run, in the runs' order: one for each choice of what is open, and
    of the metrics that its numbers may mean. A number that is said of several members is so many
    numbers; one that the run gave twice counts once."""
    opened = list(dict.fromkeys(field for row in rows for field in row.open))
    chosen = select(runs, rows[0].where)
    choices = [tuple(map(hashable, values)) for _, *values in chosen[opened].itertuples()]
    parts = [chosen[[one == other for other in choices]] for one in dict.fromkeys(choices)]
    metrics = list(product(*(row.metric for row in rows)))
    once = [row.id for row in rows if row.same_as not in [other.id for other in rows]]
    for number, (metric_of, part) in enumerate(product(metrics, parts)):
        lines = [
            _line(row, metric, group) | {"run": run, "reading": number, "member": member}
            for row, metric in zip(rows, metric_of, strict=True)
            for member, group in (part.groupby(row.each, sort=False) if row.each else [("", part)])
        ]
        shares = sum(line["id"] in once for line in lines)
        for line in lines:
            line["shared p"] = float(np.minimum(1.0, shares * line["p"]))  # nan of one seed
        joint = float(np.min([line["shared p"] for line in lines]))
        off = dict.fromkeys(line["deviation"] for line in lines if line["deviation"])
        of_all = {
            "joint p": joint, "fits": "–" if np.isnan(joint) else "yes" if joint >= 0.05 else "no",
            "deviation": "; ".join(off), "added": any(line["added"] for line in lines),
        }  # fmt: skip
        yield from (line | of_all for line in lines)


def _line(row: Published, metric: str, part: pd.DataFrame) -> dict[str, Any]:
    """What the runs of one reading say of one number."""
    if part["seed"].duplicated().any():
        raise ValueError(f"{row.id}: ambiguous, several runs of one seed")
    values = {field: hashable(part[field].iloc[0]) for field in row.open}
    said = {name: f"{name.replace('_', ' ')} {shown(value)}" for name, value in values.items()}
    if len(row.metric) > 1:
        values = {"metric": metric} | values
        said = {"metric": READ_AS.get(metric, metric.replace("_", " "))} | said
    found = {field: list(map(hashable, by_looking)) for field, by_looking in row.added.items()}
    added = {field: value in found.get(field, ()) for field, value in values.items()}
    texts = [f"{said[field]}{f' {CHOSEN}' * added[field]}" for field in values]
    return {
        "id": row.id, "report": row.report, "condition": row.condition, "quantity": row.quantity,
        "published": row.printed, **_judged(row, part, metric), "added": any(added.values()),
        "deviation": deviations(row.protocol, part), "assumed": ", ".join(texts) or NOTHING,
    }  # fmt: skip


def _judged(row: Published, part: pd.DataFrame, metric: str) -> dict[str, Any]:
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
    half, needed = statistics.half_width(sd, n), statistics.seeds_needed(sd, tolerance)
    surely = published[0] <= mean - half and mean + half <= published[1]
    off = max(published[0] - mean, mean - published[1])  # few seeds let much pass
    because = f"about {needed} seeds would tell" if needed else "seeds differ too much"
    if n == 1:
        because = "one seed"
    elif half <= tolerance:
        because = f"so few seeds, {n}, let a number pass that lies this far off"
    return {
        "measured": measured, "n": n, "SD": f"{sd:.{digits}f}" if n > 1 else "–",
        "distance": f"{round(away, 1) + 0:+.1f}" if n > 1 else "–", "p": p, "away": away,
        "limit": statistics.limit(n), "new_run": (mean - half, mean + half), "mean": mean,
        "open because": "" if surely or max(half, off) <= tolerance else because,
    }  # fmt: skip


def _judged_by_rank(row: Published, sample: np.ndarray, ends: np.ndarray) -> dict[str, Any]:
    """For values of which some are only known to lie beyond where a run ended."""
    censored = ~np.isfinite(sample) | (sample >= ends)
    p = statistics.conformal_p(row.range, np.where(censored, np.inf, sample))
    every = row.bound == "lower" and np.min(np.where(censored, ends, sample)) >= row.value
    known = f"{np.median(sample[~censored]):.{UNITS[row.unit][0]}f}, " if not censored.all() else ""
    what = f"at the end, {ends.max():g}" if row.ends else "undefined"
    text = f"{known}{censored.sum()} of {len(sample)} {what}"
    return {
        "measured": text, "n": len(sample), "SD": "–", "distance": "–", "p": p, "away": np.nan,
        "limit": np.nan, "new_run": (np.nan, np.nan), "mean": np.nan,
        "open because": "" if every else f"{censored.sum()} of {len(sample)} are {what}",
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


def facts(measured: Mapping[str, float | Sequence[float]]) -> pd.DataFrame:
    """Numbers that need no statistics, such as shapes and parameter counts, beside ours: id of a
    fact -> our number or numbers. Reproduced are those that agree to half a printed unit."""
    lines = []
    for row, value in zip(numbers_of(list(measured)), measured.values(), strict=True):
        theirs, ours = np.atleast_1d(row.value), np.atleast_1d(value)
        close = theirs.shape == ours.shape and all(abs(theirs - ours) <= row.rounding / 2)
        line = dict(id=row.id, report=row.report, condition=row.condition, published=row.printed)
        line["ours"] = ", ".join(f"{number:.10g}" for number in ours)
        lines.append(line | {"outcome": REPRODUCED if close else NOT_REPRODUCED})
    frame = pd.DataFrame(lines)
    frame.attrs |= {"rows": "facts", "shown": ["id", "condition", "published", "ours", "outcome"]}
    return frame
