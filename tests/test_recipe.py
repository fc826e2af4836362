"""A recipe is valid and immutable or an error of one line; its key names the condition."""

import itertools

import pytest

from fmnist_keras.checks import check_seeds
from fmnist_keras.errors import RecipeError
from fmnist_keras.recipe import Recipe
from fmnist_keras.sources import KERAS_STUDY

OTHER = dict(
    task="inpaint", validation="none", val_size=5_000, train_size=1_000, test_size=500,
    scale="standard", column=13, model="simple_cnn", units=(16, 8), activation="relu",
    framework_defaults="torch", dropout=0.5, batch_norm="after", initializer="he_normal",
    width_multiplier=0.5,
    precision="bfloat16", optimizer="adam", learning_rate=0.1, momentum=0.9, l1=0.01, l2=0.01,
    penalty="all", weight_decay=0.01, lr_step_size=10, patience=3, min_delta=0.01, batch_size=64,
    epochs=5, steps_per_epoch=7, permuted_pixels=True, label_noise=0.2, beta_1=0.0,
    l2_squared=False,
)  # fmt: skip
"""Another value than the default for every field but the name."""


def message(function, *args, **options):
    """The one line of the RecipeError that the call must raise."""
    with pytest.raises(RecipeError) as caught:
        function(*args, **options)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


# Errors


@pytest.mark.parametrize(
    ("fields", "start", "allowed"),
    [
        ({"learning_rat": 0.1}, "learning_rat = 0.1", "did you mean learning_rate?"),
        ({"zzz": 1}, "zzz = 1", "known names: name, task,"),
        ({"learning_rate": "1e-3"}, "learning_rate = '1e-3'", "write 0.001 or 1.0e-3"),
        ({"epochs": True}, "epochs = True", "integer"),
        ({"learning_rate": 0}, "learning_rate = 0", "greater than 0"),
        ({"learning_rate": float("inf")}, "learning_rate = inf", "finite"),
        ({"learning_rate": 1e-300}, "learning_rate = 1e-300", "from 1e-30 to 1e30"),
        ({"dropout": 1.0}, "dropout = 1.0", "less than 1"),
        ({"column": 28}, "column = 28", "less than or equal to 27"),
        ({"units": 32}, "units = 32", "tuple"),
        ({"units": (32, 0)}, "units.1 = 0", "greater than or equal to 1"),
        ({"units": (1,) * 101}, f"units = {(1,) * 101}", "at most 100 items"),
        ({"units": (10**9,)}, "units = (1000000000,)", "812,000,000,000 weights; at most"),
        ({"epochs": 10**12}, "epochs = 1000000000000", "422,000,000,000,000 weight updates; at"),
        ({"optimizer": "Adam"}, "optimizer = 'Adam'", "'sgd', 'adam', 'nadam', 'rmsprop' or"),
        ({"batch_size": 54_001}, "batch_size = 54001", "at most the 54000"),
        ({"train_size": 54_001}, "train_size = 54001", "only 54000 images"),
        ({"val_size": 60_000}, "val_size = 60000", "must leave training images"),
        ({"momentum": 0.9, "optimizer": "adam"}, "momentum = 0.9", "only optimizer = 'sgd'"),
        ({"permuted_pixels": 1}, "permuted_pixels = 1", "boolean"),
        ({"task": "inpaint", "label_noise": 0.1}, "label_noise = 0.1", "for task = 'classify'"),
        ({"column": 13}, "column = 13", "is for task = 'inpaint'"),
        ({"patience": 3, "validation": "none"}, "patience = 3", "needs validation"),
        ({"min_delta": 0.1}, "min_delta = 0.1", "needs patience"),
        ({"task": "inpaint", "model": "vgg16"}, "model = 'vgg16'", "is for 'mlp'"),
        ({"model": "vgg16", "batch_norm": "input"}, "batch_norm = 'input'", "is for model = 'mlp'"),
        ({"model": "deep_cnn", "batch_norm": "after"}, "batch_norm = 'after'", "'mlp' or 'vgg16'"),
        ({"width_multiplier": 0.5}, "width_multiplier = 0.5", "is for model = 'simple_cnn',"),
        ({"name": "two\nlines"}, "name = 'two\\nlines'", "must be one line"),
        ({"name": "x" * 101}, f"name = '{'x' * 101}'", "at most 100"),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(fields, start, allowed):
    text = message(Recipe, **fields)
    assert text.startswith(f"{start}: ")
    assert allowed in text
    assert message(KERAS_STUDY.replace, **fields) == text


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 54_000},
        {"train_size": 60_000, "validation": "none"},
        {"batch_size": 60_000, "validation": "test"},
        {"patience": 3, "validation": "test"},
        {"momentum": 0.9, "optimizer": "sgd"},
        {"units": ()},
    ],
)
def test_what_is_just_allowed(fields):
    assert Recipe(**fields).model_dump().items() >= fields.items()


