"""What is measured of a network beside its scores."""

import numpy as np

from . import models, training
from .backend import keras
from .recipe import Recipe

STEP = 1_000.0
"""Learning rate of the one step that reveals a gradient: large, so that rounding does not show."""


def initial_gradients(recipe: Recipe, seed: int) -> dict[str, float]:
    """Norms of the loss' gradient by the first and by the last kernel, before any training: of the
    network as this seed begins with it, over the training images that are evaluated."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = models.build(recipe)
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = crossentropy if recipe.task == "classify" else keras.losses.MeanSquaredError()
    model.compile(keras.optimizers.SGD(STEP), loss, jit_compile=False)
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    ends = kernels[0], kernels[-1]
    before = [np.array(kernel) for kernel in ends]
    model.train_on_batch(*training.load_arrays(recipe, seed).parts["train"])
    first, last = (
        float(np.linalg.norm(np.array(kernel) - start) / STEP)
        for kernel, start in zip(ends, before, strict=True)
    )
    return {"first_gradient": first, "last_gradient": last}
