"""Training does what the recipe says, repeatably, and its numbers can be computed otherwise."""

import itertools
import json

import numpy as np
import pytest

from benchmarks import torch_curves
from fmnist_keras import models, training
from fmnist_keras.backend import keras
from fmnist_keras.recipe import Recipe
from fmnist_keras.training import history, single
from fmnist_keras.training.arrays import batches, epoch_order

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def early():
    """A recipe, and a run of it that stopped early."""
    recipe = Recipe(
        train_size=500, val_size=500, test_size=1_010, batch_size=100, epochs=40, patience=2,
        activation="relu", optimizer="adam", learning_rate=0.01,
    )  # fmt: skip
    return recipe, training.train_one(recipe, 0)


# Repeatability


# Metrics and curves


def test_a_run_reports_its_epochs(early):
    _, run = early
    assert set(run.curves) == {
        "running_loss", "running_accuracy", "train_loss", "train_accuracy", "val_loss",
        "val_accuracy", "seconds",
    }  # fmt: skip
    stop = run.metrics["stop_epoch"]
    assert {len(values) for values in run.curves.values()} == {stop}
    assert all(a < b for a, b in itertools.pairwise([0, *run.curves["seconds"]]))
    assert run.metrics.items() >= {name: values[-1] for name, values in run.curves.items()}.items()
    counts = {"train_images": 500, "steps": stop * 5, "parameters": 25_450, "diverged": 0}
    assert run.metrics.items() >= counts.items()
    # learning goes on within an epoch, so its average is worse than the value at its end
    assert run.curves["running_loss"][0] > run.curves["train_loss"][0] + 0.1


def test_running_accuracy_has_dropout_and_evaluated_accuracy_has_not(small):
    recipe = small.replace(dropout=0.8, optimizer="adam", learning_rate=0.01, epochs=10)
    metrics = training.train_one(recipe.replace(activation="relu", l2=0.01), 0).metrics
    assert metrics["train_accuracy"] > metrics["running_accuracy"] + 0.1
    assert metrics["running_loss"] > metrics["train_loss"] + 0.1


def test_test_metrics_are_those_keras_finds(early):
    recipe, run = early
    x, y = training.load_arrays(recipe, 0).parts["test"]
    found = run.model.evaluate(x, y, batch_size=101, verbose=0, return_dict=True)
    assert run.metrics["test_loss"] == pytest.approx(found["loss"], rel=1e-5)
    assert run.metrics["test_accuracy"] == pytest.approx(found["accuracy"], abs=1e-6)
    assert 0.6 < found["accuracy"] < 0.9
    # the batch mean gives a short last batch full weight
    right = np.asarray(run.model(x)).argmax(axis=1) == np.asarray(y)
    means = [np.mean(right[start : start + 32]) for start in range(0, 1_010, 32)]
    assert run.metrics["test_accuracy_batch_mean"] == pytest.approx(np.mean(means), abs=1e-9)


def test_scores_by_hand():
    logits = np.log(np.float32([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.4, 0.4, 0.2]]))
    found = history.score(logits + 7, np.array([0, 2, 1]), "val")
    loss = -(np.log(0.5) + np.log(0.1) + np.log(0.4)) / 3
    expected = {"val_loss": pytest.approx(loss, rel=1e-5), "val_accuracy": pytest.approx(1 / 3)}
    assert found == expected
    pixels = np.float32([[0.0, 1.0], [0.5, 0.5]])
    assert history.score(pixels, pixels + np.float32([[0.1, 0], [0, 0.2]]), "test") == {
        "test_loss": pytest.approx(0.05 / 4, rel=1e-5)
    }


# Optimization, step by step


