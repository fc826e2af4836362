"""Every seed of a stacked run against ``train_one``, curve by curve."""

import numpy as np
import pytest

from fmnist_keras import training
from fmnist_keras.backend import keras
from fmnist_keras.recipe import Recipe
from fmnist_keras.sources import DNN_HOMEWORK, KERAS_STUDY, MISSING_PIXELS, MLP_REPORT
from fmnist_keras.sources import PYTORCH_ASSIGNMENT as ASSIGNMENT
from fmnist_keras.training import single, stacked

pytestmark = pytest.mark.slow

SEEDS = [0, 1, 2]
SMALL = {"train_size": 1_500, "val_size": 600, "test_size": 500, "epochs": 2, "units": (16,)}
"""1,500 images leave a smaller last batch at all batch sizes used here."""

ADAM = {"optimizer": "adam", "learning_rate": 0.001}
FEATURES = {
    "baseline, no validation": {"validation": "none"},
    "no hidden layer, on test": {"units": (), "validation": "test", "scale": "standard"},
    "deep, small batches": {"units": (24, 12, 8), "activation": "relu", "batch_size": 64},
    "norm before, decay": {"batch_norm": "before", "weight_decay": 0.01, "momentum": 0.9},
    # with leaky_relu rounding alone moves the loss by 1e-3: sigmoid
    "norm after, random": {"batch_norm": "after", "framework_defaults": "torch",
                           "initializer": "torch", "batch_size": 32, "validation": "random"},
    "dropout, adam": {"units": (24, 16), "dropout": 0.3, "batch_size": 32,
                      "framework_defaults": "torch", **ADAM},
    "penalty on all, nadam": {**ADAM, "optimizer": "nadam", "l1": 1e-3, "l2": 0.01,
                              "penalty": "all"},
    "penalty on first, rmsprop": {**ADAM, "optimizer": "rmsprop", "l2": 0.01, "penalty": "first"},
    "penalty on kernels, adadelta": {"optimizer": "adadelta", "learning_rate": 1.0, "l1": 1e-3},
    "norm of the input, adam without momentum": {"batch_norm": "input", **ADAM, "beta_1": 0.0},
    "unsquared penalty, wrong labels, shuffled pixels": {
        "l2": 0.01, "l2_squared": False, "penalty": "all", "label_noise": 0.3,
        "permuted_pixels": True},
    "schedule, short epochs": {"lr_step_size": 1, "epochs": 3, "steps_per_epoch": 7},
    "restore, long epochs": {"task": "inpaint", "activation": "leaky_relu", "steps_per_epoch": 30,
                             "optimizer": "adam"},
}  # fmt: skip
STOPPING = {"epochs": 12, "patience": 1, "min_delta": 0.02, "learning_rate": 1.0}


def assert_same(together: training.Run, alone: training.Run) -> None:
    """Equal up to rounding, which training amplifies: losses to 1e-3, accuracies to 2 images."""
    for left, right in ((together.curves, alone.curves), (together.metrics, alone.metrics)):
        assert set(left) == set(right)
        for name in set(left) - {"seconds"}:
            tolerance = {"atol": 2 / 500} if "accuracy" in name else {"rtol": 1e-3}
            np.testing.assert_allclose(left[name], right[name], err_msg=name, **tolerance)
    for left, right in zip(together.model.get_weights(), alone.model.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-2, atol=1e-3)


def assert_equal(left: training.Run, right: training.Run) -> None:
    for mine, other in ((left.curves, right.curves), (left.metrics, right.metrics)):
        assert repr({**mine, "seconds": None}) == repr({**other, "seconds": None})  # nan, too
    for mine, other in zip(left.model.weights, right.model.weights, strict=True):
        assert np.array_equal(np.array(mine), np.array(other), equal_nan=True)


def compared(recipe: Recipe, some=(0, 2)) -> list[training.Run]:
    """The stacked runs, some of which must be the same as alone."""
    together = stacked.train_stacked(recipe, SEEDS)
    for k in some:
        assert_same(together[k], training.train_one(recipe, SEEDS[k]))
    return together


@pytest.mark.parametrize("changes", FEATURES.values(), ids=FEATURES)
def test_stacked_seeds_follow_runs_one_at_a_time(changes):
    compared(Recipe(**SMALL | changes), some=(2,))


@pytest.mark.parametrize("stacks", [1, 2])  # one of two ends before the other
def test_seeds_stop_early_each_at_its_epoch(monkeypatch, stacks):
    monkeypatch.setattr(stacked, "parallel_stacks", lambda: stacks)
    recipe = Recipe(**SMALL | STOPPING)
    runs = compared(recipe)
    stops = [run.metrics["stop_epoch"] for run in runs]
    assert len(set(stops)) > 1
    assert min(stops) < recipe.epochs
    assert all("restored_test_accuracy" in run.metrics for run in runs)


PUBLISHED = {
    "baseline": KERAS_STUDY,
    "ten units": MLP_REPORT,
    "fifty units, norm": MLP_REPORT.replace(units=(50, 50), batch_norm="after", l1=1e-4, l2=1e-3),
    "adam, dropout": ASSIGNMENT.replace(units=(64, 128), dropout=0.25, batch_norm="before"),
    "three layers": DNN_HOMEWORK.replace(units=(42, 42, 42)),
    "inpaint": MISSING_PIXELS,
    "input normalized, norms": KERAS_STUDY.replace(batch_norm="input", l2=1e-3, l2_squared=False),
}


