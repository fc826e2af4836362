"""The built-in convolutional architectures: from a recipe to the layers before the output."""

from .backend import keras
from .layers import BatchNormalization, Conv2D
from .models import dense, initializer
from .recipe import Recipe

layers = keras.layers

DROPOUT_CNN = (32, 64)
"""Filters of the two convolutions, each followed by pooling and dropout; then a 128-unit layer."""
DEEP_CNN = ((2, 32), (2, 64), (2, 128))
VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""(convolutions, filters) per block: 13 convolutions, 3 × 3, and three dense layers follow.
Configuration D of Simonyan & Zisserman (2015); dense layers of 512 as usual for 32 × 32 images."""


def simple_cnn(recipe: Recipe) -> list[layers.Layer]:
    """A convolution of 32 filters, and 100 units."""
    return [*_conv(32, recipe), layers.MaxPooling2D(), layers.Flatten(), *_hidden(100, recipe)]


def dropout_cnn(recipe: Recipe) -> list[layers.Layer]:
    """Two convolutions, pooling and dropout after each, and 128 units."""
    stack = []
    for filters in DROPOUT_CNN:
        stack += [*_conv(filters, recipe), layers.MaxPooling2D(), layers.Dropout(0.25)]
    return [*stack, layers.Flatten(), *_hidden(128, recipe), layers.Dropout(0.5)]


def deep_cnn(recipe: Recipe) -> list[layers.Layer]:
    """Six convolutions in three blocks and 128 units, normalized, with dropout after each block."""
    stack = []
    for convolutions, filters in DEEP_CNN:
        for _ in range(convolutions):
            stack += _conv(filters, recipe, batch_norm=True)
        stack += [layers.MaxPooling2D(), layers.Dropout(0.25)]
    return [*stack, layers.Flatten(), *_hidden(128, recipe, True), layers.Dropout(0.5)]


def vgg16(recipe: Recipe) -> list[layers.Layer]:
    """VGG-16 on the images in a frame of two black pixels."""
    batch_norm = recipe.batch_norm != "none"
    stack = [layers.ZeroPadding2D(2)]  # five poolings need 32 × 32
    for convolutions, filters in VGG16:
        for _ in range(convolutions):
            stack += _conv(filters, recipe, batch_norm)
        stack.append(layers.MaxPooling2D())
    return [*stack, layers.Flatten(), *_hidden(512, recipe), *_hidden(512, recipe)]


def _scaled(units: int, recipe: Recipe) -> int:
    return max(1, round(units * recipe.width_multiplier))


def _conv(filters: int, recipe: Recipe, batch_norm: bool = False) -> list[layers.Layer]:
    """A 3 × 3 convolution that keeps the size, then (batch normalization and) ReLU. Normalization
    takes any bias away again, so there is none before it."""
    convolution = Conv2D(
        _scaled(filters, recipe), 3, padding="same", use_bias=not batch_norm,
        kernel_initializer=initializer(recipe),
    )  # fmt: skip
    return [convolution, *[BatchNormalization()] * batch_norm, layers.ReLU()]


def _hidden(units: int, recipe: Recipe, batch_norm: bool = False) -> list[layers.Layer]:
    hidden = dense(_scaled(units, recipe), recipe, use_bias=not batch_norm)
    return [hidden, *[BatchNormalization()] * batch_norm, layers.ReLU()]
