"""Figures of a study's frames: curves against the epoch, results against settings, pictures, and
the differences that decide claims."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..evidence.measures import unit_of
from ..evidence.statistics import interval
from .style import OUTCOMES, PANEL, SPREAD, explain, label, legend_below, line_style, panels

MARKS = "line: mean of {seeds}; band: lowest to highest"
FEW = 6  # settings whose labels fit below an axis
EDGE = 6  # points; a larger difference stands at the edge, with its value


def curves(frame: pd.DataFrame, *metrics: str, color: str | None = None) -> Figure:
    """One panel per metric against the epoch: a line and a band over seeds for each value of the
    column ``color``. ``frame``: the curves of a study."""
    figure, axes = panels(len(metrics))
    for metric, axis in zip(metrics, axes, strict=True):
        part = frame[frame["metric"] == metric]
        style = line_style(part, color)
        sns.lineplot(part, x="epoch", y="value", **style, errorbar=SPREAD, ax=axis)
        _label(axis, label(metric), part)
    explain(figure, frame, MARKS)
    if color:
        legend_below(figure, axes, "" if color == "name" else label(color))
    return figure


def _label(axis: plt.Axes, quantity: str, frame: pd.DataFrame) -> None:
    """Label the axes, with ticks at whole epochs, even of a single one."""
    axis.set(ylabel=quantity, xlabel="epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if frame["epoch"].max() == 1:
        axis.set_xlim(0, 2)


def against(runs: pd.DataFrame, x: str, y: str, color: str | None = None) -> plt.Axes:
    """A metric of the runs against a numeric setting, on a log scale: every seed a faint dot, their
    mean a line, their range a band."""
    figure, axis = plt.subplots(figsize=(PANEL[0] * 1.5, PANEL[1] * 1.2))
    style = line_style(runs, color)
    sns.lineplot(runs, x=x, y=y, **style, errorbar=SPREAD, marker="o", ax=axis)
    colors = {name: style[name] for name in ("hue", "hue_order", "palette") if name in style}
    sns.scatterplot(runs, x=x, y=y, **colors, s=14, alpha=0.5, ax=axis, legend=False)
    explain(figure, runs, "dots: {seeds}; line: their mean; band: lowest to highest")
    axis.set(ylabel=label(y), xlabel=label(x))
    if color:
        axis.get_legend().set_title(label(color))
    axis.set_xscale("log")
    settings = sorted(runs[x].unique())
    if len(settings) <= FEW:  # each has its own tick instead of the powers of ten
        axis.set_xticks(settings, [f"{setting:g}" for setting in settings])
        axis.minorticks_off()
    return axis


def compare(runs: pd.DataFrame, x: str, y: str, color: str | None = None) -> plt.Axes:
    """A metric of the runs by condition: every seed a dot, their mean a bar mark."""
    width = np.clip(1.1 * runs[x].nunique() + 1, 7, 11)
    figure, axis = plt.subplots(figsize=(width, PANEL[1] * 1.3))
    explain(figure, runs, "dots: {seeds}; bar: their mean")
    data = dict(data=runs, x=x, y=y, hue=color, order=list(dict.fromkeys(runs[x])), ax=axis)
    # Random jitter would make each rendering another picture.
    sns.stripplot(**data, dodge=bool(color), jitter=False, alpha=0.6, legend=False)
    bars = dict(errorbar=None, linestyle="none", marker="_", markersize=18)
    sns.pointplot(**data, **bars, dodge=0.4 if color else False)
    axis.set(ylabel=label(y), xlabel=label(x))
    return axis


def images(
    pictures: np.ndarray, titles: list[str] | None = None, columns: int = 8, signed: bool = False
) -> Figure:
    """A gallery of gray pictures (n, 28, 28), ``columns`` in a row, a short title above each.
    ``signed``: red above and blue below a white zero."""
    rows = -(-len(pictures) // columns)
    width, height = (1.25, 1.45) if titles else (1.05, 1.05)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * width, rows * height),
        layout="none",  # a constrained one takes seconds over so many axes
        gridspec_kw={"left": 0, "right": 1, "hspace": 0.4 if titles else 0.05},
    )  # fmt: skip
    low, high = np.min(pictures), np.max(pictures)
    if signed:
        low, high = -np.abs(pictures).max(), np.abs(pictures).max()
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, picture in zip(axes.flat, pictures, strict=False):
        axis.imshow(picture, cmap="RdBu_r" if signed else "gray", vmin=low, vmax=high)
    for axis, title in zip(axes.flat, titles or [], strict=False):
        axis.set_title(title, fontsize=7, pad=2)
    return figure


def effects(decided: pd.DataFrame) -> Figure | None:
    """The differences that decide claims about accuracy, in percentage points, with 95 % intervals
    over seeds: filled for what a source claims, hollow for what is ours; None if no claim is about
    accuracy. ``decided``: rows of :func:`evidence.decide`."""
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
        at = float(np.clip(mean, -EDGE, EDGE))
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
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlim=(-1.05 * EDGE, 1.05 * EDGE))
    axis.set_xlabel(f"difference of accuracy, points (beyond {EDGE}: at the edge)")
    marks = {word: mark for word, mark in marks.items() if mark}
    figure.legend(marks.values(), marks, loc="outside lower center", ncols=4, fontsize="small")
    return figure
