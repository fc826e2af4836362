"""What runs ended with, against their settings; and pictures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from .style import PANEL, SPREAD, explain, label, line_style

FEW = 6  # settings whose labels fit below an axis


def against(
    runs: pd.DataFrame, x: str, y: str, color: str | None = None, log: bool = True
) -> plt.Axes:
    """A metric of the runs against a numeric setting (log axis by default): every seed a faint dot,
    their mean a line, the seeds' range a band."""
    figure, axis = plt.subplots(figsize=(PANEL[0] * 1.5, PANEL[1] * 1.2))
    lines = line_style(runs, color)
    sns.lineplot(runs, x=x, y=y, **lines, errorbar=SPREAD, marker="o", ax=axis)
    colors = {name: lines[name] for name in ("hue", "hue_order", "palette") if name in lines}
    sns.scatterplot(runs, x=x, y=y, **colors, s=14, alpha=0.5, ax=axis, legend=False)
    explain(figure, runs, "dots: {seeds}; line: their mean; band: lowest to highest")
    axis.set(ylabel=label(y), xlabel=label(x))
    if color:
        axis.get_legend().set_title(label(color))
    if log:
        axis.set_xscale("log")
        settings = sorted(runs[x].unique())
        if len(settings) <= FEW:  # each has its number then, instead of the powers of ten
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
