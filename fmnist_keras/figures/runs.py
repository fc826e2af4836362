"""What runs ended with, against their settings; and pictures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from .style import LABELS, PANEL, SPREAD, explain, told_apart

FEW = 6  # settings whose labels fit below an axis


def against(
    runs: pd.DataFrame, x: str, y: str, color: str | None = None, log: bool = True
) -> plt.Axes:
    """A metric of the runs against a numeric setting (log axis by default): every seed a faint dot,
    their mean a line, the seeds' range a band."""
    figure, axis = plt.subplots(figsize=(PANEL[0] * 1.5, PANEL[1] * 1.2))
    lines = told_apart(runs, color)
    sns.lineplot(runs, x=x, y=y, **lines, errorbar=SPREAD, marker="o", ax=axis)
    colors = {name: lines[name] for name in ("hue", "hue_order", "palette") if name in lines}
    sns.scatterplot(runs, x=x, y=y, **colors, s=14, alpha=0.5, ax=axis, legend=False)
    explain(figure, runs, "dots: {seeds}; line: their mean; band: lowest to highest")
    axis.set(ylabel=LABELS.get(y, y), xlabel=LABELS.get(x, x))
    if color:
        axis.get_legend().set_title(LABELS.get(color, color))
    if log:
        axis.set_xscale("log")
        settings = sorted(runs[x].unique())
        if len(settings) <= FEW:  # each has its number then, instead of the powers of ten
            axis.set_xticks(settings, [f"{setting:g}" for setting in settings])
            axis.minorticks_off()
    return axis


def compare(runs: pd.DataFrame, x: str, y: str, color: str | None = None) -> plt.Axes:
    """A metric of the runs by condition: every seed a dot, their mean a bar mark."""
    values = runs[x].nunique()
    figure, axis = plt.subplots(figsize=(np.clip(1.1 * values + 1, 7, 11), PANEL[1] * 1.3))
    explain(figure, runs, "dots: {seeds}; bar: their mean")
    style = {"dodge": 0.4} if color else {}
    order = list(dict.fromkeys(runs[x]))
    sns.stripplot(
        runs,
        x=x,
        y=y,
        hue=color,
        order=order,
        dodge=bool(color),
        alpha=0.6,
        ax=axis,
        legend=False,
        jitter=False,  # random jitter would make each rendering another picture
    )
    sns.pointplot(
        runs, x=x, y=y, hue=color, order=order, errorbar=None, linestyle="none", marker="_",
        markersize=18, ax=axis, **style,
    )  # fmt: skip
    axis.set(ylabel=LABELS.get(y, y), xlabel=LABELS.get(x, x))
    return axis


def images(
    pictures: np.ndarray, titles: list[str] | None = None, columns: int = 8, signed: bool = False
) -> Figure:
    """A gallery of gray pictures (n, 28, 28), ``columns`` in a row, a short title above each.
    ``signed``: red above and blue below a white zero."""
    rows = -(-len(pictures) // columns)
    width, height = (1.05, 1.05) if titles is None else (1.25, 1.45)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * width, rows * height),
        layout="none",  # a constrained one takes seconds over so many axes
        gridspec_kw={"left": 0, "right": 1, "hspace": 0.05 if titles is None else 0.4},
    )  # fmt: skip
    low, high = np.min(pictures), np.max(pictures)
    if signed:
        low, high = -np.abs(pictures).max(), np.abs(pictures).max()
    for axis in axes.flat:
        axis.set_axis_off()
    for number, picture in enumerate(pictures):
        axes.flat[number].imshow(picture, cmap="RdBu_r" if signed else "gray", vmin=low, vmax=high)
        if titles is not None:
            axes.flat[number].set_title(titles[number], fontsize=7, pad=2)
    return figure