@pytest.mark.parametrize("recipe", PUBLISHED.values(), ids=PUBLISHED)
def test_a_seed_has_the_same_numbers_to_the_bit_in_any_company(monkeypatch, recipe):
    # The last batch has 16 or 80 images: products of every size, none of them an odd one.
    recipe = recipe.replace(train_size=1_616, val_size=600, test_size=500, epochs=2)
    monkeypatch.setattr(stacked, "parallel_stacks", lambda: 1)
    together, alone = stacked.train_stacked(recipe, SEEDS), stacked.train_stacked(recipe, [2])
    monkeypatch.setattr(stacked, "parallel_stacks", lambda: 2)
    split = stacked.train_stacked(recipe, SEEDS)
    assert_equal(together[2], alone[0])
    assert_equal(together[2], split[2])


KINDS = {
    "L1 and L2 on all": ASSIGNMENT.replace(penalty="all", l1=1e-3, l2=1e-3),
    "decay, norm": ASSIGNMENT.replace(batch_norm="after", weight_decay=1e-3),
}


@pytest.mark.parametrize("stacks", [2, 8])
@pytest.mark.parametrize("recipe", KINDS.values(), ids=KINDS)
def test_stacks_of_equal_size_do_not_collide(monkeypatch, recipe, stacks):
    """Many short epochs keep the stacks in step: TensorFlow's arithmetic optimization, which
    backend.py turns off, crashed in every try."""
    monkeypatch.setattr(stacked, "parallel_stacks", lambda: stacks)
    recipe = recipe.replace(
        validation="test", batch_size=32, train_size=64, test_size=100, epochs=480 // stacks
    )
    runs = stacked.train_stacked(recipe, list(range(2 * stacks)))
    assert len({run.metrics["train_loss"] for run in runs}) == 2 * stacks


def test_a_diverged_seed_stops_alone(monkeypatch):
    compiled, made = single.compiled, []

    def poisoned(recipe):
        model = compiled(recipe)
        made.append(model)
        if len(made) % len(SEEDS) == 2:  # seed 1, both times
            model.set_weights([1e30 * weight for weight in model.get_weights()])
        return model

    monkeypatch.setattr(single, "compiled", poisoned)
    runs = compared(Recipe(**SMALL, activation="relu", patience=2), some=(0, 1))
    assert [run.metrics["diverged"] for run in runs] == [0, 1, 0]
    assert [run.metrics["stop_epoch"] for run in runs] == [2, 1, 2]


SAME_GRAPH = {
    "another rate": {"learning_rate": 1.0},
    "another start": {"initializer": "he_normal"},
    "other images": {"validation": "random", "val_size": 900, "train_size": 1_000, "epochs": 3},
    "wrong labels, another scale": {"label_noise": 0.5, "scale": "symmetric"},
    "other batches": {"batch_size": 100, "steps_per_epoch": 5},
    "stopping": {"patience": 1, "min_delta": 10.0},
}
OTHER_GRAPH = {
    "a schedule": {"lr_step_size": 1},
    "more dropout": {"dropout": 0.6},
    "a penalty": {"l2": 0.1},
    "no momentum": {"beta_1": 0.0},
    "another activation": {"activation": "relu"},
    "other constants": {"framework_defaults": "torch"},
}
FEATURED = Recipe(**SMALL | ADAM, dropout=0.3, batch_norm="before", batch_size=32)


@pytest.fixture
def traced(monkeypatch):
    """The stacks that were made, not taken from what was kept; nothing is kept at the start."""
    made, init = [], stacked.StackedModel.__init__
    monkeypatch.setattr(stacked, "parallel_stacks", lambda: 1)
    monkeypatch.setattr(stacked, "_idle", [])
    monkeypatch.setattr(
        stacked.StackedModel, "__init__", lambda self, *a: made.append(a) or init(self, *a)
    )
    return made


@pytest.fixture(scope="module")
def fresh():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacked, "_idle", [])
        return stacked.train_stacked(FEATURED, SEEDS)


@pytest.mark.parametrize(
    ("before", "graphs"), [(SAME_GRAPH, 1), (OTHER_GRAPH, 7)], ids=["same graph", "other graphs"]
)
def test_what_was_trained_before_leaves_no_trace(traced, fresh, before, graphs):
    for changes in before.values():
        stacked.train_stacked(FEATURED.replace(**changes), SEEDS)
    for left, right in zip(fresh, stacked.train_stacked(FEATURED, SEEDS), strict=True):
        assert_equal(left, right)
    assert len(traced) == graphs


class WithCosine(Recipe):
    """The recipe with a field that it might have one day."""

    cosine: float = 0.0


def test_a_new_kind_of_schedule_gets_a_graph_of_its_own(traced, monkeypatch):
    def make_optimizer(recipe, make=single.make_optimizer):
        rate = keras.optimizers.schedules.CosineDecay(recipe.cosine or 1.0, 20)
        return keras.optimizers.SGD(rate) if recipe.cosine else make(recipe)

    monkeypatch.setattr(single, "make_optimizer", make_optimizer)
    recipes = [WithCosine(**SMALL, cosine=cosine) for cosine in (0.0, 0.5, 2.0)]
    for recipe in recipes:
        alone = training.train_one(recipe, SEEDS[0])
        for _ in range(2):
            assert_same(stacked.train_stacked(recipe, SEEDS)[0], alone)
    assert len(traced) == 3
