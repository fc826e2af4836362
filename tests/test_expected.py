"""A notebook's numbers against the stored ones: what is off is named, and rounding is not off."""

import pandas as pd
import pytest

from fmnist_keras import expected
from fmnist_keras.settings import ROOT
from scripts.references import widened


def store(frame):
    expected.write(expected.numbers(frame), expected.EXPECTED / "smoke" / "02_baseline.csv")


def lines(*frames):
    return expected.compare("02_baseline", expected.numbers(*frames)).splitlines()


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A short condition and a long one at three seeds, whose numbers are stored."""
    monkeypatch.setattr(expected, "EXPECTED", tmp_path)
    (tmp_path / "smoke").mkdir()
    frame = pd.DataFrame(
        {"recipe": ["aaa"] * 3 + ["123"] * 3, "name": ["wide"] * 3 + [""] * 3,
         "optimizer": "sgd", "learning_rate": 0.1, "batch_size": 32,
         "seed": [0, 1, 2] * 2, "steps": [100] * 3 + [9_000] * 3, "seconds": [1.0, 2, 3, 4, 5, 6],
         "val_loss": [1.0, 1.1, 1.2] * 2, "test_accuracy": [0.80, 0.82, 0.84, 0.60, 0.64, 0.68]}
    )  # fmt: skip
    store(frame)
    return frame


def test_the_same_numbers_are_as_expected(runs):
    # loss and accuracy of two conditions; times are not compared, nor what follows from others
    for frames in ([runs], [runs.assign(seconds=99.0, steps=7)], [runs[:3], runs[3:]]):
        assert lines(*frames) == ["4 of 4 numbers as expected"]


def test_what_follows_from_others_is_compared_where_it_stands_alone():
    search = pd.DataFrame({"recipe": "tuned", "seed": [0, 1], "objective": [0.7, 0.8]})
    assert list(expected.numbers(search)["number"]) == ["objective"]
    assert list(expected.numbers(search.assign(val_loss=1.0))["number"]) == ["val_loss"]


def test_what_is_off_is_named_with_what_was_expected(runs):
    lower = runs["test_accuracy"].where(runs["recipe"] != "aaa", runs["test_accuracy"] - 0.02)
    first, second = lines(runs.assign(test_accuracy=lower))
    assert first == "3 of 4 numbers as expected"
    assert second.startswith("wide: test_accuracy 0.8, expected 0.82 ± 0.0")


@pytest.mark.parametrize(("change", "count"), [(0.03, 3), (0.3, 2)])
def test_a_long_run_may_drift_as_far_as_seeds_do_and_a_short_one_may_not(runs, change, count):
    moved = runs.assign(test_accuracy=runs["test_accuracy"] + change)
    assert lines(moved)[0] == f"{count} of 4 numbers as expected"


@pytest.mark.parametrize("change", [{"recipe": "bbb"}, {"seed": [3, 4, 5] * 2}])
def test_other_parameters_have_nothing_to_be_compared_with(runs, change):
    (said,) = lines(runs.assign(**change))
    assert said == "not checked: numbers as expected are stored for other parameters only"


def test_of_some_other_parameters_it_says_how_many_numbers_are_not_stored(runs):
    first, second = lines(runs[:3], runs[:3].assign(recipe="bbb"))
    assert first.startswith("2 of 4 ")
    assert second.startswith("2 are not stored")


def test_where_rounding_grows_at_once_only_what_is_averaged_counts(runs):
    steep = runs[:3].assign(
        batch_norm="after", running_loss=[0.60, 0.61, 0.62], running_accuracy=[0.7, 0.71, 0.72]
    )
    store(steep)
    changes = [
        ({"test_accuracy": 0.1}, 2),
        ({"running_loss": 0.62}, 2),
        ({"running_loss": 0.64}, 1),
    ]
    for change, count in changes:
        assert lines(steep.assign(**change))[0] == f"{count} of 2 numbers as expected"


def test_tolerances_grow_by_what_other_rounding_does(runs):
    first = runs["recipe"] == "aaa"
    before = expected.numbers(runs)
    other = expected.numbers(runs.assign(test_accuracy=runs["test_accuracy"] + 0.02 * first))
    grown = widened(before, other)["tolerance"]
    assert grown[1] == pytest.approx(0.1)  # five times as far
    assert list(grown.drop(1)) == list(before["tolerance"].drop(1))


def test_the_stored_numbers_are_few_and_stand_once():
    files = sorted((ROOT / "tests" / "expected").glob("*/*.csv"))
    assert {path.parent.name for path in files} == {"smoke", "quick"}
    assert sum(len(path.read_text("utf-8").splitlines()) for path in files) < 5_000
    for path in files:
        assert not expected.read(path).duplicated(expected.KEYS).any(), path
