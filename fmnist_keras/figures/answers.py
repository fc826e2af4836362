"""Published values beside ours, and the differences that decide claims."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..evidence.claims import shown
from ..evidence.measures import unit_of
from ..evidence.statistics import half_width, interval
from .style import PANEL, VERDICTS, label


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


def effects(decided: pd.DataFrame) -> Figure:
    """The differences that decide claims about accuracy, in percentage points, with 95 % intervals
    over seeds: filled for a claim as it was made, hollow for its fair twin. ``decided``: rows of
    :func:`evidence.decide`. The axis is linear up to one point and logarithmic beyond."""
    in_points = decided["measure"].map(lambda measure: unit_of(measure).name == " points")
    several = decided["differences"].map(lambda each: np.isfinite(each).sum() > 1)
    rows = decided[in_points & several].to_dict("records")
    figure, axis = plt.subplots(figsize=(2 * PANEL[0], 0.9 + 0.34 * max(len(rows), 1)))
    marks = dict.fromkeys(VERDICTS)
    for place, row in enumerate(rows):
        color, marker = VERDICTS[row["verdict"]]
        mean, low, high = 100 * np.array(interval(row["differences"]))
        marks[row["verdict"]] = axis.errorbar(
            mean, place, xerr=[[mean - low], [high - mean]], color=color, marker=marker, lw=1.2,
            mfc="white" if row["kind"] == "twin" else color,
        )  # fmt: skip
    names = [f"{row['id']}: {row['claim'].removeprefix('Put fairly: ')}" for row in rows]
    names = [textwrap.shorten(name, 72, placeholder=" …") for name in names]
    axis.set_yticks(range(len(rows)), names, fontsize=7)
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.set_xscale("symlog", linthresh=1)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel="difference of accuracy, points")
    marks = {word: mark for word, mark in marks.items() if mark}
    figure.legend(marks.values(), marks, loc="outside lower center", ncols=3, fontsize="small")
    return figure
