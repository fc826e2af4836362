"""A search explores, exploits, goes on where it was, and says what it found."""

import itertools
import json
import math
import statistics
import subprocess
import sys

import optuna
import pytest
from pandas.testing import assert_frame_equal

from fmnist_keras import training
from fmnist_keras.errors import RecipeError, StorageError
from fmnist_keras.search import choice, log_uniform, search, uniform
from fmnist_keras.settings import ROOT
from fmnist_keras.spaces import EXPLORED

BEST_RATE = 0.2
RANGE = {"learning_rate": log_uniform(1e-3, 100.0)}


@pytest.fixture
def trained(monkeypatch):
    """Put a formula with its best at BEST_RATE in the place of training; return the list of (rate,
    seeds) trained."""
    calls = []

    def train(recipe, seeds, checkpoint):
        calls.append((recipe.learning_rate, tuple(seeds)))
        miss = math.log10(recipe.learning_rate / BEST_RATE)
        rest = {"seconds": 1.0, "stop_epoch": recipe.epochs, "diverged": 0.0}
        metrics = [{"val_accuracy": 0.9 - 0.1 * miss**2 + 0.001 * s, **rest} for s in seeds]
        curve = [0.5] * recipe.epochs
        return [training.Run(each, {"val_accuracy": curve}, None) for each in metrics]

    monkeypatch.setattr(training, "train", train)
    return calls


def tried(found):
    return found.trials()["learning_rate"].tolist()


def stored(results_folder):
    """The trials of the one search in the database."""
    url = f"sqlite:///{results_folder}/searches.db"
    (name,) = optuna.get_all_study_names(url)
    return optuna.load_study(study_name=name, storage=url).trials


# What a search may be


@pytest.mark.parametrize(
    ("make", "ends", "line"),
    [
        (log_uniform, (math.nan, 1), "low = nan: must be a finite number"),
        (log_uniform, (0.1, math.inf), "high = inf: must be a finite number"),
        (log_uniform, (0, 1), "low = 0: must be greater than 0"),
        (log_uniform, ("0.1", 1), "low = '0.1': must be a number"),
        (log_uniform, (1, 1), "low = 1: must be less than high = 1"),
        (log_uniform, (0.1, 1e308), "high = 1e+308: must be from 1e-30 to 1e30"),
        (uniform, (2, 1), "low = 2: must be less than high = 1"),
        (uniform, (0.0, math.inf), "high = inf: must be a finite number"),
        (choice, (), "values = (): must be at least one"),
        (choice, (1, 1), "values = (1, 1): each value may stand there once"),
    ],
)
def test_a_range_that_is_none(make, ends, line):
    with pytest.raises(RecipeError) as caught:
        make(*ends)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"trials": 0}, "trials = 0: must be greater than or equal to 1"),
        ({"trials": 10**9}, "trials = 1000000000: must be less than or equal to 10000"),
        ({"seeds": [0, 0]}, "seeds = [0, 0]: each value may stand there once"),
        ({"seeds": []}, "seeds = []"),
        ({"sampler": "grid"}, "sampler = 'grid': must be 'tpe' or 'random'"),
        ({"pruner": optuna.pruners.MedianPruner()}, "rungs = None: a pruner needs them"),
        ({"learning_rate": None}, "space = {}: must hold at least one"),
        ({"learning_rat": uniform(0.1, 1)}, "learning_rat = 0.1: no parameter has this name; did"),
        ({"dropout": uniform(1.5, 2.0)}, "dropout = 1.5: must be less than 1"),
        ({"optimizer": choice("sgd", "adam"), "momentum": uniform(0.1, 0.9)}, "momentum = 0.1: on"),
    ],
)
def test_a_search_that_cannot_be_is_one_line_before_it_trains(trained, small, options, line):
    arguments = {"trials": 3, "seeds": [0], **RANGE, **options}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    with pytest.raises(RecipeError) as caught:
        search(small, **arguments)
    assert str(caught.value).startswith(line)
    assert trained == []


