"""The look of all figures, and what they share: panels, lines, legends, explanations."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..evidence import outcomes

PANEL = (4.6, 3.1)  # inches
SPREAD = ("pi", 100)  # seaborn: all seeds, lowest to highest
LABELS = {
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "train_accuracy": "training accuracy (evaluated)",
    "train_loss": "training loss (evaluated)",
    "running_accuracy": "training accuracy (running)",
    "running_loss": "training loss (running)",
    "batch_norm": "batch normalization",
}


def label(name: str) -> str:
    """What a column of a frame is called in a figure."""
    return LABELS.get(name, name.replace("_", " "))


sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.85)
plt.rcParams |= {"figure.dpi": 160, "savefig.dpi": 160, "figure.constrained_layout.use": True}
OPTIMIZERS = ("sgd", "adam", "nadam", "rmsprop", "adadelta")
COLORS = dict(zip(OPTIMIZERS, sns.color_palette(), strict=False))
DASHES = dict(zip(OPTIMIZERS, ["", (4, 1.5), (1, 1), (3, 1, 1.5, 1), (5, 1, 1, 1)], strict=True))
"""An optimizer has the same color and line style in every figure."""
MARKERS = [("#0173b2", "o"), ("#56b4e9", "D"), ("#949494", "s"), ("#d55e00", "^")]
OUTCOMES = dict(zip(outcomes.OUTCOMES, MARKERS, strict=True))
"""An outcome has the same color and marker in every figure."""


def panels(number: int, **options: str) -> tuple[Figure, list[plt.Axes]]:
    """That many panels, at most two side by side."""
    columns = min(2, number)
    rows = -(-number // columns)
    size = (PANEL[0] * columns, PANEL[1] * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
    for axis in axes.flat[number:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:number])


def line_style(frame: pd.DataFrame, color: str | None) -> dict:
    """How lines are told apart by a column: by color and by line style."""
    if color is None:
        return {}
    names = frame[color].astype(str)
    order = list(dict.fromkeys(names))
    lines = {"hue": names, "style": names, "hue_order": order, "style_order": order}
    if set(names) <= {*OPTIMIZERS}:
        lines |= {"palette": COLORS, "dashes": DASHES}
    return lines


def explain(figure: Figure, frame: pd.DataFrame, marks: str) -> None:
    """A line above the panels that says what the marks are, and of how many seeds."""
    seeds = "seeds"
    if {"recipe", "seed"} <= set(frame):
        counts = frame.groupby("recipe")["seed"].nunique()
        numbers = " to ".join(map(str, sorted({counts.min(), counts.max()})))
        seeds = "1 seed" if numbers == "1" else f"{numbers} seeds"
    figure.suptitle(marks.format(seeds=seeds), fontsize="x-small", color="0.4")


def legend_below(figure: Figure, axes: list[plt.Axes], title: str = "") -> None:
    """One legend below the figure, which grows by its height, instead of one in each panel."""
    handles, labels = axes[-1].get_legend_handles_labels()
    for axis in axes:
        axis.get_legend().remove()
    inches = 0.7 + 0.085 * max(map(len, labels))  # of a line and its label
    columns = min(len(labels), max(1, int(figure.get_figwidth() / inches)))
    figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(labels) // columns))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize="small", title=title
    )
