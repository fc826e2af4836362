"""What is measured of a network beside its scores."""

import numpy as np
from scipy.special import expit, logsumexp

from . import models, training
from .backend import keras
from .recipe import Recipe

STEP = 1_000.0
"""Learning rate of the one step that reveals a gradient: large, so that rounding does not show."""

DIRECTIONS, DISTANCE = 10, 0.1


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


def sharpness(model, arrays):
    """How much the training loss of a sigmoid network with one hidden layer rises, on average over
    random directions, when every array of weights moves by a tenth of its own length."""
    x, y = map(np.asarray, arrays.parts["train"])

    def loss(w1, b1, w2, b2):
        logits = expit(x @ w1 + b1) @ w2 + b2
        return np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(y)), y])

    def moved(weights):
        step = rng.normal(size=weights.shape)
        return weights + DISTANCE * np.linalg.norm(weights) / np.linalg.norm(step) * step

    rng = np.random.default_rng(0)
    weights = [weight.astype(float) for weight in model.get_weights()]  # so threads do not show
    losses = [loss(*map(moved, weights)) for _ in range(DIRECTIONS)]
    return {"sharpness": float(np.mean(losses) - loss(*weights))}
