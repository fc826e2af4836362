"""Hidden columns: restored without training, and what is measured of networks that restore them."""

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.restoration import inpaint_biharmonic

from . import training
from .diagnostics import inside

PICTURES = 1_000
"""Test images whose PSNR and SSIM are measured: SSIM is slow."""


def untrained(x, y, pictures, column):
    """The column of pictures (n, 28, 28) by four methods; of few by the last, which is slow."""
    design, seen = (np.c_[part, np.ones(len(part))] for part in (x, pictures.reshape(-1, 784)))
    mask = np.broadcast_to(np.arange(28) == column, (28, 28))
    return {
        "column mean": np.broadcast_to(y.mean(axis=0), (len(pictures), 28)),
        "neighbor average": (pictures[:, :, column - 1] + pictures[:, :, column + 1]) / 2,
        "least squares": seen @ np.linalg.lstsq(design, y, rcond=None)[0],
        "biharmonic inpainting": np.stack(
            [inpaint_biharmonic(picture, mask)[:, column] for picture in pictures[:PICTURES]]
        ),
    }


def picture_quality(pictures, restored, column):
    """Mean PSNR (dB) and SSIM (7 × 7 windows) of pictures (n, 28, 28) against themselves with
    restored (n, 28) in one column. A picture restored perfectly has no PSNR and is left out."""
    changed, data_range = pictures.copy(), np.ptp(pictures)
    changed[:, :, column] = np.clip(restored, pictures.min(), pictures.max())
    pairs = list(zip(pictures, changed, strict=True))
    with np.errstate(divide="ignore"):
        psnr = [peak_signal_noise_ratio(a, b, data_range=data_range) for a, b in pairs]
    ssim = [structural_similarity(a, b, data_range=data_range) for a, b in pairs]
    return {"psnr": float(np.mean(np.ma.masked_invalid(psnr))), "ssim": float(np.mean(ssim))}


def restoration(model, arrays):
    """The quality of the first test pictures with the column that the network restores."""
    x, truth = (np.asarray(part[:1_000]) for part in arrays.parts["test"])
    pictures = x.reshape(-1, 28, 28).copy()
    pictures[:, :, arrays.column] = truth
    return picture_quality(pictures, training.outputs(model, x), arrays.column)


def diagnosis(model, arrays):
    """The quality of what a network restores, and what happens inside it."""
    return restoration(model, arrays) | inside(model, arrays)


def weights(model, arrays):
    """Of all kernels together: the norm, and the share of weights within ±0.001 of zero."""
    kernels = [w for w in model.trainable_weights if w.path.endswith("kernel")]
    flat = np.concatenate([np.asarray(kernel).ravel() for kernel in kernels])
    return {
        "weight_norm": float(np.linalg.norm(flat)),
        "near_zero": float(np.mean(np.abs(flat) < 0.001)),
    }
