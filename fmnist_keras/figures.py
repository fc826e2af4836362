"""Figures from the two frames of a study. Nothing here knows of Keras or of storage.

A line or a dot is the mean over seeds; a band or a bar spans all seeds, lowest to highest.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.visualization.matplotlib import plot_optimization_history, plot_slice

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
warnings.filterwarnings("ignore", category=ExperimentalWarning)  # Optuna's own plots are all that


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


def search(study: Study) -> None:
    """Optuna's own history and slice plots of a search; they change matplotlib's style, so in a
    context of their own."""
    with plt.rc_context():
        plot_optimization_history(study).figure.set_size_inches(6, 3)
        plot_slice(study).figure.set_size_inches(5, 3)


def compare(runs: pd.DataFrame, x: str, y: str, color: str | None = None) -> plt.Axes:
    """A metric of the runs by condition: every seed a dot, their mean a bar mark."""
    values = runs[x].nunique()
    _, axis = plt.subplots(figsize=(np.clip(1.1 * values + 1, 7, 11), PANEL[1] * 1.3))
    style = {"dodge": 0.4} if color else {}
    order = list(dict.fromkeys(runs[x]))
    sns.stripplot(
        runs, x=x, y=y, hue=color, order=order, dodge=bool(color), alpha=0.6, ax=axis, legend=False
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


def confusion(counts: np.ndarray, classes: tuple[str, ...], axis: plt.Axes) -> None:
    """Confusion matrix ``counts`` (10, 10), true class by row, as shares of the row in percent."""
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    sns.heatmap(
        shares, annot=True, fmt=".0f", cmap="Blues", cbar=False, square=True, vmax=20,
        xticklabels=classes, yticklabels=classes, annot_kws={"size": 7}, ax=axis,
    )  # fmt: skip
    axis.set(xlabel="predicted", ylabel="true")


def heatmap(table: pd.DataFrame, axis: plt.Axes, title: str) -> None:
    """The numbers of a table as colors, each written in its cell without decimals."""
    sns.heatmap(table, annot=True, fmt=".0f", cmap="viridis", cbar=False, ax=axis)
    axis.set_title(title)


def published_against_measured(rows: pd.DataFrame) -> np.ndarray:
    """Published accuracy against our mean, a dot for each row of the collected ledger tables whose
    quantity is an accuracy (percent or fraction alike, no lead of one over another); on the dashed
    line they are equal. On the left all of them, on the right those above 0.75."""
    quantity = rows["quantity"].fillna("")
    part = rows[quantity.str.contains("accuracy") & ~quantity.str.contains("lead")].copy()
    for column in ("published", "measured"):
        number = part[column].str.extract(r"(\d+\.?\d*)", expand=False).astype(float)
        part[column] = number.where(number <= 1, number / 100)
    _, axes = plt.subplots(1, 2, figsize=(PANEL[0] * 2.4, PANEL[1] * 1.4))
    for axis, low in zip(axes, (0, 0.75), strict=True):
        limits = {"xlim": (low, 1), "ylim": (low, 1)}
        sns.scatterplot(
            part, x="published", y="measured", hue="verdict", style="verdict", legend=low == 0,
            ax=axis,
        )  # fmt: skip
        axis.axline((0, 0), slope=1, color="gray", linestyle="--", linewidth=1)
        axis.set(xlabel="published accuracy", ylabel="measured accuracy (seed mean)", **limits)
    axes[0].legend(fontsize="small", loc="lower right")
    return axes


def facets(frame: pd.DataFrame, x: str, y: str, color: str, columns: str, label: str) -> Figure:
    """``y`` (axis title ``label``) against ``x`` for each value of ``columns`` in a panel of its
    own, a line and a seed band for each value of ``color``."""
    with plt.rc_context({"figure.constrained_layout.use": False}):  # seaborn lays this one out
        grid = sns.relplot(
            frame, x=x, y=y, hue=color, col=columns, kind="line", marker="o", errorbar=SPREAD,
            height=PANEL[1], aspect=1.2, palette="colorblind",
        )  # fmt: skip
    grid.set_axis_labels(x, label)
    return grid.figure


def lines(series: dict[str, tuple], x: str, y: str, log_y: bool = False) -> plt.Axes:
    """Labeled lines: name -> (x values, y values)."""
    _, axis = plt.subplots(figsize=(PANEL[0] * 1.5, PANEL[1] * 1.1))
    for name, (across, up) in series.items():
        axis.plot(across, up, label=name)
    axis.set(xlabel=x, ylabel=y, yscale="log" if log_y else "linear")
    axis.legend(fontsize="small")
    return axis
