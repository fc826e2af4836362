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
        {"name": name, "optimizer": name, "seed": seed, "epoch": epoch, "metric": metric,
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
    assert [text.get_text() for text in axes[-1].get_legend().get_texts()] == list(OPTIMIZERS)
    band = axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(1 / 5)
    assert band.max() == pytest.approx(1 + 0.2)


def test_train_and_val_give_two_panels_per_condition(frame):
    figure = figures.train_and_val(frame)
    titles = [axis.get_title() for axis in figure.axes if axis.axison]
    assert titles == ["sgd", "sgd", "adam", "adam"]


def test_against_marks_means_on_a_log_axis():
    runs = pd.DataFrame({"learning_rate": [0.01, 0.01, 0.1, 0.1], "val_accuracy": [1, 3, 5, 7]})
    axis = figures.against(runs, "learning_rate", "val_accuracy")
    assert axis.get_xscale() == "log"
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [2, 6])


def test_images_have_titles_and_empty_places_stay_blank():
    figure = figures.images(np.zeros((5, 28, 28)), list("abcde"), columns=4)
    assert [axis.get_title() for axis in figure.axes] == [*"abcde", "", "", ""]
    assert sum(bool(axis.images) for axis in figure.axes) == 5


def test_each_seed_has_a_line_that_ends_where_it_stopped(frame):
    stopped = frame[(frame["seed"] != 1) | (frame["epoch"] <= 3)]
    (axis,) = figures.each_seed(stopped, "val_loss").axes
    ends = sorted(line.get_xdata()[-1] for line in axis.lines if len(line.get_xdata()))
    assert ends == [3, 3, 5, 5, 5, 5]  # two conditions, three seeds
    dots = np.concatenate([dots.get_offsets() for dots in axis.collections])
    assert sorted(dots[:, 0]) == ends
    assert dots[:, 1].max() == pytest.approx(1 / 3 + 0.1)


def test_a_specification_curve_sorts_readings_and_marks_their_choices():
    runs = pd.DataFrame(
        {"learning_rate": [0.1, 0.1, 0.01, 0.01], "width": [10, 10, 10, 10], "seed": [0, 1, 0, 1],
         "test_loss": [0.9, 0.7, 0.3, 0.5]}
    )  # fmt: skip
    choices = ["learning_rate", "width"]
    above, below = figures.specification(runs, "test_loss", choices, published=0.6).axes
    means = [line.get_ydata()[0] for line in above.lines if line.get_marker() == "o"]
    assert means == pytest.approx([0.4, 0.8])
    assert 0.6 in {line.get_ydata()[0] for line in above.lines}
    labels = [text.get_text() for text in below.get_yticklabels()]
    assert labels == ["learning rate 0.1", "learning rate 0.01", "width 10"]
    made = {tuple(line.get_xydata()[0]) for line in below.lines if line.get_color() == "C0"}
    assert made == {(0, 1), (0, 2), (1, 0), (1, 2)}
