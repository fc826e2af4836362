"""Curves against the epoch."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import LABELS, PANEL, SPREAD, explain, legend_below, panels, told_apart


def curves(frame: pd.DataFrame, *metrics: str, color: str | None = None) -> Figure:
    """One panel per metric, value against epoch: a line and a seed band for each value of the
    column ``color``. ``frame``: the curves of a study."""
    figure, axes = panels(len(metrics))
    for metric, axis in zip(metrics, axes, strict=True):
        part = frame[frame["metric"] == metric]
        sns.lineplot(
            part, x="epoch", y="value", **told_apart(part, color), errorbar=SPREAD, ax=axis,
            legend=color is not None and axis is axes[-1],
        )  # fmt: skip
        axis.set(ylabel=LABELS.get(metric, metric), xlabel="epoch")
        _whole_epochs(axis, part)
    explain(figure, frame, "line: mean of {seeds}; band: lowest to highest")
    if color:
        legend_below(figure, axes[-1], LABELS.get(color, "" if color == "name" else color))
    return figure


def train_and_val(frame: pd.DataFrame, by: str = "name") -> Figure:
    """Loss and accuracy, training (evaluated) and validation, against epoch: two panels for each
    value of the column ``by``, with seed bands."""
    names = list(frame[by].unique())
    size = (PANEL[0] * 2, PANEL[1] * len(names) * 0.85)
    figure, pairs = plt.subplots(len(names), 2, figsize=size, squeeze=False, sharey="col")
    for name, pair in zip(names, pairs, strict=True):
        part = frame[frame[by] == name]
        title = str(name) if by == "name" else f"{LABELS.get(by, by)} {name}"
        for quantity, axis in zip(("loss", "accuracy"), pair, strict=True):
            shown = {f"train_{quantity}": "training", f"val_{quantity}": "validation"}
            lines = part[part["metric"].isin(shown)]
            hue = lines["metric"].map(shown)
            sns.lineplot(
                lines, x="epoch", y="value", hue=hue, hue_order=list(shown.values()), style=hue,
                style_order=list(shown.values()), errorbar=SPREAD, ax=axis,
                legend=quantity == "loss",
            )  # fmt: skip
            axis.set(title=title, ylabel=quantity, xlabel="epoch")
            _whole_epochs(axis, lines)
        pair[0].legend(title=None, fontsize="small")
    explain(figure, frame, "line: mean of {seeds}; band: lowest to highest")
    return figure


def each_seed(frame: pd.DataFrame, *metrics: str, color: str = "name") -> Figure:
    """One panel per metric, value against epoch: a thin line for each seed, with a dot where it
    stopped and a ring at its lowest validation loss, so that no mean is over those seeds alone that
    still train."""
    figure, axes = panels(len(metrics))
    val_loss = frame[frame["metric"] == "val_loss"]
    lowest = val_loss.groupby([color, "seed"], sort=False)["value"].idxmin().dropna()
    best = val_loss.loc[lowest, [color, "seed", "epoch"]]
    for metric, axis in zip(metrics, axes, strict=True):
        part = frame[frame["metric"] == metric]
        lines = dict(x="epoch", y="value", hue=color, hue_order=list(dict.fromkeys(frame[color])))
        sns.lineplot(
            part, **lines, units="seed", estimator=None, linewidth=0.8, ax=axis,
            legend=axis is axes[-1],
        )  # fmt: skip
        last = part.loc[part.groupby([color, "seed"], sort=False)["epoch"].idxmax()]
        sns.scatterplot(last, **lines, s=22, ax=axis, legend=False)
        rings = part.merge(best, on=[color, "seed", "epoch"])
        axis.plot(rings["epoch"], rings["value"], "o", ms=8, mfc="none", mec="0.2", zorder=3)
        axis.set(ylabel=LABELS.get(metric, metric), xlabel="epoch")
        _whole_epochs(axis, part)
    explain(figure, frame, "thin line: one of {seeds}; dot: where it stopped; ring: best")
    legend_below(figure, axes[-1])
    return figure


def _whole_epochs(axis: plt.Axes, frame: pd.DataFrame) -> None:
    """Ticks at whole epochs, also where there is one alone."""
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if frame["epoch"].max() == 1:
        axis.set_xlim(0, 2)
