"""Each run is trained once and kept as a file, whatever is killed and whoever else works on it."""

import json
import math
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from fmnist_keras import fingerprint, progress, settings, store, training
from fmnist_keras.errors import RecipeError, StorageError
from fmnist_keras.recipe import Recipe
from fmnist_keras.registry import INITIALIZERS
from fmnist_keras.runs import run

PROVENANCE = ["fingerprint", "versions", "backend", "device", "threads", "cores", "commit"]
PATIENCE = 90  # seconds for a process of our own


@pytest.fixture
def trained(monkeypatch):
    """Put a formula in the place of training; return the list of (learning rate, seed) trained."""
    calls = []

    def train(recipe, seeds, checkpoint):
        calls.extend((recipe.learning_rate, seed) for seed in seeds)
        return [formula(recipe, seed) for seed in seeds]

    monkeypatch.setattr(training, "train", train)
    return calls


def formula(recipe, seed):
    """What stands for a trained run."""
    accuracy = 0.9 - 0.1 * abs(math.log10(recipe.learning_rate)) + 0.001 * seed
    epochs = recipe.epochs
    curves = {"val_accuracy": [accuracy] * epochs, "seconds": [1.0] * epochs}
    metrics = {"val_accuracy": accuracy, "seconds": 2.0, "stop_epoch": epochs, "diverged": 0.0}
    return SimpleNamespace(metrics=metrics, curves=curves, model=None)


@pytest.fixture
def cnn(small):
    """A recipe whose seeds are trained one by one."""
    return small.replace(model="simple_cnn")


@pytest.fixture
def options(monkeypatch):
    """Set what make asks for."""
    return lambda **given: monkeypatch.setenv("FMNIST_OPTIONS", json.dumps(given))


def comparable(results):
    """The frames without what differs from one run to the next of the same."""
    curves = results.curves[results.curves["metric"] != "seconds"].reset_index(drop=True)
    return results.runs.drop(columns=["seconds", *PROVENANCE]), curves


def assert_equal(one, other):
    for ours, theirs in zip(comparable(one), comparable(other), strict=True):
        assert_frame_equal(ours, theirs, check_exact=True)


# Frames


def test_frames(small):
    results = run(small.grid(learning_rate=[0.5, 0.1]), [4, 2])
    runs, curves = results.runs, results.curves
    pairs = [(0.5, 4), (0.5, 2), (0.1, 4), (0.1, 2)]
    assert list(zip(runs["learning_rate"], runs["seed"], strict=True)) == pairs
    fields = {*Recipe.model_fields, "recipe", "seed"}
    assert set(curves) == fields | {"epoch", "metric", "value"}
    assert set(runs) > fields | {"test_accuracy", "seconds", "objective", *PROVENANCE}
    assert list(runs["objective"]) == list(runs["val_accuracy"])
    last = curves[(curves["metric"] == "val_accuracy") & (curves["epoch"] == 2)]
    assert list(zip(last["learning_rate"], last["seed"], strict=True)) == pairs
    assert list(last["value"]) == list(runs["val_accuracy"])
    assert "tensorflow 2" in runs["versions"][0]


def test_nothing_to_run_is_an_error(results_folder):
    for recipes, seeds, what in [([], [0], "recipes = "), (Recipe(), [], "seeds = ")]:
        with pytest.raises(RecipeError, match=what):
            run(recipes, seeds)
    assert not results_folder.exists()


def test_a_diagnostic_adds_columns_and_is_kept(trained, cnn):
    def images(model, arrays):
        return {"images": len(arrays.train), "parts": sorted(arrays.parts)}

    for _ in range(2):
        row = run(cnn, [0], diagnose=images).runs.iloc[0]
        assert (row["images"], row["parts"]) == (500, ["test", "train", "val"])
        assert len(trained) == 1
    assert "images" not in run(cnn, [0]).runs


def test_results_add_up_without_duplicates(trained, cnn):
    one, two, three = cnn.grid(learning_rate=[0.1, 0.2, 0.3])
    both = run([one, two], [0, 1]) + run([two, three], [0, 1])
    assert_equal(both, run([one, two, three], [0, 1]))
    assert len((both + run(one.replace(name="another"), [0, 1])).runs) == 8


# Files


