"""Figures from the two frames of a study. Nothing here knows of Keras or of storage.

A line or a dot is the mean over seeds; a band or a bar spans all seeds, lowest to highest.
"""

from .answers import effects, specification
from .curves import curves, each_seed, train_and_val
from .runs import against, compare, images
from .style import SPREAD, VERDICTS

__all__ = [
    "SPREAD", "VERDICTS", "against", "compare", "curves", "each_seed", "effects", "images",
    "specification", "train_and_val",
]  # fmt: skip
