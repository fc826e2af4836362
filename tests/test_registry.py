"""Architectures and initializers of one's own train through the same calls as the built-in ones."""

import pytest

from fmnist_keras import models, registry
from fmnist_keras.backend import keras
from fmnist_keras.errors import RecipeError
from fmnist_keras.recipe import Recipe

WIDTH = 6


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    for kind in ("architectures", "initializers"):
        monkeypatch.setattr(registry, kind, dict(getattr(registry, kind)))


def tiny(recipe):
    return [keras.layers.Flatten(), keras.layers.Dense(WIDTH, activation=recipe.activation)]


def small(**changes) -> Recipe:
    sizes = {"train_size": 500, "val_size": 500, "test_size": 500, "batch_size": 100, "epochs": 1}
    return Recipe(**sizes, **changes)


def test_an_edited_function_makes_other_runs(monkeypatch):
    registry.architecture(tiny)
    before, other = small(model="tiny").key, small().key
    registry.architecture(tiny)
    assert small(model="tiny").key == before
    monkeypatch.setitem(globals(), "WIDTH", 7)
    assert small(model="tiny").key != before, "also where it is not registered again"
    assert small().key == other


def test_what_cannot_be_is_said_in_one_line():
    def nothing(recipe):
        return None

    def vgg16(recipe):
        return []

    registry.architecture(nothing)
    with pytest.raises(RecipeError, match=r"model = 'tinny': must be 'mlp', .* or 'nothing'$"):
        Recipe(model="tinny")
    with pytest.raises(RecipeError, match="initializer = 'one': must be 'glorot_uniform', "):
        Recipe(initializer="one")
    with pytest.raises(RecipeError, match="model = 'vgg16': is built in"):
        registry.architecture(vgg16)
    with pytest.raises(RecipeError, match="model = 'nothing': must give a list of Keras layers"):
        models.build(small(model="nothing"))


def test_a_field_that_an_architecture_does_not_read_is_refused():
    registry.architecture(reads=["activation"])(tiny)
    models.build(small(model="tiny", activation="relu"))
    with pytest.raises(RecipeError, match=r"^dropout = 0.5: is for model = 'mlp'$"):
        Recipe(model="tiny", dropout=0.5)
    with pytest.raises(RecipeError, match=r"^activation = 'relu': is for .* 'mlp' or 'tiny'$"):
        Recipe(model="vgg16", activation="relu")