def test_only_what_is_missing_is_trained(trained, cnn):
    recipes = cnn.grid(learning_rate=[0.1, 0.2])
    first = run(recipes, [0, 1])
    assert trained == [(0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)]
    trained.clear()
    again = run(recipes, [0, 1])
    assert trained == []
    assert_frame_equal(first.runs, again.runs)
    assert_frame_equal(first.curves, again.curves)
    run([*recipes, cnn.replace(epochs=9)], [2, 1])
    assert trained == [(0.1, 2), (0.2, 2), (0.01, 2), (0.01, 1)]


DAMAGE = [lambda t: t[:-20], lambda t: b"", lambda t: b"\xff\x00" + t, lambda t: b"[1, 2]",
          lambda t: b'{"metrics": {}}']  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_costs_its_own_run_alone(trained, cnn, results_folder, damage):
    first = run(cnn, [0, 1, 2])
    path = next((results_folder / "runs").glob("*-1-*.json"))
    path.write_bytes(damage(path.read_bytes()))
    trained.clear()
    assert_frame_equal(run(cnn, [0, 1, 2]).runs, first.runs)
    assert trained == [(0.01, 1)]
    assert json.loads(path.read_text("utf-8"))["seed"] == 1


def test_a_run_cut_short_is_none(trained, cnn, results_folder, monkeypatch):
    whole = cnn.replace(epochs=3)
    with monkeypatch.context() as patch:
        shorter = [formula(cnn.replace(epochs=2), 0)]
        patch.setattr(training, "train", lambda *arguments: shorter)
        with pytest.raises(StorageError, match=r": curves of \[2\] epochs, where .* epochs = 3: "):
            run(whole, [0])
        assert not list((results_folder / "runs").glob("*"))
        shorter[0].curves["loss"] = [1.0] * 3
        with pytest.raises(StorageError, match=r": curves of \[2, 3\] epochs"):
            run(whole, [0])
    run(whole, [0])
    (path,) = (results_folder / "runs").glob("*.json")
    path.write_text(path.read_text("utf-8").replace('"seconds": [1.0, ', '"seconds": ['), "utf-8")
    run(whole, [0])
    assert len(trained) == 2, "a stored one is trained again"


def test_a_run_that_stops_early_is_whole(small, trained, monkeypatch):
    recipe = small.replace(model="simple_cnn", patience=2, epochs=9)

    def stopped(best_epoch, **metrics):
        made = formula(recipe.replace(epochs=4), 0)
        made.metrics.update(best_epoch=best_epoch, val_loss=1.0, **metrics)
        return [made]

    for seed, found in enumerate([stopped(2), stopped(3, diverged=1.0)]):
        monkeypatch.setattr(training, "train", lambda *arguments, found=found: found)
        assert run(recipe, [seed]).runs["stop_epoch"].tolist() == [4]
    monkeypatch.setattr(training, "train", lambda *arguments: stopped(3))
    with pytest.raises(StorageError, match=r"curves of \[4\] epochs"):
        run(recipe, [2])


