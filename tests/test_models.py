"""The networks are those the recipes describe, down to their initial weights and penalties."""

import itertools

import numpy as np
import pytest

from fmnist_keras import models
from fmnist_keras.backend import keras
from fmnist_keras.recipe import Recipe
from fmnist_keras.sources import ARCHITECTURES


def build(seed=0, **fields):
    keras.utils.set_random_seed(seed)
    return models.build(Recipe(**fields))


def weights(model, name):
    """The kernels, biases, gammas, ... of a model, from input to output."""
    return [np.asarray(weight) for weight in model.weights if weight.name == name]


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def dense(*widths):
    return sum((fan_in + 1) * units for fan_in, units in itertools.pairwise(widths))


def convolutions(*filters):
    return sum((9 * below + 1) * above for below, above in itertools.pairwise(filters))


VGG_FILTERS = (1, 64, 64, 128, 128, *[256] * 3, *[512] * 6)
DEEP_FILTERS = (1, 32, 32, 64, 64, 128, 128)
PARAMETERS = {
    "Initial NN": 25_450,
    "Dropout ANN": 25_450,
    "Deep ANN": dense(784, 32, 32, 32, 10),
    "Simple CNN": convolutions(1, 32) + dense(14 * 14 * 32, 100, 10),
    "Dropout CNN": convolutions(1, 32, 64) + dense(7 * 7 * 64, 128, 10),
    "Deep CNN + BN": convolutions(*DEEP_FILTERS)
    + dense(3 * 3 * 128, 128, 10)
    + 3 * (sum(DEEP_FILTERS[1:]) + 128),  # four of batch normalization in place of a bias
    "VGG-16": convolutions(*VGG_FILTERS) + dense(512, 512, 512, 10),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_output_of_the_published_rows(name):
    recipe = ARCHITECTURES[name]
    model = models.build(recipe)
    assert model.count_params() == PARAMETERS[name]
    assert model.input_shape[1:] == ((28, 28, 1) if recipe.convolutional else (784,))
    assert model.output_shape == (None, 10)
    assert model.layers[-1].activation is keras.activations.linear  # logits


def test_vgg16():
    plain, normalized = (
        build(model="vgg16", width_multiplier=1 / 16, batch_norm=bn) for bn in ("none", "before")
    )
    assert "BatchNormalization" not in kinds(plain)
    order = kinds(normalized)
    assert order.count("BatchNormalization") == 13
    at = order.index("BatchNormalization")
    assert order[at - 1 : at + 2] == ["Conv2D", "BatchNormalization", "ReLU"]


@pytest.mark.parametrize("fields", [{}, {"model": "simple_cnn", "width_multiplier": 0.125}])
def test_bfloat16_computes_in_it_and_keeps_the_rest(fields):
    model = build(precision="bfloat16", **fields)
    assert model.layers[0].compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    shape = (2, *model.input_shape[1:])
    assert keras.backend.standardize_dtype(model(np.zeros(shape, "float32")).dtype) == "float32"
    assert build(**fields).layers[0].compute_dtype == "float32"  # the setting does not leak


@pytest.mark.parametrize(
    ("framework_defaults", "momentum", "epsilon", "slope"),
    [("keras", 0.99, 1e-3, 0.3), ("torch", 0.9, 1e-5, 0.01)],
)
def test_whose_defaults_hold(framework_defaults, momentum, epsilon, slope):
    model = build(
        framework_defaults=framework_defaults, batch_norm="before", activation="leaky_relu"
    )
    _, norm, leaky, _ = model.layers
    assert (norm.momentum, norm.epsilon) == (momentum, epsilon)
    np.testing.assert_allclose(np.asarray(leaky(np.float32([-2, 3]))), [-2 * slope, 3], rtol=1e-6)


# Initial weights


def test_torch_initial_weights_are_uniform_by_fan_in():
    units = (256, 128)
    model = build(initializer="torch", units=units)
    for name in ("kernel", "bias"):
        for fan_in, values in zip((784, *units), weights(model, name), strict=True):
            limit = fan_in**-0.5
            assert np.abs(values).max() <= limit
            if values.size > 100:  # within four standard errors, and more
                assert values.mean() == pytest.approx(0, abs=4 * limit / np.sqrt(values.size))
                assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.15)


@pytest.mark.parametrize(
    ("initializer", "sd"),
    [
        *((f"glorot_{kind}", lambda i, o: np.sqrt(2 / (i + o))) for kind in ("uniform", "normal")),
        *((f"he_{kind}", lambda i, o: np.sqrt(2 / i)) for kind in ("uniform", "normal")),
        ("normal_0.01", lambda i, o: 0.01),
    ],
)
def test_standard_deviations_of_the_other_initializers(initializer, sd):
    model = build(initializer=initializer, units=(256, 128))
    for kernel in weights(model, "kernel")[:2]:
        assert kernel.mean() == pytest.approx(0, abs=0.02 * sd(*kernel.shape))
        assert kernel.std() == pytest.approx(sd(*kernel.shape), rel=0.02)
        if "uniform" in initializer:
            assert np.abs(kernel).max() < np.sqrt(3) * sd(*kernel.shape)
        else:
            assert np.abs(kernel).max() > np.sqrt(3) * sd(*kernel.shape)
    assert all((bias == 0).all() for bias in weights(model, "bias"))


# Penalties


def known(**fields):
    """A small network whose biases are not zero."""
    model = build(units=(8, 4), **fields)
    generator = np.random.default_rng(0)
    values = [generator.normal(size=weight.shape) for weight in model.get_weights()]
    model.set_weights([np.float32(value) for value in values])
    return model


@pytest.mark.parametrize("penalty", ["kernels", "all", "first"])
@pytest.mark.parametrize(
    "factors",
    [
        {"l1": 0.25},
        {"l2": 0.5, "batch_norm": "before"},
        {"l1": 0.25, "l2": 0.5, "l2_squared": False},
        {"l1": 0.25, "l2": 0.5, "weight_decay": 0.2},
        {"l2": 0.5, "l2_squared": False, "weight_decay": 0.2},
    ],
)
def test_penalties_by_hand(penalty, factors):
    model, given = known(penalty=penalty, **factors), Recipe(**factors)
    kernels, biases = weights(model, "kernel"), weights(model, "bias")
    assert len(kernels) == 3  # two hidden layers and the output layer
    expected = given.weight_decay / 2 * sum(np.square(w).sum() for w in kernels + biases)
    for w in {"kernels": kernels, "all": kernels + biases, "first": kernels[:1]}[penalty]:
        norm = np.linalg.norm(w)
        expected += given.l1 * np.abs(w).sum() + given.l2 * norm ** (1 + given.l2_squared)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_without_hidden_layers_the_output_layer_is_the_first():
    model = build(units=(), penalty="first", l1=1.0)
    expected = np.abs(weights(model, "kernel")[0]).sum()
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert build(batch_norm="before").losses == []  # no penalty
