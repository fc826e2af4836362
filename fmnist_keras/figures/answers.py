"""Published values beside ours, and the differences that decide claims."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..evidence.claims import shown
from ..evidence.measures import unit_of
from ..evidence.statistics import half_width, interval
from .style import LABELS, PANEL, VERDICTS


def specification(
    runs: pd.DataFrame, y: str, choices: list[str], published: float, title: str = ""
) -> Figure:
    """All readings of one published value, sorted: above, each one's mean, its seeds as faint dots
    and the 95 % interval of a new run, beside the published value as a line; below, which of the
    ``choices`` (columns of runs) each makes."""
    told_apart = pd.Series(
        [tuple(map(shown, values)) for values in runs[choices].itertuples(index=False)],
        index=runs.index,
    )
    readings = [
        (choice, runs.loc[rows, y])
        for choice, rows in told_apart.groupby(told_apart).groups.items()
    ]
    readings.sort(key=lambda reading: reading[1].mean())
    options = [
        (number, value)
        for number in range(len(choices))
        for value in dict.fromkeys(choice[number] for choice in told_apart)
    ]
    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(9, PANEL[1] + 0.2 * len(options)),
        height_ratios=[PANEL[1], 0.2 * len(options)],
    )  # fmt: skip
    for place, (choice, values) in enumerate(readings):
        half = half_width(values.std(), len(values))
        above.errorbar(
            place, values.mean(), half, color="C0", marker="o", markersize=4, linewidth=1
        )
        above.plot([place] * len(values), values, ".", color="C0", alpha=0.4, markersize=3)
        for row, (number, value) in enumerate(options):
            made = choice[number] == value
            below.plot(place, row, "o", color="C0" if made else "0.85", markersize=4)
    above.axhline(published, color="C3", linewidth=1.2, label="published")
    seen = np.append(runs[y][np.isfinite(runs[y])], published)
    above.set_ylim(*(np.array([seen.min(), seen.max()]) + np.ptp(seen) * np.array([-0.08, 0.08])))
    above.set(ylabel=LABELS.get(y, y.replace("_", " ")), title=title)
    above.legend(fontsize="small")
    names = [f"{choices[number].replace('_', ' ')} {value}" for number, value in options]
    below.set_yticks(range(len(options)), names, fontsize="small")
    below.set(ylim=(len(options) - 0.5, -0.5), xticks=[], xlabel="readings, sorted")
    below.grid(False)
    return figure


def effects(decided: pd.DataFrame) -> Figure:
    """The differences that decide claims about accuracy, in percentage points, each with its 95 %
    interval over seeds: filled for a claim as it was made, hollow for its fair twin. ``decided``:
    rows of :func:`evidence.decide`. The axis is linear up to one point and logarithmic beyond."""
    rows = [
        row
        for row in decided.to_dict("records")
        if unit_of(row["measure"]).name == " points" and np.isfinite(row["differences"]).sum() > 1
    ]
    figure, axis = plt.subplots(figsize=(2 * PANEL[0], 0.9 + 0.34 * max(len(rows), 1)))
    for place, row in enumerate(rows):
        color, marker = VERDICTS[row["verdict"]]
        mean, low, high = 100 * np.array(interval(row["differences"]))
        axis.errorbar(
            mean, place, xerr=[[mean - low], [high - mean]], color=color, marker=marker,
            markerfacecolor="white" if row["kind"] == "twin" else color, linewidth=1.2,
        )  # fmt: skip
    names = [f"{row['id']}: {row['claim'].removeprefix('Put fairly: ')}" for row in rows]
    axis.set_yticks(
        range(len(rows)), [textwrap.shorten(n, 72, placeholder=" …") for n in names], fontsize=7
    )
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.set_xscale("symlog", linthresh=1)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.margins(x=0.05)
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel="difference of accuracy, points")
    words = [word for word in VERDICTS if word in {row["verdict"] for row in rows}]
    marks = [
        plt.Line2D([], [], color=VERDICTS[word][0], marker=VERDICTS[word][1], linestyle="none")
        for word in words
    ]
    figure.legend(marks, words, loc="outside lower center", ncols=3, fontsize="small")
    return figure
