"""The built-in convolutional architectures: from a recipe to the layers before the output."""

from .backend import keras
from .layers import BatchNormalization, Conv2D
from .models import dense, initializer
from .recipe import Recipe

layers = keras.layers


def simple_cnn(recipe: Recipe) -> list[layers.Layer]:
    """One convolution of 32 filters, pooling, and 100 units."""
    return [*_conv(32, recipe), layers.MaxPooling2D(), layers.Flatten(), *_hidden(100, recipe)]


def dropout_cnn(recipe: Recipe) -> list[layers.Layer]:
    """Two convolutions, pooling and dropout after each, and 128 units."""
    stack = []
    for filters in (32, 64):
        stack += [*_conv(filters, recipe), layers.MaxPooling2D(), layers.Dropout(0.25)]
    return [*stack, layers.Flatten(), *_hidden(128, recipe), layers.Dropout(0.5)]


def deep_cnn(recipe: Recipe) -> list[layers.Layer]:
    """Six convolutions in three blocks and 128 units, normalized, with dropout after each block."""
    stack = []
    for convolutions, filters in ((2, 32), (2, 64), (2, 128)):
        for _ in range(convolutions):
            stack += _conv(filters, recipe, batch_norm=True)
        stack += [layers.MaxPooling2D(), layers.Dropout(0.25)]
    return [*stack, layers.Flatten(), *_hidden(128, recipe, True), layers.Dropout(0.5)]


def vgg16(recipe: Recipe) -> list[layers.Layer]:
    """VGG-16, configuration D of Simonyan & Zisserman (2015), with dense layers of 512 units, as
    usual for 32 × 32 images."""
    batch_norm = recipe.batch_norm != "none"
    stack = [layers.ZeroPadding2D(2)]  # five poolings need 32 × 32 pixels
    for convolutions, filters in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(convolutions):
            stack += _conv(filters, recipe, batch_norm)
        stack.append(layers.MaxPooling2D())
    return [*stack, layers.Flatten(), *_hidden(512, recipe), *_hidden(512, recipe)]


def _scaled(units: int, recipe: Recipe) -> int:
    return max(1, round(units * recipe.width_multiplier))


def _conv(filters: int, recipe: Recipe, batch_norm: bool = False) -> list[layers.Layer]:
    """A 3 × 3 convolution that keeps the size, batch normalization if wanted, and ReLU. Before
    normalization there is no bias, because its mean would remove it."""
    convolution = Conv2D(
        _scaled(filters, recipe), 3, padding="same", use_bias=not batch_norm,
        kernel_initializer=initializer(recipe),
    )  # fmt: skip
    return [convolution, *[BatchNormalization()] * batch_norm, layers.ReLU()]


def _hidden(units: int, recipe: Recipe, batch_norm: bool = False) -> list[layers.Layer]:
    hidden = dense(_scaled(units, recipe), recipe, use_bias=not batch_norm)
    return [hidden, *[BatchNormalization()] * batch_norm, layers.ReLU()]
