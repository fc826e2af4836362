"""A notebook's numbers against the stored ones: what is off is named, and rounding is not off."""

import numpy as np
import pandas as pd
import pytest

from fmnist_keras.notebook import compare_with_expected, expected


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two conditions at three seeds, whose numbers are stored."""
    monkeypatch.setattr(expected, "EXPECTED", tmp_path)
    frame = pd.DataFrame(
        {"recipe": ["aaa"] * 3 + ["123"] * 3, "name": ["wide"] * 3 + [""] * 3,
         "optimizer": "sgd", "learning_rate": 0.1, "batch_size": 32,
         "seed": [0, 1, 2] * 2, "steps": [100] * 3 + [9_000] * 3, "seconds": [1.0, 2, 3, 4, 5, 6],
         "test_accuracy": [0.80, 0.82, 0.84, 0.60, 0.64, 0.68]}
    )  # fmt: skip
    monkeypatch.setenv("FMNIST_UPDATE_EXPECTED", "smoke")
    compare_with_expected("02_baseline", frame)
    monkeypatch.delenv("FMNIST_UPDATE_EXPECTED")
    return frame


def printed(capsys, *frames):
    capsys.readouterr()
    compare_with_expected("02_baseline", *frames)
    return capsys.readouterr().out.splitlines()


def test_the_same_numbers_are_as_expected(runs, capsys):
    # the number of updates and the accuracy of two conditions; times are not compared
    assert printed(capsys, runs) == ["4 of 4 numbers as expected"]
    assert printed(capsys, runs.assign(seconds=99.0)) == ["4 of 4 numbers as expected"]
    assert printed(capsys, runs[:3], runs[3:]) == ["4 of 4 numbers as expected"]


def test_what_is_off_is_named_with_what_was_expected(runs, capsys):
    lower = runs["test_accuracy"].where(runs["recipe"] != "aaa", runs["test_accuracy"] - 0.02)
    first, second = printed(capsys, runs.assign(test_accuracy=lower))
    assert first == "3 of 4 numbers as expected"
    assert second.startswith("wide: test_accuracy 0.8, expected 0.82 ± 0.0")


def test_a_long_run_may_drift_as_far_as_seeds_do_and_a_short_one_may_not(runs, capsys):
    for change, count in ((0.03, 3), (0.3, 2)):
        moved = runs.assign(test_accuracy=runs["test_accuracy"] + change)
        assert printed(capsys, moved)[0] == f"{count} of 4 numbers as expected"


def test_a_number_that_is_no_longer_finite_is_off(runs, capsys):
    assert printed(capsys, runs.assign(test_accuracy=np.inf))[0] == "2 of 4 numbers as expected"


@pytest.mark.parametrize("change", [{"recipe": "bbb"}, {"seed": [3, 4, 5] * 2}])
def test_other_parameters_have_nothing_to_be_compared_with(runs, capsys, change):
    lines = printed(capsys, runs.assign(**change))
    assert lines[0].startswith("0 of ")
    assert "not stored" in lines[1]
    assert len(lines) == 2


def test_where_rounding_grows_at_once_only_what_is_averaged_counts(runs, capsys, monkeypatch):
    steep = runs[:3].assign(
        batch_norm="after", running_loss=[0.60, 0.61, 0.62], running_accuracy=0.7,
        train_images=3_000, parameters=9_000,
    )  # fmt: skip
    monkeypatch.setenv("FMNIST_UPDATE_EXPECTED", "smoke")
    compare_with_expected("02_baseline", steep)
    monkeypatch.delenv("FMNIST_UPDATE_EXPECTED")
    assert printed(capsys, steep.assign(test_accuracy=0.1)) == ["4 of 4 numbers as expected"]
    assert printed(capsys, steep.assign(running_loss=0.65))[0] == "4 of 4 numbers as expected"
    assert printed(capsys, steep.assign(running_loss=0.75))[0] == "3 of 4 numbers as expected"


def test_tolerances_grow_by_what_other_rounding_does(runs, capsys, monkeypatch):
    def moved(change):
        first = runs["recipe"] == "aaa"
        return runs.assign(test_accuracy=runs["test_accuracy"] + change * first)

    assert printed(capsys, moved(0.02))[0] == "3 of 4 numbers as expected"
    monkeypatch.setenv("FMNIST_UPDATE_EXPECTED", "smoke")
    monkeypatch.setenv("FMNIST_OTHER_ROUNDING", "1")
    compare_with_expected("02_baseline", moved(0.02))
    monkeypatch.delenv("FMNIST_UPDATE_EXPECTED")
    for change, count in ((0.02, 4), (-0.09, 4), (0.11, 3)):  # up to five times as far
        assert printed(capsys, moved(change))[0] == f"{count} of 4 numbers as expected"
