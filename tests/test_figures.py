"""Figures show what the frames hold: a line for each condition, a band over seeds."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fmnist_keras import figures

OPTIMIZERS = ("sgd", "adam")


@pytest.fixture
def frame():
    rows = itertools.product(OPTIMIZERS, (0, 1, 2), range(1, 6))
    metrics = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    return pd.DataFrame(
        {"name": name, "recipe": name, "optimizer": name, "seed": seed, "epoch": epoch,
         "metric": metric,
         "value": 1 / epoch + seed / 10}
        for name, seed, epoch in rows for metric in metrics
    )  # fmt: skip


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_curves_draw_a_line_and_a_seed_band_per_condition(frame):
    axes = figures.curves(frame, "val_accuracy", "val_loss", color="optimizer").axes
    assert [axis.get_ylabel() for axis in axes] == ["validation accuracy", "validation loss"]
    for axis in axes:
        assert len([line for line in axis.lines if len(line.get_xdata())]) == len(OPTIMIZERS)
        assert len(axis.collections) == len(OPTIMIZERS)
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(OPTIMIZERS)
    assert axes[0].figure.get_suptitle() == "line: mean of 3 seeds; band: lowest to highest"
    alone = figures.curves(frame[frame["seed"] == 0], "val_loss")
    assert alone.get_suptitle().startswith("line: mean of 1 seed;")
    band = axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(1 / 5)
    assert band.max() == pytest.approx(1 + 0.2)


def test_nothing_of_a_figure_lies_under_its_legend(frame):
    many = pd.concat(frame.assign(name=f"condition {number}") for number in range(9))
    figure = figures.curves(many, "val_accuracy", "val_loss", color="name")
    figure.canvas.draw()
    (legend,) = figure.legends
    others = [figure._suptitle, *figure.axes]
    boxes = [other.get_tightbbox(figure.canvas.get_renderer()) for other in others]
    assert not any(legend.get_window_extent().overlaps(box) for box in boxes)


@pytest.mark.parametrize(("sizes", "labels"), [(5, ["32", "64", "128", "256", "512"]), (7, None)])
def test_against_marks_means_on_a_log_axis_that_names_few_settings(sizes, labels):
    batch_sizes = [32 * 2**power for power in range(sizes)]
    runs = pd.DataFrame({"batch_size": batch_sizes * 2, "batch_norm": "before"})
    runs["val_loss"] = [1.0] * sizes + [3.0] * sizes
    axis = figures.against(runs, "batch_size", "val_loss", color="batch_norm")
    axis.figure.canvas.draw()
    assert axis.get_xscale() == "log"
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [2.0] * sizes)
    texts = [label.get_text() for label in axis.get_xticklabels()]
    assert texts == labels if labels else "64" not in texts
    assert axis.get_legend().get_title().get_text() == "batch normalization"


def test_images_have_titles_empty_places_stay_blank_and_signed_ones_are_white_at_zero():
    pictures = np.zeros((5, 28, 28))
    pictures[0, 0, 0] = -3
    figure = figures.images(pictures, list("abcde"), columns=4, signed=True)
    assert [axis.get_title() for axis in figure.axes] == [*"abcde", "", "", ""]
    assert [axis.images[0].get_clim() for axis in figure.axes if axis.images] == [(-3, 3)] * 5


def test_effects_are_of_accuracies_and_show_the_outcome():
    row = {"id": "K-C01", "claim": "A is better.", "source": "K", "measure": "test_accuracy"}
    decided = pd.DataFrame(
        [
            row | {"differences": [0.01, 0.03], "outcome": "reproduced"},
            row | {"id": "K-C01 fair", "source": "ours", "differences": [-0.02, 0.0],
                   "outcome": "open"},
            row | {"measure": "test_loss", "differences": [1.0, 2.0], "outcome": "reproduced"},
            row | {"differences": [], "outcome": "open"},
        ]
    )  # fmt: skip
    figure = figures.effects(decided)
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_yticklabels()] == [
        "K-C01: A is better.", "K-C01 fair: A is better."
    ]  # fmt: skip
    marks = [bars.lines[0] for bars in axis.containers]
    assert [mark.get_xdata()[0] for mark in marks] == pytest.approx([2, -1])
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [False, True]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["reproduced", "open"]
