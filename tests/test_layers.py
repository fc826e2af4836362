"""Our layers compute what Keras' do."""

import numpy as np
import pytest
import tensorflow as tf

from fmnist_keras.backend import keras
from fmnist_keras.layers import BatchNormalization, Conv2D

ROUNDING = {"float32": 2e-5, "mixed_bfloat16": 2e-2}


def both(policy: str) -> list:
    """Our layer and Keras', with the same weights, that have seen nothing yet."""
    made = []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        layer = kind(dtype=policy)
        layer.build((None, 7, 5, 3))
        rng = np.random.default_rng(1)
        layer.set_weights([rng.uniform(0.5, 1.5, 3).astype("float32") for _ in layer.weights])
        made.append(layer)
    return made


def images(policy: str, seed: int = 0):
    x = np.random.default_rng(seed).normal(2, 3, (4, 7, 5, 3)).astype("float32")
    return tf.cast(x, "bfloat16" if policy == "mixed_bfloat16" else "float32")


@pytest.mark.parametrize("policy", ROUNDING)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_gradients_and_moving_averages_are_those_of_keras(policy, training):
    x, found = images(policy), []
    for layer in both(policy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(y, "float32") ** 3)
        sources = [x, layer.gamma.value, layer.beta.value]
        gradients = [tf.cast(g, "float32").numpy() for g in tape.gradient(loss, sources)]
        assert y.dtype == x.dtype
        found.append([tf.cast(y, "float32").numpy(), *gradients, *layer.get_weights()])
    for ours, theirs in zip(*found, strict=True):
        size = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, atol=ROUNDING[policy] * size, rtol=0)


def test_what_is_frozen_stays_as_it_is():
    for layer in both("float32"):
        layer.trainable = False
        before = layer.get_weights()
        layer(images("float32"), training=True)
        for now, then in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)


def test_a_network_that_was_trained_with_it_can_be_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((7, 5, 3)), BatchNormalization()])
    model(images("float32"), training=True)
    model.save_weights(tmp_path / "a.weights.h5")
    again = keras.Sequential([keras.Input((7, 5, 3)), keras.layers.BatchNormalization()])
    again.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_allclose(model(images("float32")), again(images("float32")), atol=1e-5)


@pytest.mark.parametrize("policy", ROUNDING)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 8), (7, 7), (8, 9)])
def test_a_convolution_and_its_gradients_are_those_of_keras(policy, size):
    x = np.random.default_rng(0).normal(0, 1, (5, *size, 3)).astype("float32")
    x, found = tf.cast(x, keras.dtype_policies.get(policy).compute_dtype), []
    for kind in (Conv2D, keras.layers.Conv2D):
        layer = kind(4, 3, padding="same", use_bias=False, dtype=policy)
        layer.build((None, *size, 3))
        rng = np.random.default_rng(1)
        layer.set_weights([rng.normal(0, 1, weight.shape) for weight in layer.weights])

        @tf.function
        def gradients(layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
                loss = tf.reduce_sum(tf.cast(y, "float32") ** 2)
            return y, *tape.gradient(loss, [x, layer.kernel.value])

        found.append([tf.cast(value, "float32").numpy() for value in gradients()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=ROUNDING[policy] * np.abs(theirs).max())


@pytest.mark.parametrize("options", [{"strides": 2}, {"padding": "valid"}, {"kernel_size": 1}])
def test_other_convolutions_are_left_to_keras(options):
    x, found = np.random.default_rng(0).normal(0, 1, (5, 6, 6, 3)).astype("float32"), []
    for kind in (Conv2D, keras.layers.Conv2D):
        layer = kind(4, **{"kernel_size": 3, "padding": "same"} | options)
        layer.build(x.shape)
        layer.set_weights([np.ones(weight.shape) for weight in layer.weights])
        found.append(layer(x).numpy())
    np.testing.assert_array_equal(*found)
