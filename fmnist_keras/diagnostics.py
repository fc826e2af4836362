"""What is measured of a network beside its scores. A run is stored with the function that measured
it: an edited one makes new runs."""

import numpy as np
from scipy.special import expit, logsumexp

from . import models, training
from .backend import keras
from .recipe import Recipe

STEP = 1_000.0
"""Learning rate of the one step that reveals a gradient: large, so that rounding does not show."""
PROBED = 64
"""Images that are shown alone, and units that are set to zero."""
NEAR_ZERO = 1e-3
PRUNED = (50, 75, 90, 95)  # percent of the weights
TENTH = 78  # of the 784 pixels
EDGES = tuple(np.linspace(-0.5, 0.5, 101).round(2).tolist())

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


def weights(model, arrays):
    """Of all kernels together: norm, share within ±0.001 of zero, median, 99th percentile and
    maximum of the size, counts between EDGES; mean norm of the first layer's rows of the tenth of
    the pixels that vary least over training images, and of the tenth that vary most; test accuracy
    with the smallest weights of all kernels set to zero, by percentage."""
    kernels = [weight for weight in model.trainable_weights if weight.path.endswith("kernel")]
    saved = [np.asarray(kernel) for kernel in kernels]
    flat = np.concatenate([kernel.ravel() for kernel in saved])
    size, rows = np.abs(flat), np.linalg.norm(saved[0], axis=1)
    pixels = np.argsort(np.std(arrays.parts["train"][0], axis=0), kind="stable")
    found = {
        "weight_norm": float(np.linalg.norm(flat)),
        "near_zero": float(np.mean(size < NEAR_ZERO)),
        "median_weight": float(np.median(size)),
        "p99_weight": float(np.quantile(size, 0.99)),
        "max_weight": float(size.max()),
        "quiet_norm": float(rows[pixels[:TENTH]].mean()),
        "busy_norm": float(rows[pixels[-TENTH:]].mean()),
        "histogram": np.histogram(flat, EDGES)[0].tolist(),
    }
    x, y = arrays.parts["test"]
    for percent in PRUNED:
        limit = np.quantile(size, percent / 100)
        for kernel, value in zip(kernels, saved, strict=True):
            kernel.assign(np.where(np.abs(value) < limit, 0, value))
        right = training.outputs(model, x).argmax(axis=1) == np.asarray(y)
        found[f"pruned_{percent}"] = float(right.mean())
    return found


def signals(layers, x):
    """What each of some layers gives, one after the other, at test time."""
    given = []
    for layer in layers:
        x = np.asarray(layer(x, training=False))
        given.append(x)
    return given


def alone_difference(model, x):
    """How much an image's outputs differ between a batch of one and one of 256."""
    together = training.outputs(model, x[:256])[:PROBED]
    alone = [training.outputs(model, x[image : image + 1]) for image in range(len(together))]
    return round(float(np.abs(np.concatenate(alone) - together).max()), 5)


def rise_without(layers, received, truth):
    """By how much the error rises when one input of the first of these layers is set to zero: the
    mean over the first ones, and that rise relative to the error."""
    errors = []
    for unit in range(PROBED):
        changed = received.copy()
        changed[:, unit] = 0
        errors.append(np.mean((signals(layers, changed)[-1] - truth) ** 2))
    error = np.mean((signals(layers, received)[-1] - truth) ** 2)
    rise = float(np.mean(errors) - error)
    return {"unit_rise": rise, "unit_reliance": rise / float(error)}


def inside(model, arrays):
    """What batch normalization, dropout and rectifiers do inside a network that restores pixels.
    The layer after a dense one, but for the last, has to be its activation."""
    dense = [place for place, layer in enumerate(model.layers) if hasattr(layer, "kernel")]
    second = dense[1]
    received = signals(model.layers[:second], arrays.parts["train"][0])[-1]
    x, truth = (np.asarray(part[:1_000]) for part in arrays.parts["test"])
    given = signals(model.layers, x)
    hidden = np.concatenate([given[place + 1] for place in dense[:-1]], axis=1)
    return {
        "mean_from_0": float(np.mean(np.abs(received.mean(axis=0)))),
        "sd_from_1": float(np.mean(np.abs(received.std(axis=0) - 1))),
        "alone_difference": alone_difference(model, x),
        **rise_without(model.layers[second:], given[second - 1], truth),
        "zero_share": float(np.mean(hidden == 0)),
    }


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
