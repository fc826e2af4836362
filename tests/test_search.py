"""A search explores, exploits, goes on where it was, and says what it found."""

import itertools
import math
import statistics
import subprocess
import sys
import time

import optuna
import pytest
from pandas.testing import assert_frame_equal

from fmnist_keras import training
from fmnist_keras.errors import RecipeError
from fmnist_keras.experiment import Study
from fmnist_keras.search import EXPLORED, log_uniform, search, uniform

BEST_RATE = 0.2


@pytest.fixture
def trained(monkeypatch):
    """Put a formula with its best at BEST_RATE in the place of training; return the list of (rate,
    seeds) trained."""
    calls = []

    def train(recipe, seeds, checkpoint):
        calls.append((recipe.learning_rate, tuple(seeds)))
        miss = math.log10(recipe.learning_rate / BEST_RATE)
        metrics = [{"val_accuracy": 0.9 - 0.1 * miss**2 + 0.001 * s, "seconds": 1.0} for s in seeds]
        return [training.Run(m, {"val_accuracy": [m["val_accuracy"]]}, None) for m in metrics]

    monkeypatch.setattr(training, "train", train)
    return calls


RANGE = {"learning_rate": log_uniform(1e-3, 100.0)}


def tried(found):
    return found.trials()["learning_rate"].tolist()


def test_a_log_range():
    assert RANGE["learning_rate"] == optuna.distributions.FloatDistribution(1e-3, 100.0, log=True)


def test_a_range_of_numbers_or_of_integers():
    assert uniform(0.0, 0.9) == optuna.distributions.FloatDistribution(0.0, 0.9)
    assert uniform(5, 9) == optuna.distributions.IntDistribution(5, 9)
    with pytest.raises(RecipeError, match=r"^low = 2: must be less than high = 1$"):
        uniform(2, 1)
    with pytest.raises(RecipeError, match=r"^high = inf: must be "):
        uniform(0.0, math.inf)


@pytest.mark.parametrize(
    ("low", "high", "start"),
    [
        (math.nan, 1, "low = nan: must be a finite number"),
        (0.1, math.inf, "high = inf: must be a finite number"),
        (0, 1, "low = 0: must be greater than 0"),
        (-1, 1, "low = -1: must be greater than 0"),
        ("0.1", 1, "low = '0.1': must be a number"),
        (1, 0.1, "low = 1: must be less than high = 0.1"),
        (1, 1, "low = 1: must be less than high = 1"),
        (0.1, 1e308, "high = 1e+308: must be from 1e-30 to 1e30"),
    ],
)
def test_a_range_that_is_none(low, high, start):
    with pytest.raises(RecipeError) as caught:
        log_uniform(low, high)
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"trials": 0}, "trials = 0: must be greater than or equal to 1"),
        ({"trials": 10**9}, "trials = 1000000000: must be less than or equal to 10000"),
        ({"seeds": [0, 0]}, "seeds = [0, 0]: each value may stand there once"),
        ({"seeds": []}, "seeds = []"),
        ({"sampler": "grid"}, "sampler = 'grid': must be 'tpe' or 'random'"),
        ({"learning_rate": None}, "space = {}: must hold at least one"),
        ({"learning_rat": log_uniform(0.1, 1)}, "learning_rat = FloatDistribution"),
    ],
)
def test_a_search_that_cannot_be(trained, small, options, start):
    arguments = {"trials": 3, **RANGE, **options}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    with pytest.raises(RecipeError) as caught:
        search(Study("wrong", seeds=[0]), small, **arguments)
    assert str(caught.value).startswith(start)
    assert trained == []


def test_it_explores_the_whole_range_and_then_closes_in(trained, small):
    found = search(Study("closes in", seeds=[0]), small, 24, **RANGE)
    logs = sorted(math.log10(rate) for rate in tried(found)[:EXPLORED])
    assert logs[0] < -1.5
    assert logs[-1] > 0.5
    assert max(b - a for a, b in itertools.pairwise(logs)) < 1.5  # no hole of a third
    miss = [abs(math.log10(rate / BEST_RATE)) for rate in tried(found)]
    assert statistics.median(miss[EXPLORED:]) < statistics.median(miss[:EXPLORED]) / 2
    assert found.best.learning_rate == pytest.approx(BEST_RATE, rel=0.3)


def test_each_recipe_is_searched_at_points_of_its_own(trained, small):
    study = Study("points", seeds=[0])
    one, other = (search(study, small.but(batch_size=size), 8, **RANGE) for size in (50, 100))
    assert not set(tried(one)) & set(tried(other))


def test_seeds_of_a_trial_are_trained_as_a_stack(trained, small):
    search(Study("stack", seeds=[0, 1, 2]), small, 3, **RANGE)
    assert [seeds for _, seeds in trained] == [(0, 1, 2)] * 3


