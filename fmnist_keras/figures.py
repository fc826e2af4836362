"""Figures from the two frames of a study. Nothing here knows of Keras or of storage.

A line or a dot is the mean over seeds; a band or a bar spans all seeds, lowest to highest.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .evidence.claims import shown
from .evidence.statistics import half_width_of_new_run

PANEL = (4.6, 3.1)  # inches
SPREAD = ("pi", 100)  # seaborn: all seeds, lowest to highest
LABELS = {
    "loss": "loss",
    "accuracy": "accuracy",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "test_accuracy": "test accuracy",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy (evaluated)",
    "train_loss": "training loss (evaluated)",
    "running_accuracy": "training accuracy (running)",
    "running_loss": "training loss (running)",
    "learning_rate": "learning rate",
    "batch_size": "batch size",
}

sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.85)
plt.rcParams |= {"figure.dpi": 80, "savefig.dpi": 80, "figure.constrained_layout.use": True}


def curves(frame: pd.DataFrame, *metrics: str, color: str | None = None) -> Figure:
    """One panel per metric, value against epoch: a line and a seed band for each value of the
    column ``color``. ``frame``: the curves of a study."""
    figure, axes = plt.subplots(
        1, len(metrics), figsize=(PANEL[0] * len(metrics), PANEL[1]), squeeze=False
    )
    for metric, axis in zip(metrics, axes[0], strict=True):
        part = frame[frame["metric"] == metric]
        hue = part[color].astype(str) if color else None
        legend = color is not None and axis is axes[0, -1]
        sns.lineplot(part, x="epoch", y="value", hue=hue, errorbar=SPREAD, ax=axis, legend=legend)
        axis.set(ylabel=LABELS.get(metric, metric), xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if color:
        title = LABELS.get(color, color)
        axes[0, -1].legend(title=title, loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
    return figure


def train_and_val(frame: pd.DataFrame, by: str = "name", columns: int = 2) -> Figure:
    """Loss and accuracy, training (evaluated) and validation, against epoch: two panels for each
    value of the column ``by``, with seed bands. ``columns``: conditions side by side."""
    names = list(frame[by].unique())
    rows = -(-len(names) // columns)
    size = (PANEL[0] * 2 * columns * 0.75, PANEL[1] * rows * 0.85)
    figure, axes = plt.subplots(rows, 2 * columns, figsize=size, squeeze=False)
    pairs = axes.reshape(rows * columns, 2)
    for name, pair in zip(names, pairs, strict=False):
        part = frame[frame[by] == name]
        for quantity, axis in zip(("loss", "accuracy"), pair, strict=True):
            shown = {f"train_{quantity}": "training", f"val_{quantity}": "validation"}
            lines = part[part["metric"].isin(shown)]
            hue = lines["metric"].map(shown)
            sns.lineplot(
                lines, x="epoch", y="value", hue=hue, hue_order=list(shown.values()),
                errorbar=SPREAD, ax=axis, legend=quantity == "loss",
            )  # fmt: skip
            axis.set(title=str(name), ylabel=quantity, xlabel="epoch")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        pair[0].legend(title=None, fontsize="small")
    for axis in pairs[len(names) :].flat:
        axis.set_axis_off()
    return figure


def against(
    runs: pd.DataFrame, x: str, y: str, color: str | None = None, log: bool = True
) -> plt.Axes:
    """A metric of the runs against a numeric setting (log axis by default): every seed a faint dot,
    their mean a line, the seeds' range a band."""
    _, axis = plt.subplots(figsize=(PANEL[0] * 1.5, PANEL[1] * 1.2))
    sns.lineplot(runs, x=x, y=y, hue=color, errorbar=SPREAD, marker="o", ax=axis)
    sns.scatterplot(runs, x=x, y=y, hue=color, s=14, alpha=0.5, ax=axis, legend=False)
    axis.set(ylabel=LABELS.get(y, y), xlabel=LABELS.get(x, x))
    if log:
        axis.set_xscale("log")
    return axis


def compare(runs: pd.DataFrame, x: str, y: str, color: str | None = None) -> plt.Axes:
    """A metric of the runs by condition: every seed a dot, their mean a bar mark."""
    values = runs[x].nunique()
    _, axis = plt.subplots(figsize=(np.clip(1.1 * values + 1, 7, 11), PANEL[1] * 1.3))
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


def images(pictures: np.ndarray, titles: list[str] | None = None, columns: int = 8) -> Figure:
    """A gallery of gray pictures (n, 28, 28), ``columns`` in a row, a short title above each."""
    rows = -(-len(pictures) // columns)
    width, height = (1.05, 1.05) if titles is None else (1.25, 1.45)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * width, rows * height),
        layout="none",  # a constrained one takes seconds over so many axes
        gridspec_kw={"left": 0, "right": 1, "hspace": 0.05 if titles is None else 0.4},
    )  # fmt: skip
    low, high = np.min(pictures), np.max(pictures)
    for axis in axes.flat:
        axis.set_axis_off()
    for number, picture in enumerate(pictures):
        axes.flat[number].imshow(picture, cmap="gray_r", vmin=low, vmax=high)
        if titles is not None:
            axes.flat[number].set_title(titles[number], fontsize=7, pad=2)
    return figure


def each_seed(frame: pd.DataFrame, *metrics: str, color: str = "name") -> Figure:
    """One panel per metric, value against epoch: a thin line for each seed, with a dot where it
    stopped, so that no mean is over those seeds alone that still train."""
    figure, axes = plt.subplots(
        1, len(metrics), figsize=(PANEL[0] * len(metrics), PANEL[1]), squeeze=False
    )
    for metric, axis in zip(metrics, axes[0], strict=True):
        part = frame[frame["metric"] == metric]
        lines = dict(x="epoch", y="value", hue=color, hue_order=list(dict.fromkeys(frame[color])))
        sns.lineplot(
            part, **lines, units="seed", estimator=None, linewidth=0.8, ax=axis,
            legend=axis is axes[0, -1],
        )  # fmt: skip
        last = part.loc[part.groupby([color, "seed"], sort=False)["epoch"].idxmax()]
        sns.scatterplot(last, **lines, s=22, ax=axis, legend=False)
        axis.set(ylabel=LABELS.get(metric, metric), xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
    return figure


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
        half = half_width_of_new_run(values.std(), len(values))
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