def test_a_diverged_run_is_a_run(small):
    recipe = small.replace(activation="relu", learning_rate=1e20)
    run(recipe, [0])
    results = run(recipe, [0])  # read back
    row = results.runs.iloc[0]
    assert (row["diverged"], row["stop_epoch"]) == (1, 1)
    assert math.isnan(row["train_loss"])
    assert 0 <= row["objective"] <= 0.2
    assert results.curves[results.curves["metric"] == "val_loss"]["value"].isna().tolist() == [True]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_run_without_finite_objective_comes_last(small, monkeypatch, loss):
    def train(recipe, seeds, checkpoint):
        value = loss if recipe.learning_rate == 0.1 else 5.0
        metrics = {"val_loss": value, "stop_epoch": 1, "diverged": 0.0}
        return [training.Run(metrics, {"val_loss": [value]}, None) for _ in seeds]

    monkeypatch.setattr(training, "train", train)
    recipes = small.replace(task="inpaint", epochs=1).grid(learning_rate=[0.1, 0.2])
    assert run(recipes, [0]).runs["objective"].tolist() == [-math.inf, -5.0]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_run_that_raised_can_be_run_again(trained, cnn, monkeypatch, error):
    works = training.train

    def fails(recipe, seeds, checkpoint):
        if seeds == [1]:
            raise error("in the middle")
        return works(recipe, seeds, checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train", fails)
        with pytest.raises(error, match="in the middle"):
            run(cnn, [0, 1, 2])
    assert len(run(cnn, [0, 1, 2]).runs) == 3
    assert [seed for _, seed in trained] == [0, 1, 2]


def test_a_file_in_the_folders_place_is_one_line_before_anything_trains(
    trained, cnn, results_folder
):
    results_folder.write_text("", "utf-8")
    with pytest.raises(StorageError, match=r"^.*results.*: .*; put that right .* goes on$"):
        run(cnn, [0])
    assert trained == []


def test_a_full_disk_is_one_line_and_leaves_nothing_half(trained, cnn, results_folder, monkeypatch):
    def full(path, text, encoding):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(StorageError, match=r"^.*: No space left on device; put that right"):
            run(cnn, [0])
    assert list((results_folder / "runs").iterdir()) == []
    assert len(run(cnn, [0]).runs) == 1


# Processes


REAL = """
import sys
from fmnist_keras import training
from tests.test_runs import recipes, run

def announced(recipe, seeds, checkpoint, train=training.train):
    print("training", recipe.learning_rate, flush=True)
    return train(recipe, seeds, checkpoint)

training.train = announced
run(recipes(int(sys.argv[1])), [0, 1])
"""
FORMULA = """
import contextlib, sys, time, types
stub = sys.modules["fmnist_keras.training"] = types.ModuleType("stub")  # no TensorFlow to load
from fmnist_keras import conditions, provenance
from tests.test_runs import PROVENANCE, formula, recipes, run

def train(recipe, seeds, checkpoint):
    print("training", flush=True)
    time.sleep(0.03)
    return [formula(recipe, seed) for seed in seeds]

stub.train, stub.worth_stacking = train, lambda recipe: True
conditions.pinned = contextlib.nullcontext
provenance.current = lambda: dict.fromkeys(PROVENANCE, "")
run(recipes(int(sys.argv[1])), list(range(9)))
"""


def recipes(count):
    base = Recipe(train_size=480, val_size=500, test_size=500, batch_size=80, epochs=2)
    return base.grid(learning_rate=[0.5 / (n + 1) for n in range(count)])


def start(code, count):
    """A process that trains so many recipes and says when it begins with one."""
    return subprocess.Popen(
        [sys.executable, "-c", code, str(count)], cwd=settings.ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_each_run_once_and_give_the_same_numbers(results_folder, monkeypatch):
    both = [start(REAL, 8) for _ in range(2)]
    rates = []
    for process in both:
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        rates.append([line.split()[1] for line in output.splitlines()])
    assert all(rates), "both had something to do"
    assert len({*rates[0], *rates[1]}) == len(rates[0]) + len(rates[1]) == 8
    shared = run(recipes(8), [0, 1])
    monkeypatch.setenv("FMNIST_RESULTS", str(results_folder / "elsewhere"))
    assert_equal(shared, run(recipes(8), [0, 1]))


@pytest.mark.slow
def test_twenty_kills_while_runs_train_and_are_stored_change_no_number(
    trained, results_folder, monkeypatch
):
    """Of a formula; test_checkpoint and test_search kill what really trains."""
    chance, kills, seeds = random.Random(0), 20, list(range(9))
    for number in range(kills):
        process = start(FORMULA, 2 * (number + 1))  # there is always something to train
        assert process.stdout.readline() == "training\n", process.stderr.read()
        time.sleep(chance.uniform(0, 0.06))
        process.kill()
        process.communicate()
    killed = run(recipes(2 * kills), seeds)
    monkeypatch.setenv("FMNIST_RESULTS", str(results_folder / "elsewhere"))
    assert_equal(killed, run(recipes(2 * kills), seeds))


# Which runs are the same


@pytest.fixture
def other_code(monkeypatch):
    """A context in which the code is another."""

    def enter(patch, name="other"):
        both = dict.fromkeys(fingerprint.IMPORTED, name)
        patch.setattr(fingerprint, "IMPORTED", both)
        patch.setattr(fingerprint, "on_disk", lambda: both)

    return enter


def test_runs_of_other_code_are_trained_again(trained, cnn, monkeypatch, other_code):
    run(cnn, [0])
    with monkeypatch.context() as patch:
        other_code(patch)
        assert run(cnn, [0]).runs["fingerprint"].tolist() == ["other"]
        run(cnn, [0])
        assert len(trained) == 2
    assert run(cnn, [0]).runs["fingerprint"].tolist() == [fingerprint.CURRENT]
    assert len(trained) == 2  # the first runs are there still


def test_expensive_runs_of_older_code_can_be_kept(trained, cnn, monkeypatch, options, other_code):
    with monkeypatch.context() as patch:
        other_code(patch, "older")
        run(cnn, [0])
    options(reuse=True)
    runs = run(cnn, [0, 1]).runs
    assert runs["fingerprint"].tolist() == ["older", fingerprint.CURRENT]
    assert len(trained) == 2
    options()
    run(cnn, [0])
    options(reuse=True)
    runs = run(cnn, [0]).runs
    assert runs["fingerprint"].tolist() == [fingerprint.CURRENT]  # the present code's come first


def test_code_edited_in_a_live_session_is_not_trained_with(trained, cnn, monkeypatch):
    run(cnn, [0])
    monkeypatch.setattr(fingerprint, "on_disk", dict)
    run(cnn, [0])  # what is kept is what the session imported
    with pytest.raises(RuntimeError, match="restart the kernel"):
        run(cnn.replace(epochs=9), [0])
    assert len(trained) == 1


# Packs


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's root of our own, with reports/paper."""
    (tmp_path / "reports" / "paper").mkdir(parents=True)
    for module in (progress, store):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    store._rows.cache_clear()
    return tmp_path


def test_a_report_of_a_fresh_clone_needs_no_training(
    trained, cnn, project, results_folder, options
):
    first = run(cnn.grid(learning_rate=[0.1, 0.2]), [0, 1])
    store.archive("paper")
    pack = project / "reports" / "paper" / "runs.parquet"
    before = pack.read_bytes()
    shutil.rmtree(results_folder)
    trained.clear()
    options(report="paper/02_baseline")
    again = run(cnn.grid(learning_rate=[0.1, 0.2]), [0, 1])
    assert trained == []
    assert_equal(first, again)
    assert len(pd.read_parquet(pack)) == 4
    options()
    run(cnn.replace(learning_rate=0.2), [0])
    assert trained == [(0.2, 0)], "without a report of that profile there is no pack"
    store.archive("paper")
    assert pack.read_bytes() == before, "what it holds stays"


def test_committed_runs_come_before_local_ones_until_clean(
    trained, cnn, project, results_folder, options
):
    run(cnn, [0])
    store.archive("paper")
    (path,) = (results_folder / "runs").glob("*.json")
    local = json.loads(path.read_text("utf-8"))
    local["metrics"]["val_accuracy"] = 0.5  # as on another processor
    path.write_text(json.dumps(local), "utf-8")
    options(report="paper/02_baseline")
    assert run(cnn, [0]).runs["val_accuracy"][0] > 0.6
    options(report="quick/02_baseline")
    assert run(cnn, [0]).runs["val_accuracy"][0] == 0.5
    (results_folder / "cleaned").touch()
    options(report="paper/02_baseline")
    assert run(cnn, [0]).runs["val_accuracy"][0] == 0.5
    assert len(trained) == 1


def test_all_committed_runs_are_found(options):
    """None is orphaned: each row's recipe has the row's key, and this code's fingerprint."""
    frame = pd.read_parquet(settings.ROOT / "reports" / "paper" / "runs.parquet")
    assert len(frame) >= 5_323
    own = frame["recipe"].map(lambda text: json.loads(text)["initializer"] not in INITIALIZERS)
    assert own.sum() == 20, "those with an initializer of notebook 15, which registers it"
    gradients = frame["metrics"].str.contains("first_gradient")
    assert gradients.sum() == 160, "of a function of notebook 15"
    frame = frame[~own & ~gradients]
    for job, recipe, mark in zip(frame["job"], frame["recipe"], frame["fingerprint"], strict=True):
        recipe = Recipe(**json.loads(recipe))
        assert recipe.key == job.split("/")[0]
        assert mark == fingerprint.of_recipe(recipe)
