"""Published numbers answered: the verdict that follows from all readings of each, and facts."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from .judgment import NOTHING, SHOWN, readings
from .numbers import select as numbers_of
from .verdicts import (
    NO_READING,
    NOT_REPRODUCED,
    NOT_RUN,
    OTHER_READING,
    REPRODUCED,
    SAYS_LITTLE,
    UNDECIDED,
)  # fmt: skip

BEST_FIRST = (REPRODUCED, SAYS_LITTLE, UNDECIDED, NOT_REPRODUCED, NOT_RUN)
"""Of several readings the one whose verdict comes first here answers the number."""


def table(runs: pd.DataFrame, *patterns: str | Sequence[str]) -> pd.DataFrame:
    """Published numbers beside ours, a row each; ``numbers.select`` tells what a pattern may be.

    ``runs``: a row per recipe × seed with the recipe's fields, ``recipe`` (a hash), ``seed``,
    ``train_images`` and metrics (accuracies as fractions). Facts are left out: see :func:`facts`.

    A number's row is that of the reading that comes nearest to it (columns as in
    :func:`readings`), with the verdict that follows from all its readings. ValueError: no such
    runs, a missing column, or runs that no open field tells apart.
    """
    found = readings(runs, *patterns)
    rows = [_answer(part) for _, part in found.groupby("id", sort=False)]
    frame = pd.DataFrame(rows).reset_index(drop=True)
    frame.attrs |= {"rows": "numbers", "shown": [*SHOWN, "readings"]}
    return frame


def _answer(lines: pd.DataFrame) -> dict:
    """A number's row: the reading that decides, with the verdict that follows from all. One that is
    said of several members needs all of them."""
    by_reading = lines.groupby("assumed", sort=False)
    worst = pd.DataFrame([members.loc[_by_rank(members).idxmax()] for _, members in by_reading])
    rank = _by_rank(worst)
    chosen = worst.loc[rank.idxmin()]
    ties = worst[rank == rank.min()]
    if chosen["verdict"] == NOT_REPRODUCED and ties["away"].notna().any():
        chosen = ties.loc[ties["away"].abs().idxmin()]
    verdict = chosen["verdict"]
    if verdict == REPRODUCED and rank.iloc[0] > 0:
        verdict = OTHER_READING
    elif verdict == NOT_REPRODUCED and chosen["assumed"] != NOTHING:
        verdict = NO_READING
    p = worst["p"].max() if verdict in {NOT_REPRODUCED, NO_READING} else chosen["p"]
    return chosen.to_dict() | {"verdict": verdict, "p": p, "readings": len(worst)}


def _by_rank(lines: pd.DataFrame) -> pd.Series:
    return lines["verdict"].map(BEST_FIRST.index)


def facts(measured: Mapping[str, float | Sequence[float]]) -> pd.DataFrame:
    """Numbers that need no statistics, such as shapes and parameter counts, beside ours.

    ``measured``: id of a fact -> our number or numbers. verdict: "reproduced" if all of them are
    the published ones to half a printed unit. ValueError: an id that is unknown or not a fact's.
    """
    lines = []
    for row, value in zip(numbers_of(list(measured)), measured.values(), strict=True):
        if row.id not in measured or not row.fact:
            raise ValueError(f"{row.id} is not the id of a fact: table() takes measured numbers")
        theirs, ours = np.atleast_1d(row.value), np.atleast_1d(value)
        close = theirs.shape == ours.shape and all(abs(theirs - ours) <= row.rounding / 2)
        line = dict(id=row.id, report=row.report, condition=row.condition, published=row.printed)
        line["ours"] = ", ".join(f"{number:.10g}" for number in ours)
        lines.append(line | {"verdict": REPRODUCED if close else NOT_REPRODUCED})
    frame = pd.DataFrame(lines)
    frame.attrs |= {"rows": "facts", "shown": ["id", "condition", "published", "ours", "verdict"]}
    return frame