@pytest.mark.parametrize(
    ("lr_step_size", "epochs", "steps_per_epoch"), [(1, 3, None), (2, 5, 2), (4, 4, None)]
)
def test_the_learning_rate_of_every_step(small, lr_step_size, epochs, steps_per_epoch):
    recipe = small.replace(
        epochs=epochs, lr_step_size=lr_step_size, learning_rate=0.5, steps_per_epoch=steps_per_epoch
    )
    optimizer = single.make_optimizer(recipe)
    weight = keras.Variable(0.0)
    applied = []
    for _ in range(epochs * recipe.steps):
        before = float(weight)
        optimizer.apply([keras.ops.ones(())], [weight])
        applied.append(before - float(weight))
    expected = [0.5 * 0.1 ** (epoch // lr_step_size) for epoch in range(epochs)]
    np.testing.assert_allclose(applied, np.repeat(expected, recipe.steps), rtol=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "nadam", "rmsprop", "adadelta"])
def test_keras_constants_are_kerass(optimizer):
    made = single.make_optimizer(Recipe(optimizer=optimizer, learning_rate=0.25)).get_config()
    expected = keras.optimizers.get(optimizer).get_config() | {"learning_rate": 0.25}
    assert made | {"name": ""} == expected | {"name": ""}


def test_adam_without_momentum_steps_by_the_last_gradient_alone():
    recipe = Recipe(optimizer="adam", learning_rate=0.1, beta_1=0.0)
    made, weight = single.make_optimizer(recipe), keras.Variable(0.0)
    for gradient in (1.0, -1.0, 1.0):  # of equal size, so each step is one rate long
        before = float(weight)
        made.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        assert float(weight) - before == pytest.approx(-0.1 * gradient, rel=1e-3)


def test_decay_is_coupled(small):
    plain = small.replace(epochs=1, steps_per_epoch=1, learning_rate=0.5, batch_norm="before")
    keras.utils.set_random_seed(7)
    start = models.build(plain).trainable_weights
    without, decayed = (
        training.train_one(recipe, 7).model.trainable_weights
        for recipe in (plain, plain.replace(weight_decay=0.1))
    )
    assert len(start) == 6
    for before, one, two in zip(start, without, decayed, strict=True):
        assert np.abs(one - before).max() > 0
        np.testing.assert_allclose(two, one - 0.5 * 0.1 * before, atol=1e-6)


@pytest.mark.parametrize("case", torch_curves.CASES)
def test_the_same_curve_as_torch(case):
    theirs = json.loads(torch_curves.STORED.read_text("utf-8"))[case]
    ours = training.train_one(torch_curves.recipe(case), torch_curves.SEED).curves["running_loss"]
    assert theirs[-1] < theirs[0] - 0.05
    np.testing.assert_allclose(ours, theirs, rtol=2e-4)


# Stopping early


SEQUENCES = {
    "falls": [5, 4, 3, 2, 1],
    "rises": [1, 2, 3, 4, 5],
    "ties": [3, 3, 2, 3, 2, 2, 2],
    "steps of the least change": [4, 3.5, 3, 2.5, 2, 1.5],
    "steps below the least change": [4, 3.75, 3.5, 3.25, 3, 2.75, 2.5, 2.25],
    "not a number": [3, float("nan"), 2, float("nan"), float("nan"), 1],
    "falls at random": (np.random.default_rng(1).normal(size=60) - np.arange(60) / 9).tolist(),
}


@pytest.mark.parametrize("min_delta", [0.0, 0.5])
@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_early_stopping_counts_as_keras_does(sequence, patience, min_delta):
    callback = keras.callbacks.EarlyStopping("val_loss", min_delta, patience, mode="min")
    callback.set_model(keras.Sequential())
    callback.model.stop_training = False
    callback.on_train_begin()
    ours = history.EarlyStopping(patience, min_delta)
    for epoch, loss in enumerate(SEQUENCES[sequence]):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        better = ours.improved(loss)
        waited = ours.epoch - ours.best_epoch
        assert (ours.best, waited) == (callback.best, callback.wait)
        assert better == (callback.best_epoch == epoch)
        assert ours.done == callback.model.stop_training
        if ours.done:
            break


def test_an_early_stopped_run_has_the_metrics_of_both_ends(early):
    recipe, run = early
    metrics, losses = run.metrics, run.curves["val_loss"]
    assert metrics["stop_epoch"] < recipe.epochs
    assert metrics["stop_epoch"] - metrics["best_epoch"] == recipe.patience
    assert losses[metrics["best_epoch"] - 1] == min(losses)
    assert metrics["restored_test_loss"] != metrics["test_loss"]
    until_best = recipe.replace(patience=None, epochs=metrics["best_epoch"])
    shorter = training.train_one(until_best, 0).metrics
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert metrics[f"restored_{name}"] == pytest.approx(shorter[name], rel=1e-6)
    assert not any(name.startswith("restored") for name in shorter)


# Data


def test_validation_on_the_test_set_or_none(small):
    run = training.train_one(small.replace(validation="test", epochs=1), 0)
    for name in ("loss", "accuracy"):
        assert run.curves[f"val_{name}"][-1] == run.metrics[f"test_{name}"]
    run = training.train_one(small.replace(validation="none", epochs=1), 0)
    assert not any(name.startswith("val_") for name in (*run.curves, *run.metrics))


def test_an_epoch_sees_every_image_once_in_an_order_of_its_own():
    train = np.arange(100, 600)
    orders = [epoch_order(train, *key) for key in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    assert all(sorted(order) == train.tolist() for order in orders)
    assert all((one == two).mean() < 0.05 for one, two in itertools.combinations(orders, 2))
    assert np.array_equal(orders[1], epoch_order(train, 0, 1))


def test_batches_are_the_passes_in_order(small):
    recipe, train = small.replace(batch_size=200), np.arange(100, 600)
    found = list(itertools.islice(batches(recipe, train, 3), 6))
    assert [len(rows) for rows in found] == [200, 200, 100] * 2
    order = np.concatenate([epoch_order(train, 3, number) for number in (0, 1)])
    assert np.array_equal(np.concatenate(found), order)
    assert np.array_equal(next(batches(recipe, train, 3, start=4)), found[4])