@pytest.mark.parametrize(
    ("seeds", "start"),
    [
        ([], "seeds = []"),
        ([3, 1, 3], "seeds = [3, 1, 3]: each value"),
        (list(range(1001)), "seeds = [0, 1,"),
        ([0, -1], "seeds[1] = -1"),
        (["1"], "seeds[0] = '1'"),
        ([2**31], f"seeds[0] = {2**31}"),
    ],
)
def test_bad_seeds(seeds, start):
    assert message(check_seeds, seeds).startswith(start)


# Making recipes from recipes


def test_a_recipe_is_immutable():
    recipe = Recipe()
    with pytest.raises(ValueError, match="frozen"):
        recipe.epochs = 1
    other = recipe.replace(epochs=1)
    assert (recipe.epochs, other.epochs) == (50, 1)
    assert len({recipe, other, Recipe()}) == 2


def test_grid_is_a_product_in_order():
    recipes = Recipe(epochs=1).grid(optimizer=["sgd", "adam"], batch_size=(32, 64, 128))
    pairs = [(recipe.optimizer, recipe.batch_size) for recipe in recipes]
    assert pairs == list(itertools.product(["sgd", "adam"], [32, 64, 128]))
    assert {recipe.epochs for recipe in recipes} == {1}
    assert Recipe(epochs=1).grid() == [Recipe(epochs=1)]


@pytest.mark.parametrize(
    ("choices", "start"),
    [
        ({"learning_rate": []}, "learning_rate = []: must be a list of at least one"),
        ({"optimizer": "adam"}, "optimizer = 'adam': must be a list"),
        ({"learning_rate": [0.1, "1e-3"]}, "learning_rate = '1e-3': must be a number"),
        ({"learning_rat": [0.1]}, "learning_rat = 0.1: no parameter has this name"),
        ({"optimizer": ["sgd", "adam"], "momentum": [0.9]}, "momentum = 0.9: only"),
        ({"learning_rate": [0.1, 0.2, 0.1]}, "learning_rate = [0.1, 0.2, 0.1]: each value may"),
    ],
)
def test_grid_validates(choices, start):
    assert message(Recipe().grid, **choices).startswith(start)


# Arithmetic


@pytest.mark.parametrize(
    ("fields", "images", "steps"),
    [
        ({}, 54_000, 422),
        ({"validation": "none"}, 60_000, 469),
        ({"validation": "test"}, 60_000, 469),
        ({"validation": "random", "val_size": 10_000, "batch_size": 64}, 50_000, 782),
        ({"train_size": 1_000, "batch_size": 500}, 1_000, 2),
        ({"steps_per_epoch": 7}, 54_000, 7),
    ],
)
def test_images_and_steps_of_an_epoch(fields, images, steps):
    recipe = Recipe(**fields)
    assert (recipe.train_images, recipe.steps) == (images, steps)


# The key


class WithWarmup(Recipe):
    """The recipe as it might become."""

    warmup: int = 0


def test_a_field_that_is_added_changes_no_key_unless_it_is_used():
    for recipe in (Recipe(), Recipe(model="vgg16", epochs=3)):
        later = WithWarmup(**recipe.model_dump())
        assert later.key == recipe.key
        assert later.replace(warmup=1).key != recipe.key
        assert later.replace(warmup=1).key != later.replace(warmup=2).key


def test_the_key_ignores_the_name_and_how_a_value_was_written():
    assert Recipe(name="a").key == Recipe(name="b").key == Recipe().key
    assert Recipe(units=[64]).key == Recipe(units=(64,)).key
    assert Recipe(learning_rate=1).key == Recipe(learning_rate=1.0).key


NEEDS = {
    "column": {"task": "inpaint"}, "width_multiplier": {"model": "vgg16"}, "penalty": {"l1": 0.1},
    "min_delta": {"patience": 3}, "beta_1": {"optimizer": "adam"}, "l2_squared": {"l2": 0.1},
}  # fmt: skip
"""What a field needs to do anything."""


def test_the_key_changes_with_every_other_field():
    assert set(OTHER) == set(Recipe.model_fields) - {"name"}
    for field, value in OTHER.items():
        base = Recipe(**NEEDS.get(field, {}))
        assert base.replace(**{field: value}).key != base.key, field


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"penalty": "all"}, {}),
        ({"l2_squared": False}, {}),
        ({"optimizer": "adam", "beta_1": 0.9}, {"optimizer": "adam"}),
        ({"validation": "none", "val_size": 500}, {"validation": "none"}),
        ({"validation": "test", "val_size": 500}, {"validation": "test"}),
        ({"train_size": 54_000}, {}),
        ({"steps_per_epoch": 422}, {}),
        ({"lr_step_size": 50}, {}),
        ({"units": (), "activation": "relu", "dropout": 0.5, "batch_norm": "after"}, {"units": ()}),
        ({"model": "vgg16", "batch_norm": "after"}, {"model": "vgg16", "batch_norm": "before"}),
    ],
)
def test_what_is_said_in_two_ways_is_trained_once(one, other):
    assert Recipe(**one).key == Recipe(**other).key


# The published rows