@pytest.mark.parametrize(
    ("url", "reason"), [("postgresql://u:secret@127.0.0.1:1/d", ""), ("nowhere", "parse")]
)
def test_a_storage_that_cannot_be_used_is_one_line_before_it_trains(
    trained, small, monkeypatch, url, reason
):
    monkeypatch.setenv("FMNIST_OPTIONS", json.dumps({"storage": url}))
    with pytest.raises(StorageError, match=rf"^STORAGE = .*: .*{reason}") as caught:
        search(small, 2, [0], **RANGE)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert trained == []


# What it tries


@pytest.mark.slow
def test_it_explores_the_whole_range_and_then_closes_in(trained, small):
    found = search(small, 24, [0], **RANGE)
    logs = sorted(math.log10(rate) for rate in tried(found)[:EXPLORED])
    assert logs[0] < -1.5
    assert logs[-1] > 0.5
    assert max(b - a for a, b in itertools.pairwise(logs)) < 1.5  # no hole of a third
    miss = [abs(math.log10(rate / BEST_RATE)) for rate in tried(found)]
    assert statistics.median(miss[EXPLORED:]) < statistics.median(miss[:EXPLORED]) / 2
    assert found.best.learning_rate == pytest.approx(BEST_RATE, rel=0.3)
    random = search(small, 24, [0], sampler="random", **RANGE)
    assert not set(tried(found)) & set(tried(random))
    assert found.trials()["best"].iloc[-1] >= random.trials()["best"].iloc[-1]


def test_each_recipe_is_searched_at_points_of_its_own(trained, small):
    one, other = (search(small.replace(batch_size=size), 4, [0], **RANGE) for size in (50, 100))
    assert not set(tried(one)) & set(tried(other))


@pytest.mark.slow
def test_it_can_maximize_a_value_of_its_own(trained, small):
    aim = 30.0

    def nearness(results):
        return -abs(math.log10(float(results.runs["learning_rate"].iloc[0]) / aim))

    found = search(small, 20, [0], value=nearness, **RANGE)
    assert found.best.learning_rate == pytest.approx(aim, rel=0.3)


def test_choices_may_be_of_any_kind(trained, small, results_folder):
    units, optimizers = [(32,), (64, 64), ()], ["sgd", "adam"]
    space = {"units": choice(*units), "optimizer": choice(*optimizers), "epochs": uniform(1, 3)}
    for trials in (10, 12):  # the second goes on from the first
        found = search(small, trials, [0], **space)
    table = found.trials()
    assert set(table["units"]) <= set(units)
    assert set(table["epochs"]) <= {1, 2, 3}
    assert found.best.units in units
    assert {trial.params["units"] for trial in stored(results_folder)} <= set(map(str, units))


def test_a_function_makes_a_recipe_of_parameters_that_depend_on_each_other(trained, small):
    def make(optimizer, momentum, layers, width, learning_rate):
        changes = {"momentum": momentum} if optimizer == "sgd" else {}
        return small.replace(optimizer=optimizer, units=(width,) * layers,
                             learning_rate=learning_rate, **changes)  # fmt: skip

    space = {"optimizer": choice("sgd", "adam"), "momentum": uniform(0.1, 0.9),
             "layers": uniform(0, 3), "width": choice(8, 16), **RANGE}  # fmt: skip
    found = search(make, 8, [0], **space)
    assert found.best.learning_rate == found.study.best_params["learning_rate"]
    assert {"sgd", "adam"} == set(found.trials()["optimizer"])


# What is kept, and what it says


