"""From a recipe to an uncompiled Keras model. The last layer gives logits, not probabilities: the
loss applies the softmax, where it is exact."""

from pathlib import Path

from . import registry
from .backend import keras
from .errors import RecipeError
from .recipe import Recipe

layers = keras.layers

PIXELS, CLASSES, COLUMN_PIXELS = 784, 10, 28


def build(recipe: Recipe) -> keras.Model:
    """Build the recipe's model, uncompiled. Input: (batch, 784) for an MLP, (batch, 28, 28, 1) for
    a CNN. Output, always float32: logits (batch, 10), or pixels (batch, 28) for the inpaint task.

    Initial weights and dropout masks follow Keras' global seed: call
    ``keras.utils.set_random_seed`` right before. Raises RecipeError if a registered architecture
    returns no list of layers.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.precision == "bfloat16" else "float32")
    try:
        hidden = registry.architectures[recipe.model].function(recipe)
        if not isinstance(hidden, list) or not all(isinstance(h, layers.Layer) for h in hidden):
            raise RecipeError(f"model = {recipe.model!r}: must give a list of Keras layers")
        image = keras.Input((28, 28, 1) if recipe.convolutional else (PIXELS,))
        return keras.Sequential([image, *hidden, _output(recipe)], name=recipe.model)
    finally:
        keras.config.set_dtype_policy(policy)


def dense(units: int, recipe: Recipe, fan_in: int | None = None, **options) -> layers.Dense:
    """A dense layer. ``fan_in``: its number of inputs, needed for PyTorch's initial biases."""
    if recipe.initializer == "torch":  # torch.nn.Linear: kernel and bias U(±1/√fan_in)
        limit = fan_in**-0.5
        options["bias_initializer"] = keras.initializers.RandomUniform(-limit, limit)
    return layers.Dense(units, kernel_initializer=initializer(recipe), **options)


def initializer(recipe: Recipe):
    """The recipe's initializer of kernels: an object, or a name that Keras knows."""
    if recipe.initializer == "torch":
        return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    if recipe.initializer == "normal_0.01":
        return keras.initializers.RandomNormal(stddev=0.01)
    return registry.initializers[recipe.initializer].function()


def _output(recipe: Recipe) -> layers.Dense:
    options = {"dtype": "float32", "name": "output"}
    if not recipe.convolutional:
        options["fan_in"] = (PIXELS, *recipe.units)[-1]
        options |= _penalties(recipe, first=not recipe.units)
    return dense(CLASSES if recipe.task == "classify" else COLUMN_PIXELS, recipe, **options)


def _penalties(recipe: Recipe, first: bool) -> dict:
    """A dense layer's regularizers; weight decay is the L2 penalty of equal gradient."""
    on_kernel = recipe.penalty != "first" or first
    acts_on = {"kernel_regularizer": on_kernel, "bias_regularizer": recipe.penalty == "all"}
    squared, norm = (recipe.l2, 0.0) if recipe.l2_squared else (0.0, recipe.l2)
    factors = {
        name: (recipe.l1 * acts, squared * acts + recipe.weight_decay / 2, norm * acts)
        for name, acts in acts_on.items()
    }
    return {name: Penalty(*each) for name, each in factors.items() if any(each)}


@keras.saving.register_keras_serializable("fmnist_keras")
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

    def get_config(self) -> dict:
        return {"l1": self.l1, "l2": self.l2, "norm": self.norm}


def _activation(recipe: Recipe) -> layers.Layer:
    if recipe.activation == "leaky_relu":
        return layers.LeakyReLU(0.01 if recipe.framework_defaults == "torch" else 0.3)
    return layers.Activation(recipe.activation)


def _batch_norm(recipe: Recipe) -> layers.Layer:
    decay = Penalty(l2=recipe.weight_decay / 2) if recipe.weight_decay else None
    constants = {"momentum": 0.9, "epsilon": 1e-5} if recipe.framework_defaults == "torch" else {}
    return layers.BatchNormalization(gamma_regularizer=decay, beta_regularizer=decay, **constants)


def mlp(recipe: Recipe) -> list[layers.Layer]:
    """Dense layers of ``units``, each with its normalization, activation and dropout."""
    stack, fan_in = [], PIXELS
    if recipe.batch_norm == "input":
        stack.append(_batch_norm(recipe))
    for number, units in enumerate(recipe.units):
        stack.append(dense(units, recipe, fan_in, **_penalties(recipe, first=number == 0)))
        if recipe.batch_norm == "before":
            stack.append(_batch_norm(recipe))
        stack.append(_activation(recipe))
        if recipe.batch_norm == "after":
            stack.append(_batch_norm(recipe))
        if recipe.dropout:
            stack.append(layers.Dropout(recipe.dropout))
        fan_in = units
    return stack


def fastest_precision() -> str:
    """Return "bfloat16" where the processor has it (AVX-512 BF16, AMX, a GPU), else "float32"."""
    if keras.distribution.list_devices("gpu"):
        return "bfloat16"
    flags = Path("/proc/cpuinfo")
    known = flags.exists() and {"avx512_bf16", "amx_bf16"} & set(flags.read_text().split())
    return "bfloat16" if known else "float32"
