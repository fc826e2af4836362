"""Curves against the epoch."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import SPREAD, explain, label, legend_below, line_style, panels

MARKS = "line: mean of {seeds}; band: lowest to highest"


def curves(frame: pd.DataFrame, *metrics: str, color: str | None = None) -> Figure:
    """One panel per metric, value against epoch: a line and a seed band for each value of the
    column ``color``. ``frame``: the curves of a study."""
    figure, axes = panels(len(metrics))
    for metric, axis in zip(metrics, axes, strict=True):
        part = frame[frame["metric"] == metric]
        lines = line_style(part, color)
        sns.lineplot(part, x="epoch", y="value", **lines, errorbar=SPREAD, ax=axis)
        _label(axis, label(metric), part)
    explain(figure, frame, MARKS)
    if color:
        legend_below(figure, axes, "" if color == "name" else label(color))
    return figure


def train_and_val(frame: pd.DataFrame, by: str = "name") -> Figure:
    """Loss and accuracy, training (evaluated) and validation, against epoch: two panels for each
    value of the column ``by``, with seed bands."""
    groups = list(frame.groupby(by, sort=False))
    figure, pairs = panels(2 * len(groups), sharey="col")
    for number, (name, part) in enumerate(groups):
        for quantity, axis in zip(("loss", "accuracy"), pairs[2 * number :], strict=False):
            names = {f"train_{quantity}": "training", f"val_{quantity}": "validation"}
            lines = part[part["metric"].isin(names)].replace({"metric": names})
            lines = lines.sort_values("metric", kind="stable")  # training first
            apart = line_style(lines, "metric")
            sns.lineplot(lines, x="epoch", y="value", **apart, errorbar=SPREAD, ax=axis)
            axis.set(title=str(name) if by == "name" else f"{label(by)} {name}")
            axis.get_legend().set(title=None, visible=quantity == "loss")
            _label(axis, quantity, lines)
    explain(figure, frame, MARKS)
    return figure


def each_seed(frame: pd.DataFrame, *metrics: str, color: str = "name") -> Figure:
    """One panel per metric, value against epoch: a thin line for each seed, with a dot where it
    stopped and a ring at its lowest validation loss, so that no mean is over those seeds alone that
    still train."""
    figure, axes = panels(len(metrics))
    val_loss = frame[frame["metric"] == "val_loss"]
    lowest = val_loss.groupby([color, "seed"])["value"].idxmin().dropna()
    best = val_loss.loc[lowest, [color, "seed", "epoch"]]
    for metric, axis in zip(metrics, axes, strict=True):
        part = frame[frame["metric"] == metric]
        lines = dict(x="epoch", y="value", hue=color, hue_order=list(dict.fromkeys(frame[color])))
        sns.lineplot(part, **lines, units="seed", estimator=None, linewidth=0.8, ax=axis)
        last = part.loc[part.groupby([color, "seed"])["epoch"].idxmax()]
        sns.scatterplot(last, **lines, s=22, ax=axis, legend=False)
        rings = part.merge(best, on=[color, "seed", "epoch"])
        axis.plot(rings["epoch"], rings["value"], "o", ms=8, mfc="none", mec="0.2", zorder=3)
        _label(axis, label(metric), part)
    explain(figure, frame, "thin line: one of {seeds}; dot: where it stopped; ring: best")
    legend_below(figure, axes)
    return figure


def _label(axis: plt.Axes, quantity: str, frame: pd.DataFrame) -> None:
    """Label the axes; ticks at whole epochs, also where there is one alone."""
    axis.set(ylabel=quantity, xlabel="epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if frame["epoch"].max() == 1:
        axis.set_xlim(0, 2)
