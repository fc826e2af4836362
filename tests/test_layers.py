"""Our layers compute what Keras' do."""

import numpy as np
import pytest
import tensorflow as tf

from fmnist_keras import training
from fmnist_keras.backend import keras
from fmnist_keras.layers import BatchNormalization, Conv2D

ROUNDING = {"float32": 2e-5, "mixed_bfloat16": 2e-2}
KINDS = {Conv2D: keras.layers.Conv2D, BatchNormalization: keras.layers.BatchNormalization}


def images(size=(7, 5), dtype="float32", channels=3):
    return tf.cast(np.random.default_rng(0).normal(0.5, 1, (4, *size, channels)), dtype)


def computed(kind, x, options, training) -> list[np.ndarray]:
    """Outputs, gradients by the input and all weights, and the weights after a call of a layer."""
    layer = kind(**options)
    layer.build((None, *x.shape[1:]))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    options = {"training": training} if "training" in layer._call_signature.parameters else {}

    @tf.function
    def call():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, **options)
            loss = tf.reduce_sum(tf.cast(y, "float32") ** 3)
        sources = [x, *(weight.value for weight in layer.trainable_weights)]
        return y, *tape.gradient(loss, sources)

    y, *gradients = call()
    assert y.dtype == layer.compute_dtype
    return [tf.cast(value, "float64").numpy() for value in (y, *gradients, *layer.weights)]


def compare(kind, x, tolerance=2e-5, training=True, **options):
    ours, theirs = (computed(each, x, options, training) for each in (kind, KINDS[kind]))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance * np.abs(other).max())


@pytest.mark.parametrize("policy", ROUNDING)
@pytest.mark.parametrize("training", [True, False])
def test_normalization_is_that_of_keras(policy, training):
    x = images(dtype=keras.dtype_policies.get(policy).compute_dtype)
    compare(BatchNormalization, x, ROUNDING[policy], training, dtype=policy)


@pytest.mark.parametrize("policy", ROUNDING)
@pytest.mark.parametrize("size", [(1, 1), (3, 8), (7, 7), (8, 9)])
def test_a_convolution_is_that_of_keras(policy, size):
    x = images(size, keras.dtype_policies.get(policy).compute_dtype)
    options = {"filters": 4, "kernel_size": 3, "padding": "same", "use_bias": False}
    compare(Conv2D, x, ROUNDING[policy], dtype=policy, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"center": False}, {"scale": False}, {"axis": 1}, {"renorm": True}, {"epsilon": 1e-7},
        {"trainable": False}, {"dtype": "float64"}, {"dtype": "float16"},
    ],
    ids=str,
)  # fmt: skip
def test_other_normalization_is_left_to_keras(options):
    x = images(dtype=options.get("dtype", "float32"))
    compare(BatchNormalization, x * (0.01 if "epsilon" in options else 1), **options)


def test_masked_and_integer_images_are_left_to_keras():
    mask = np.random.default_rng(0).random((4, 7, 5)) > 0.5
    for call in (
        lambda layer: layer(images(), training=True, mask=mask),
        lambda layer: layer(tf.cast(images(), "int32"), training=True),
    ):
        ours, theirs = (call(kind()) for kind in (BatchNormalization, KINDS[BatchNormalization]))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"strides": 2}, {"padding": "valid"}, {"kernel_size": 1}, {"dilation_rate": 2},
        {"groups": 2}, {"data_format": "channels_first"},
    ],
    ids=str,
)  # fmt: skip
def test_other_convolutions_are_left_to_keras(options):
    options = {"filters": 4, "kernel_size": 3, "padding": "same"} | options
    compare(Conv2D, images((6, 6), channels=6), **options)


def test_images_of_any_size():
    inputs = keras.Input((None, None, 3))
    layer = Conv2D(4, 3, padding="same")
    model = keras.Model(inputs, BatchNormalization()(layer(inputs)))
    assert model(images()).shape == (4, 7, 5, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"model": "deep_cnn", "width_multiplier": 0.125, "optimizer": "adam", "train_size": 300},
        {"l1": 0.01, "l2": 0.1},
    ],
)
def test_a_trained_network_can_be_saved_and_loaded(small, tmp_path, fields):
    recipe = small.replace(epochs=1, **fields)
    model = training.train_one(recipe, 0).model
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    assert float(sum(again.losses)) == float(sum(model.losses))
    x = training.load_arrays(recipe, 0).parts["test"][0]
    np.testing.assert_array_equal(training.outputs(again, x), training.outputs(model, x))