def test_a_search_is_kept_and_goes_on(trained, small, results_folder):
    first = search(small, 9, [0, 1], **RANGE)
    assert [seeds for _, seeds in trained] == [(0, 1)] * 9, "stacked"
    trained.clear()
    again = search(small, 9, [0, 1], **RANGE)
    assert trained == []
    assert_frame_equal(again.trials(), first.trials())
    assert_frame_equal(again.results.runs, first.results.runs)
    longer = search(small, 10, [0, 1], **RANGE)
    assert len(trained) == 1
    assert tried(longer)[:9] == tried(first)
    shorter = search(small, 5, [0, 1], **RANGE)
    assert (len(shorter.trials()), len(shorter.results.runs)) == (5, 10)
    means = longer.results.runs.groupby("learning_rate", sort=False)["objective"].mean()
    for trials in (stored(results_folder), longer.study.trials):
        assert [trial.number for trial in trials] == list(range(10))
        assert [trial.params["learning_rate"] for trial in trials] == tried(longer)
        assert [trial.value for trial in trials] == pytest.approx(means.tolist())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("low", "high", "edge"),
    [(1e-3, 0.2, "learning_rate: upper edge"), (0.2, 9.0, "learning_rate: lower edge"),
     (1e-3, 9.0, "no")],
)  # fmt: skip
def test_a_best_value_at_the_edge_is_pointed_out(trained, small, low, high, edge):
    found = search(small, 14, [0], learning_rate=log_uniform(low, high))
    summary = found.summary()
    assert summary["at the edge"] == edge
    assert (summary["trials"], summary["seeds"]) == (14, 1)
    assert summary["learning_rate"] == found.best.learning_rate


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pruner", "rungs"),
    [(optuna.pruners.MedianPruner(n_startup_trials=2), [1, 2]),
     (optuna.pruners.HyperbandPruner(), [1, 3])],
)  # fmt: skip
def test_a_pruner_ends_trials_at_its_rungs(tmp_path, results_folder, pruner, rungs):
    log = tmp_path / "log"

    def grow(seed, folder, rate, epochs):
        path = folder / "epoch"
        start = int(path.read_text("utf-8")) if path.exists() else 0
        path.write_text(str(epochs), "utf-8")
        with log.open("a", encoding="utf-8") as file:
            print(json.dumps([rate, start, epochs]), file=file)
        return {"val_accuracy": rate * epochs / 9}

    options = {"train": grow, "pruner": pruner, "rungs": rungs, "rate": uniform(0.0, 1.0)}
    found = search({"epochs": 9}, 12, [0], **options)
    table = found.trials()
    assert 0 < sum(table["state"] == "pruned") < 12
    assert found.best == {"epochs": 9, "rate": pytest.approx(table["rate"].max())}
    trained = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for rate, part in itertools.groupby(trained, key=lambda each: each[0]):
        steps = [(start, end) for _, start, end in part]
        ends = [0, *rungs, 9][: len(steps) + 1]
        assert steps == list(itertools.pairwise(ends)), f"{rate}: goes on, never begins again"
    assert list((results_folder / "checkpoints").iterdir()) == []
    assert_frame_equal(search({"epochs": 9}, 12, [0], **options).trials(), table)
    assert len(log.read_text("utf-8").splitlines()) == len(trained), "nothing is trained again"
    assert [trial.state.name.lower() for trial in stored(results_folder)] == list(table["state"])


KILLED = """
from fmnist_keras import training
from tests.test_search import RANGE, search
from fmnist_keras.recipe import Recipe

def announced(recipe, seeds, checkpoint, train=training.train):
    print("training", flush=True)
    return train(recipe, seeds, checkpoint)

training.train = announced
small = Recipe(train_size=500, val_size=500, test_size=500, batch_size=100, epochs=2)
search(small, 10, [0, 1], **RANGE)
"""


@pytest.mark.slow
def test_a_killed_search_loses_and_repeats_no_trial(small, results_folder, monkeypatch):
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(4):
        assert worker.stdout.readline(), worker.stderr.read()
    worker.kill()
    worker.communicate()
    resumed = search(small, 10, [0, 1], **RANGE)
    assert [trial.state.name for trial in stored(results_folder)] == ["COMPLETE"] * 10
    monkeypatch.setenv("FMNIST_RESULTS", str(results_folder / "elsewhere"))
    assert_frame_equal(resumed.trials(), search(small, 10, [0, 1], **RANGE).trials())
