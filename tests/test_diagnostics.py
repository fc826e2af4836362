"""Diagnostics of a network against what the definition says."""

from types import SimpleNamespace

import numpy as np
import pytest

from fmnist_keras import diagnostics, models
from fmnist_keras.backend import keras
from fmnist_keras.recipe import Recipe
from fmnist_keras.training import load_arrays

SMALL = Recipe(units=(8, 6), activation="relu", train_size=1_000, test_size=100)


@pytest.mark.parametrize("task", ["classify", "inpaint"])
def test_initial_gradients_are_those_of_the_loss(task):
    recipe = SMALL.replace(task=task)
    found = diagnostics.initial_gradients(recipe, seed=3)
    keras.utils.set_random_seed(3)
    model = models.build(recipe)
    x, y = map(np.asarray, load_arrays(recipe, 3).parts["train"])
    loss = {
        "classify": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "inpaint": keras.losses.MeanSquaredError(),
    }[task]

    def shifted(kernel, place, by):
        value = np.array(kernel)
        kernel.assign(value + by * (np.arange(value.size).reshape(value.shape) == place))
        result = float(loss(y, model(x, training=True)))
        kernel.assign(value)
        return result

    last = model.layers[-1].kernel
    places = range(np.array(last).size)
    slopes = [(shifted(last, place, 0.01) - shifted(last, place, -0.01)) / 0.02 for place in places]
    assert found["last_gradient"] == pytest.approx(np.linalg.norm(slopes), rel=0.01)
    assert 0 < found["first_gradient"] < 10


def test_sharpness_is_zero_where_weights_have_no_length_and_positive_at_a_minimum():
    def of(bias):
        weights = [np.zeros((3, 2)), np.zeros(2), np.zeros((2, 10)), np.asarray(bias)]
        arrays = SimpleNamespace(parts={"train": (np.ones((10, 3)), np.arange(10) // 5)})
        model = SimpleNamespace(get_weights=lambda: weights)
        return diagnostics.sharpness(model, arrays)["sharpness"]

    assert of(np.zeros(10)) == 0
    assert of([5.0, 5.0] + 8 * [-50.0]) > 0  # the best bias for two classes of equal size
