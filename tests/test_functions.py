"""Any function of a seed and settings is a run: kept, shown and trained once, like a recipe's."""

import json
from pathlib import Path

import numpy as np
import pytest

from fmnist_keras.errors import RecipeError
from fmnist_keras.runs import hand_on, run
from fmnist_keras.search import search, uniform
from fmnist_keras.sources import KERAS_STUDY


@pytest.fixture
def log(tmp_path):
    """A file with a line for each call; a list would be part of what the functions are."""
    return str(tmp_path / "calls")


@pytest.fixture
def calls(log):
    """What was called so far."""
    path = Path(log)
    return lambda: [json.loads(line) for line in path.open("rb")] if path.exists() else []


@pytest.fixture
def grow(log):
    """A function that keeps in its folder how far it was, and can be interrupted."""

    def grow(seed, folder, rate, epochs, interrupted_at=None):
        path = folder / "epoch"
        start = int(path.read_text("utf-8")) if path.exists() else 0
        path.write_text(str(epochs), "utf-8")
        with open(log, "a", encoding="utf-8") as file:
            print(json.dumps([seed, rate, start, epochs]), file=file)
        if start == interrupted_at:
            raise KeyboardInterrupt
        return {"val_accuracy": np.float32(rate), "parts": [1, 2]}, {"loss": np.ones(epochs)}

    return grow


def test_a_function_is_trained_once(calls, grow):
    settings = [{"name": "slow", "rate": 0.25, "epochs": 2}, {"rate": 0.5, "epochs": 3}]
    for _ in range(2):
        results = run(settings, [0, 1], train=grow)
    assert calls() == [[0, 0.25, 0, 2], [1, 0.25, 0, 2], [0, 0.5, 0, 3], [1, 0.5, 0, 3]]
    runs, curves = results.runs, results.curves
    assert list(runs["name"]) == ["slow", "slow", "", ""]
    assert list(runs["objective"]) == list(runs["rate"]) == [0.25, 0.25, 0.5, 0.5]
    assert runs["parts"].tolist() == [[1, 2]] * 4
    assert curves.groupby("rate")["epoch"].max().to_dict() == {0.25: 2, 0.5: 3}
    assert runs["recipe"].nunique() == 2
    run({**settings[0], "name": "renamed"}, [0], train=grow)
    assert len(calls()) == 4, "a name is a label"


def test_metrics_alone_will_do_and_other_functions_are_other_runs():
    def one(seed):
        return {"value": 1.0}

    def two(seed):
        return {"value": 2.0}

    values = [run({}, [0], train=function).runs["value"].item() for function in (one, two, one)]
    assert values == [1, 2, 1]


def test_a_folder_goes_once_its_run_is_kept_unless_it_is_handed_on(calls, grow, results_folder):
    short, long = {"rate": 0.5, "epochs": 2}, {"rate": 0.5, "epochs": 5}
    run(short, [0], train=grow, keep_checkpoints=True)
    hand_on(short, long, [0], train=grow)
    run(long, [0], train=grow)
    assert calls() == [[0, 0.5, 0, 2], [0, 0.5, 2, 5]]
    assert list((results_folder / "checkpoints").iterdir()) == []


def test_what_an_interrupted_run_left_outlives_other_runs(calls, grow, results_folder):
    short = {"rate": 0.5, "epochs": 2}
    long = {"rate": 0.5, "epochs": 5, "interrupted_at": 0}
    with pytest.raises(KeyboardInterrupt):
        run(long, [0], train=grow)
    for _ in range(2):  # trained, then found
        run(short, [0], train=grow)
    run(long, [0], train=grow)
    assert [start for _, _, start, _ in calls()] == [0, 0, 5], "it goes on from where it was"
    assert list((results_folder / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "line"),
    [({"rate": 0.5}, "grow with {'name': '', 'rate': 0.5}: missing a required argument: 'epochs'"),
     ({"rate": 0.5, "epochs": 1, "momentum": 0.9}, "got an unexpected keyword argument 'momentum'"),
     ({"rate": 0.5, "epochs": 1, "seed": 1}, "seed = 1: no setting may have this name"),
     (KERAS_STUDY, "is a recipe, which trains itself"),
     ({"rate": object(), "epochs": 1}, "Object of type object is not JSON serializable")],
)  # fmt: skip
def test_settings_that_do_not_fit_are_one_line_before_it_trains(calls, grow, settings, line):
    with pytest.raises(RecipeError) as caught:
        run([{"rate": 0.5, "epochs": 1}, settings], [0], train=grow)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert calls() == []


@pytest.mark.parametrize(
    "returned", [None, 3.0, 1j, {"model": object()}, ({"a": 1}, [1, 2]), (1, 2, 3)]
)
def test_what_cannot_be_kept_is_one_line(returned, results_folder):
    def odd(seed):
        return returned

    with pytest.raises(RecipeError, match=r"^odd returned .*: must be a dict of metrics") as caught:
        run({}, [0], train=odd)
    assert "\n" not in str(caught.value)
    assert not list(results_folder.glob("runs/*"))


@pytest.mark.parametrize("name", ["seed", "recipe", "rate", "versions"])
def test_a_metric_does_not_take_the_place_of_another_column(name, results_folder):
    def odd(seed, rate):
        return {name: 5}

    with pytest.raises(RecipeError, match=f"^odd returned {name}: a column has this name$"):
        run({"rate": 0.5}, [0], train=odd)
    assert not list(results_folder.glob("runs/*"))


def test_settings_without_their_function_and_a_label_that_is_asked_for_are_one_line():
    with pytest.raises(RecipeError, match="needs train="):
        run({"rate": 0.5}, [0])
    with pytest.raises(RecipeError, match="name is a label and not passed on"):
        run({"name": "a"}, [0], train=lambda seed, name: {"value": 1.0})


def test_a_search_of_a_function_says_what_it_cannot_maximize():
    with pytest.raises(RecipeError, match="neither val_accuracy nor val_loss: pass value="):
        search({}, 1, [0], train=lambda seed, rate: {"score": rate}, rate=uniform(0.0, 1.0))


def test_a_file_says_what_was_trained(grow, results_folder):
    run({"name": "a", "rate": 0.5, "epochs": 1}, [7], train=grow)
    (path,) = (results_folder / "runs").iterdir()
    kept = json.loads(path.read_text("utf-8"))
    assert kept["recipe"] == {"name": "a", "rate": 0.5, "epochs": 1}
    assert (kept["seed"], kept["curves"]) == (7, {"loss": [1.0]})
