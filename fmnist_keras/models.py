"""From a recipe to an uncompiled Keras model. The last layer gives logits, not probabilities:
softmax belongs to the loss, where it is exact. Parameter counts do not depend on that."""

from pathlib import Path

from . import registry
from .backend import keras
from .errors import RecipeError
from .layers import BatchNormalization, Conv2D
from .recipe import Recipe

layers = keras.layers

PIXELS, CLASSES, COLUMN_PIXELS = 784, 10, 28

DROPOUT_CNN = (32, 64)
"""Filters of the two convolutions, each followed by pooling and dropout; then a 128-unit layer."""
DEEP_CNN = ((2, 32), (2, 64), (2, 128))
VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""(convolutions, filters) per block: 13 convolutions, 3 × 3, and three dense layers follow.
Configuration D of Simonyan & Zisserman (2015); dense layers of 512 as usual for 32 × 32 images."""


def build(recipe: Recipe) -> keras.Model:
    """Build the recipe's model, uncompiled; input (batch, 784) for an MLP, (batch, 28, 28, 1) for a
    CNN; output logits (batch, 10), or for the inpaint task pixels (batch, 28), always float32.

    Initial weights and dropout masks follow Keras' global seed: call
    ``keras.utils.set_random_seed`` right before.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.precision == "bfloat16" else "float32")
    try:
        outputs = CLASSES if recipe.task == "classify" else COLUMN_PIXELS
        return keras.Sequential(
            [
                keras.Input((28, 28, 1) if recipe.convolutional else (784,)),
                *_hidden_layers(recipe),
                _output(outputs, recipe),
            ],
            name=recipe.model,
        )
    finally:
        keras.config.set_dtype_policy(policy)


def _hidden_layers(recipe: Recipe) -> list[layers.Layer]:
    """All layers between input and output."""
    stacks = {"mlp": _mlp, "simple_cnn": _simple_cnn, "dropout_cnn": _dropout_cnn}
    stacks |= {"deep_cnn": _deep_cnn, "vgg16": _vgg16}
    stacks |= {name: entry.function for name, entry in registry.architectures.items()}
    stack = stacks[recipe.model](recipe)
    if not isinstance(stack, list) or not all(isinstance(one, layers.Layer) for one in stack):
        raise RecipeError(f"model = {recipe.model!r}: must give a list of Keras layers")
    return stack


def _dense(units: int, recipe: Recipe, fan_in: int | None = None, **options) -> layers.Dense:
    """``fan_in``: the layer's number of inputs, which PyTorch's initial biases depend on."""
    if recipe.initializer == "torch":  # torch.nn.Linear: kernel and bias U(±1/√fan_in)
        limit = fan_in**-0.5
        options["bias_initializer"] = keras.initializers.RandomUniform(-limit, limit)
    return layers.Dense(units, kernel_initializer=_initializer(recipe), **options)


def _initializer(recipe: Recipe):
    if recipe.initializer == "torch":
        return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    if recipe.initializer == "normal_0.01":
        return keras.initializers.RandomNormal(stddev=0.01)
    if recipe.initializer in registry.initializers:
        return registry.initializers[recipe.initializer].function()
    return recipe.initializer


def _output(units: int, recipe: Recipe) -> layers.Dense:
    if recipe.convolutional:
        return _dense(units, recipe, dtype="float32", name="output")
    penalties = _penalties(recipe, first=not recipe.units)
    fan_in = (PIXELS, *recipe.units)[-1]
    return _dense(units, recipe, fan_in, dtype="float32", name="output", **penalties)


def _penalties(recipe: Recipe, first: bool) -> dict:
    """Arguments of a dense layer: l1, l2, and the decay as the L2 penalty of equal gradient."""
    on_kernel = recipe.penalty != "first" or first
    acts_on = {"kernel_regularizer": on_kernel, "bias_regularizer": recipe.penalty == "all"}
    squared, norm = (recipe.l2, 0.0) if recipe.l2_squared else (0.0, recipe.l2)
    factors = {
        name: (recipe.l1 * acts, squared * acts + recipe.weight_decay / 2, norm * acts)
        for name, acts in acts_on.items()
    }
    return {name: Penalty(*each) for name, each in factors.items() if any(each)}


