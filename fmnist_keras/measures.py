"""What a study may measure of a trained model beside its scores (``Study.run(measure=...)``).

Each takes (model, arrays) and gives a dict that becomes columns of the runs frame.
"""

import numpy as np
from scipy.special import softmax
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from .models import CLASSES
from .quiet import keras
from .training import Arrays, outputs

NEAR_ZERO = 1e-3
PRUNED = (0.5, 0.75, 0.9, 0.95)
HISTOGRAM_EDGES = np.linspace(-0.5, 0.5, 101)
PICTURES = 1_000
"""Test images whose PSNR and SSIM are measured; SSIM of all would take longer than training."""


def predictions(model: keras.Model, arrays: Arrays, shown: int = 24) -> dict[str, list]:
    """The test set's ``confusion`` matrix (10, 10), true class
    by row, and its most confident ``mistakes``: [index, predicted class, probability] each."""
    x, y = arrays.parts["test"]
    probabilities, y = softmax(outputs(model, x), axis=1), np.asarray(y)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    confusion = np.zeros((CLASSES, CLASSES), dtype=int)
    np.add.at(confusion, (y, predicted), 1)
    wrong = np.flatnonzero(predicted != y)
    top = wrong[np.argsort(-confidence[wrong], kind="stable")][:shown]
    mistakes = [[int(i), int(predicted[i]), float(confidence[i])] for i in top]
    return {"confusion": confusion.tolist(), "mistakes": mistakes}


def weights(model: keras.Model, arrays: Arrays) -> dict[str, float | list]:
    """Kernels of all layers together: norm, share within ±0.001 of zero, median, 99th percentile
    and maximum of the magnitude, ``histogram`` counts between HISTOGRAM_EDGES; ``border_norm`` and
    ``center_norm``: mean norm of the first layer's rows of the picture's outermost ring and of its
    central 14 × 14 pixels; and ``pruned_50`` to ``pruned_95``: test accuracy with that percentage
    of the smallest weights of all kernels set to zero.
    """
    kernels = [weight for weight in model.trainable_weights if weight.path.endswith("kernel")]
    saved = [np.asarray(kernel) for kernel in kernels]
    flat = np.concatenate([kernel.ravel() for kernel in saved])
    size = np.abs(flat)
    rows = np.linalg.norm(saved[0], axis=1).reshape(28, 28)
    found = {
        "weight_norm": float(np.linalg.norm(flat)),
        "near_zero": float(np.mean(size < NEAR_ZERO)),
        "median_weight": float(np.median(size)),
        "p99_weight": float(np.quantile(size, 0.99)),
        "max_weight": float(size.max()),
        "border_norm": float(np.delete(rows, np.s_[1:-1], axis=0).mean()),
        "center_norm": float(rows[7:21, 7:21].mean()),
        "histogram": np.histogram(flat, HISTOGRAM_EDGES)[0].tolist(),
    }
    x, y = arrays.parts["test"]
    for share in PRUNED:
        limit = np.quantile(size, share)
        for kernel, value in zip(kernels, saved, strict=True):
            kernel.assign(np.where(np.abs(value) < limit, 0, value))
        right = outputs(model, x).argmax(axis=1) == np.asarray(y)
        found[f"pruned_{share * 100:.0f}"] = float(right.mean())
    for kernel, value in zip(kernels, saved, strict=True):
        kernel.assign(value)
    return found


def restoration(model: keras.Model, arrays: Arrays) -> dict[str, float]:
    """Mean PSNR (dB) and SSIM of the first 1,000 test pictures with the restored column in place,
    in the recipe's pixel scale."""
    x, truth = (np.asarray(part[:PICTURES]) for part in arrays.parts["test"])
    column = arrays.column
    pictures = x.reshape(-1, 28, 28).copy()
    pictures[:, :, column] = truth
    return picture_quality(pictures, outputs(model, x), column, data_range=np.ptp(pictures))


def picture_quality(
    pictures: np.ndarray, restored: np.ndarray, column: int, data_range: float
) -> dict[str, float]:
    """Mean PSNR (dB) and SSIM of ``pictures`` (n, 28, 28) against themselves with ``restored``
    (n, 28) in ``column``; skimage's definitions, windows of 7 × 7."""
    changed = pictures.copy()
    changed[:, :, column] = np.clip(restored, pictures.min(), pictures.max())
    pairs = list(zip(pictures, changed, strict=True))
    with np.errstate(divide="ignore"):  # a perfectly restored picture: infinite PSNR, left out
        psnr = [peak_signal_noise_ratio(a, b, data_range=data_range) for a, b in pairs]
    ssim = [structural_similarity(a, b, data_range=data_range) for a, b in pairs]
    return {"psnr": float(np.mean(np.ma.masked_invalid(psnr))), "ssim": float(np.mean(ssim))}