def test_a_search_is_kept_and_goes_on(trained, small):
    first = search(Study("kept", seeds=[0]), small, 12, **RANGE)
    trained.clear()
    tried_first = tried(first)
    again = search(Study("kept", seeds=[0]), small, 12, **RANGE)
    assert trained == []
    assert_frame_equal(again.trials(), first.trials())
    assert_frame_equal(again.results.runs, first.results.runs)
    longer = search(Study("kept", seeds=[0]), small, 13, **RANGE)
    assert len(trained) == 1
    assert tried(longer)[:12] == tried_first
    shorter = search(Study("kept", seeds=[0]), small, 5, **RANGE)
    assert len(shorter.trials()) == 5
    assert len(shorter.results.runs) == 5


def test_its_trials_carry_parameters_and_values_in_storage(trained, small, results_folder):
    found = search(Study("shown", seeds=[0, 1]), small, 4, **RANGE)
    path = str(results_folder / "shown.journal")
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path))
    (name,) = [n for n in optuna.get_all_study_names(storage) if "search" in n]
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4
    assert [trial.params["learning_rate"] for trial in trials] == tried(found)
    means = found.results.runs.groupby("learning_rate", sort=False)["objective"].mean()
    assert [trial.value for trial in trials] == pytest.approx(means.tolist())


def test_it_can_maximize_a_value_of_its_own(trained, small):
    aim = 30.0

    def nearness(results):
        return -abs(math.log10(float(results.runs["learning_rate"].iloc[0]) / aim))

    study = Study("value", seeds=[0])
    found = search(study, small, 20, value=nearness, **RANGE)
    assert found.best.learning_rate == pytest.approx(aim, rel=0.3)
    usual = search(study, small, 20, **RANGE)  # another search, with the same first points
    assert usual.best.learning_rate == pytest.approx(BEST_RATE, rel=0.3)


def test_random_search_is_the_yardstick(trained, small):
    study = Study("samplers", seeds=[0])
    tpe, random = (search(study, small, 24, sampler=name, **RANGE) for name in ("tpe", "random"))
    assert len(random.trials()) == 24
    assert not set(tried(tpe)) & set(tried(random))
    assert tpe.trials()["best"].iloc[-1] >= random.trials()["best"].iloc[-1]
    with pytest.raises(RecipeError, match="sampler = 'grid'"):
        search(study, small, 3, sampler="grid", **RANGE)


@pytest.mark.parametrize(
    ("low", "high", "edge"),
    [(1e-3, 0.2, "learning_rate: upper edge"), (0.2, 9.0, "learning_rate: lower edge"),
     (1e-3, 9.0, "no")],
)  # fmt: skip
def test_a_best_value_at_the_edge_is_pointed_out(trained, small, low, high, edge):
    found = search(Study("edge", seeds=[0]), small, 16, learning_rate=log_uniform(low, high))
    summary = found.summary()
    assert summary["at the edge"] == edge
    assert (summary["trials"], summary["seeds"]) == (16, 1)
    assert summary["learning_rate"] == found.best.learning_rate


@pytest.mark.parametrize(
    ("space", "start"),
    [({"learning_rat": log_uniform(0.1, 1)}, "learning_rat = "),
     ({"dropout": optuna.distributions.FloatDistribution(1.5, 2)}, "dropout = ")],
)  # fmt: skip
def test_a_search_validates_its_recipes(trained, small, space, start):
    with pytest.raises(RecipeError, match=start):
        search(Study("wrong", seeds=[0]), small, 3, **space)
    assert trained == []


KILLED = """
import sys, time
from fmnist_keras import training
from fmnist_keras.experiment import Study
from fmnist_keras.recipe import Recipe
from fmnist_keras.search import log_uniform, search

def slow(recipe, seeds, checkpoint, train=training.train):
    runs = train(recipe, seeds, checkpoint)
    print(len(runs), flush=True)
    time.sleep(0.05)
    return runs

training.train = slow
small = Recipe(train_size=500, val_size=500, test_size=500, batch_size=100, epochs=2)
search(Study("killed", seeds=[0, 1]), small, 10, learning_rate=log_uniform(1e-3, 100.0))
"""


def test_a_killed_search_loses_and_repeats_no_trial(small, results_folder, monkeypatch):
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for _ in range(4):
        assert worker.stdout.readline(), worker.stderr.read()
    time.sleep(0.04)
    worker.kill()
    worker.communicate()
    study = Study("killed", seeds=[0, 1])
    resumed = search(study, small, 10, **RANGE)
    assert [trial.number for trial in resumed.study.trials] == list(range(10))
    assert [trial.state.name for trial in resumed.study.trials] == ["COMPLETE"] * 10
    monkeypatch.setenv("FMNIST_RESULTS", str(results_folder / "elsewhere"))
    undisturbed = search(Study("killed", seeds=[0, 1]), small, 10, **RANGE)
    assert_frame_equal(resumed.trials(), undisturbed.trials())
