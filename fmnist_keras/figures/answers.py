"""Published values beside ours, and the differences that decide claims."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..evidence.measures import unit_of
from ..evidence.statistics import interval
from .style import OUTCOMES, PANEL


def effects(decided: pd.DataFrame, edge: float = 6.0) -> Figure | None:
    """The differences that decide claims about accuracy, in percentage points, with 95 % intervals
    over seeds: filled for what a source claims, hollow for what is ours. A difference beyond
    ``edge`` stands there, with its value; None if no claim is about accuracy. ``decided``: rows of
    :func:`evidence.decide`."""
    in_points = decided["measure"].map(lambda measure: unit_of(measure).name == " points")
    several = decided["differences"].map(lambda each: np.isfinite(each).sum() > 1)
    rows = decided[in_points & several].to_dict("records")
    if not rows:
        return None
    figure, axis = plt.subplots(figsize=(2 * PANEL[0], 0.9 + 0.34 * len(rows)))
    marks = dict.fromkeys(OUTCOMES)
    for place, row in enumerate(rows):
        color, marker = OUTCOMES[row["outcome"]]
        mean, low, high = 100 * np.array(interval(row["differences"]))
        at = float(np.clip(mean, -edge, edge))
        marks[row["outcome"]] = axis.errorbar(
            at, place, xerr=[[mean - low], [high - mean]] if at == mean else None, color=color,
            marker=marker, lw=1.2, mfc="white" if row["source"] == "ours" else color,
        )  # fmt: skip
        if at != mean:
            side = "right" if mean > 0 else "left"
            axis.annotate(f"{mean:+.0f}", (at * 0.95, place), fontsize=7, va="center", ha=side)
    names = [textwrap.shorten(f"{row['id']}: {row['claim']}", 72, placeholder=" …") for row in rows]
    axis.set_yticks(range(len(rows)), names, fontsize=7)
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlim=(-1.05 * edge, 1.05 * edge))
    axis.set_xlabel(f"difference of accuracy, points (beyond {edge:g}: at the edge)")
    marks = {word: mark for word, mark in marks.items() if mark}
    figure.legend(marks.values(), marks, loc="outside lower center", ncols=4, fontsize="small")
    return figure
