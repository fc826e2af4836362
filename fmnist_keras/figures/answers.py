"""Published values beside ours, and the differences that decide claims."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..evidence.claims import shown
from ..evidence.measures import unit_of
from ..evidence.statistics import half_width, interval
from .style import OUTCOMES, PANEL, label


def specification(
    runs: pd.DataFrame, y: str, choices: list[str], published: float, title: str = ""
) -> Figure:
    """All readings of one published value, sorted. Above: each one's mean, its seeds as faint dots,
    the 95 % interval of a new run; a line is the published value. Below: which of the ``choices``
    (columns of runs) each makes."""
    made = [choice.replace("_", " ") + " " + runs[choice].map(shown) for choice in choices]
    options = [option for column in made for option in dict.fromkeys(column)]
    readings = sorted(runs[y].groupby(made), key=lambda reading: reading[1].mean())
    heights = [PANEL[1], 0.2 * len(options)]
    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(9, sum(heights)), height_ratios=heights
    )
    for place, (choice, values) in enumerate(readings):
        half = half_width(values.std(), len(values))
        above.errorbar(place, values.mean(), half, color="C0", marker="o", ms=4, lw=1)
        above.plot([place] * len(values), values, ".", color="C0", alpha=0.4, ms=3)
        for row, option in enumerate(options):
            below.plot(place, row, "o", color="C0" if option in choice else "0.85", ms=4)
    above.axhline(published, color="C3", linewidth=1.2, label="published")
    seen = np.append(runs[y][np.isfinite(runs[y])], published)  # intervals may reach far beyond
    above.set_ylim(seen.min() - 0.08 * np.ptp(seen), seen.max() + 0.08 * np.ptp(seen))
    above.set(ylabel=label(y), title=title)
    above.legend(fontsize="small")
    below.set_yticks(range(len(options)), options, fontsize="small")
    below.set(ylim=(len(options) - 0.5, -0.5), xticks=[], xlabel="readings, sorted")
    below.grid(False)
    return figure


def effects(decided: pd.DataFrame, edge: float = 6.0) -> Figure:
    """The differences that decide claims about accuracy, in percentage points, with 95 % intervals
    over seeds: filled for what a source claims, hollow for what is ours. A difference beyond
    ``edge`` stands there, with its value. ``decided``: rows of :func:`evidence.decide`."""
    in_points = decided["measure"].map(lambda measure: unit_of(measure).name == " points")
    several = decided["differences"].map(lambda each: np.isfinite(each).sum() > 1)
    rows = decided[in_points & several].to_dict("records")
    figure, axis = plt.subplots(figsize=(2 * PANEL[0], 0.9 + 0.34 * max(len(rows), 1)))
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