class Penalty(keras.regularizers.Regularizer):
    """l1 · Σ|w| + l2 · Σw² + norm · ‖w‖."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, norm: float = 0.0) -> None:
        self.l1, self.l2, self.norm = l1, l2, norm

    def __call__(self, weight, axes=None):
        """The penalty of a weight, summed over ``axes`` (None: all)."""
        ops, total = keras.ops, 0.0
        if self.l1:
            total += self.l1 * ops.sum(ops.abs(weight), axes)
        if self.l2 or self.norm:
            squares = ops.sum(ops.square(weight), axes)
            total += self.l2 * squares
        if self.norm:  # the root has no gradient at 0, where biases begin
            total += self.norm * ops.sqrt(ops.maximum(squares, 1e-12))
        return total


def _activation(recipe: Recipe) -> layers.Layer:
    if recipe.activation == "leaky_relu":
        return layers.LeakyReLU(0.01 if recipe.framework_defaults == "torch" else 0.3)
    return layers.Activation(recipe.activation)


def _batch_norm(recipe: Recipe) -> layers.Layer:
    decay = Penalty(l2=recipe.weight_decay / 2) if recipe.weight_decay else None
    constants = {"momentum": 0.9, "epsilon": 1e-5} if recipe.framework_defaults == "torch" else {}
    return layers.BatchNormalization(gamma_regularizer=decay, beta_regularizer=decay, **constants)


def _mlp(recipe: Recipe) -> list[layers.Layer]:
    stack, fan_in = [], PIXELS
    if recipe.batch_norm == "input":
        stack.append(_batch_norm(recipe))
    for number, units in enumerate(recipe.units):
        stack.append(_dense(units, recipe, fan_in, **_penalties(recipe, first=number == 0)))
        if recipe.batch_norm == "before":
            stack.append(_batch_norm(recipe))
        stack.append(_activation(recipe))
        if recipe.batch_norm == "after":
            stack.append(_batch_norm(recipe))
        if recipe.dropout:
            stack.append(layers.Dropout(recipe.dropout))
        fan_in = units
    return stack


def _scaled(units: int, recipe: Recipe) -> int:
    return max(1, round(units * recipe.width_multiplier))


def _conv(filters: int, recipe: Recipe, batch_norm: bool = False) -> list[layers.Layer]:
    """A 3 × 3 convolution that keeps the size, then (batch normalization and) ReLU. Normalization
    takes any bias away again, so there is none before it."""
    convolution = Conv2D(
        _scaled(filters, recipe), 3, padding="same", use_bias=not batch_norm,
        kernel_initializer=_initializer(recipe),
    )  # fmt: skip
    return [convolution, *[BatchNormalization()] * batch_norm, layers.ReLU()]


def _hidden(units: int, recipe: Recipe, batch_norm: bool = False) -> list[layers.Layer]:
    dense = _dense(_scaled(units, recipe), recipe, use_bias=not batch_norm)
    return [dense, *[BatchNormalization()] * batch_norm, layers.ReLU()]


def _simple_cnn(recipe: Recipe) -> list[layers.Layer]:
    return [*_conv(32, recipe), layers.MaxPooling2D(), layers.Flatten(), *_hidden(100, recipe)]


def _dropout_cnn(recipe: Recipe) -> list[layers.Layer]:
    stack = []
    for filters in DROPOUT_CNN:
        stack += [*_conv(filters, recipe), layers.MaxPooling2D(), layers.Dropout(0.25)]
    return [*stack, layers.Flatten(), *_hidden(128, recipe), layers.Dropout(0.5)]


def _deep_cnn(recipe: Recipe) -> list[layers.Layer]:
    stack = []
    for convolutions, filters in DEEP_CNN:
        for _ in range(convolutions):
            stack += _conv(filters, recipe, batch_norm=True)
        stack += [layers.MaxPooling2D(), layers.Dropout(0.25)]
    return [
        *stack,
        layers.Flatten(),
        *_hidden(128, recipe, batch_norm=True),
        layers.Dropout(0.5),
    ]


def _vgg16(recipe: Recipe) -> list[layers.Layer]:
    batch_norm = recipe.batch_norm != "none"
    stack = [layers.ZeroPadding2D(2)]  # five poolings need 32 × 32
    for convolutions, filters in VGG16:
        for _ in range(convolutions):
            stack += _conv(filters, recipe, batch_norm)
        stack.append(layers.MaxPooling2D())
    return [*stack, layers.Flatten(), *_hidden(512, recipe), *_hidden(512, recipe)]


def fastest_precision() -> str:
    """ "bfloat16" where the processor computes in it (AVX-512 BF16, AMX, a GPU), else "float32"."""
    if keras.distribution.list_devices("gpu"):
        return "bfloat16"
    flags = Path("/proc/cpuinfo")
    known = flags.exists() and {"avx512_bf16", "amx_bf16"} & set(flags.read_text().split())
    return "bfloat16" if known else "float32"
