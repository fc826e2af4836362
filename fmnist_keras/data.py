"""Fashion-MNIST: found, verified byte for byte, split and scaled.

The data comes from the first folder of the search path that has it. ``scripts/fetch_data.py``
fills the caches among them.
"""

import functools
import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import UserError

CLASS_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
               "Bag", "Ankle boot")  # fmt: skip
FILES = {  # SHA-256 of the decompressed bytes: that of the .gz differs from packager to packager
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
PACKAGE = "dataset-fashion-mnist"
PERMUTATION_SEED, LABEL_NOISE_SEED = 28, 10
"""Seeds of what is drawn once for all runs: the order of shuffled pixels, and wrong labels."""
SCALES = {"unit": (0, 255), "symmetric": (127.5, 127.5), "mnist": (0.1307 * 255, 0.3081 * 255)}
"""The number subtracted from each pixel (0 to 255), and the number it is then divided by."""
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")


class DataError(UserError, RuntimeError):
    """The data is missing, or is not Fashion-MNIST as published."""


@dataclass(frozen=True, eq=False)
class Images:
    """The published data; the arrays are uint8, read-only and shared by all callers."""

    train_images: np.ndarray  # (60000, 28, 28)
    train_labels: np.ndarray  # (60000,)
    test_images: np.ndarray  # (10000, 28, 28)
    test_labels: np.ndarray  # (10000,)
    source: str  # "FMNIST_DATA", "system", "Keras" or "Debian package"


def search_path() -> dict[str, Path]:
    """The folders that may hold the data, in the order in which they are searched. The folder in
    FMNIST_DATA, where set, is the only one."""
    if os.environ.get("FMNIST_DATA"):
        return {"FMNIST_DATA": _folder("FMNIST_DATA")}
    return {
        "system": SYSTEM_FOLDER,
        "Keras": _folder("KERAS_HOME", "~/.keras") / "datasets" / "fashion-mnist",
        "Debian package": _folder("XDG_CACHE_HOME", "~/.cache") / "fmnist_keras",
    }


@functools.cache
def load() -> Images:
    """Return the verified data, read once per process.

    Raises DataError if no folder has the data, or if the first one that has it holds a bad file:
    it never falls back to the next.
    """
    folders = search_path()
    for source, folder in folders.items():
        if source == "FMNIST_DATA" or all(_find(folder, name) for name in FILES):
            return Images(*(_read(folder, name) for name in FILES), source=source)
    searched = ", ".join(map(str, folders.values()))
    raise DataError(
        f"Fashion-MNIST was not found in {searched}: run `python scripts/fetch_data.py`, or set "
        "FMNIST_DATA to a folder with the four files"
    )


def _folder(variable: str, default: str = "") -> Path:
    return Path(os.environ.get(variable) or default).expanduser().absolute()


def _find(folder: Path, name: str) -> Path | None:
    """The file, decompressed or else gzipped, or None."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if os.path.isfile(p)), None)


def _read(folder: Path, name: str) -> np.ndarray:
    """The array of one IDX file; raise DataError unless it is exactly as published."""
    path = _find(folder, name)
    advice = f"copy it from Debian's package {PACKAGE}, or, in a cache, delete it and load again"
    if path is None:  # a pipe, too: reading it would wait without end
        raise DataError(f"{folder / name}.gz is missing or no regular file; {advice}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is truncated, not gzip or unreadable: {error}; {advice}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != FILES[name]:
        problem = f"sha256 {digest[:12]}..., expected {FILES[name][:12]}..."
        raise DataError(f"{path} is altered: {problem}; {advice}")
    # IDX: two zeros, 8 for bytes, the number of axes, each axis as a big-endian word, the values.
    shape = np.frombuffer(content, ">u4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def split_indices(
    n: int, validation: str, val_size: int, seed: int, train_size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split n training images into int64 index arrays (train, val).

    validation: "last" holds out the last val_size images, as Keras' validation_split does;
    "random" holds out val_size images drawn by the seed; "none" and "test" hold out none.
    train_size keeps only the first so many training indices.
    """
    if validation == "random":
        # 0x5EED keeps this stream apart from whatever else is drawn with the same seed.
        val, train = np.split(np.random.default_rng([seed, 0x5EED]).permutation(n), [val_size])
    else:
        held_out = {"last": val_size, "none": 0, "test": 0}[validation]
        train, val = np.split(np.arange(n), [n - held_out])
    return train[:train_size], val


def prepare(
    images: Images, task="classify", flat=True, scale="unit", column=14, permuted=False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return new arrays (x, y, x_test, y_test) of all training and all test images.

    x is float32, (n, 784) if flat, else (n, 28, 28, 1). scale: "unit": [0, 1]; "symmetric":
    [-1, 1]; "standard": by the mean and SD of all training pixels; "mnist": by those of *MNIST*, as
    many tutorials do. task: "classify": y is int32 labels (n,); "inpaint": y is the scaled pixels
    of one column, float32 (n, 28), and that column of x is black. permuted: the pixels of all
    images are in one random order, the same in every call.
    """
    if scale == "standard":
        shift = images.train_images.mean()
        squares = np.square(images.train_images, dtype=np.uint16)  # needs less memory than std()
        divisor = np.sqrt(squares.mean() - shift**2)
    else:
        shift, divisor = SCALES[scale]
    shift, divisor = np.float32(shift), np.float32(divisor)

    arrays = []
    for part in ("train", "test"):
        x = getattr(images, f"{part}_images").astype(np.float32)
        x -= shift  # in place: x takes 188 MB
        x /= divisor
        y = getattr(images, f"{part}_labels").astype(np.int32)
        if task == "inpaint":
            y = x[:, :, column].copy()
            x[:, :, column] = (0 - shift) / divisor  # exactly as a black pixel was scaled
        if permuted:
            x = x.reshape(-1, 784)[:, np.random.default_rng(PERMUTATION_SEED).permutation(784)]
        arrays += [x.reshape((-1, 784) if flat else (-1, 28, 28, 1)), y]
    return tuple(arrays)


def with_label_noise(labels: np.ndarray, share: float) -> np.ndarray:
    """Return labels (n,) with a share of them replaced by another class, drawn evenly. The same n
    and share always replace the same ones."""
    generator = np.random.default_rng(LABEL_NOISE_SEED)
    chosen = generator.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.copy()
    noisy[chosen] += generator.integers(1, 10, len(chosen), dtype=labels.dtype)
    return noisy % 10
