"""Figures from the two frames of a study; nothing here knows of Keras or of storage.

A line or a dot is the mean over seeds; a band or a bar spans all seeds, lowest to highest.
"""

from .runs import against, compare, curves, effects, images
from .style import OUTCOMES, SPREAD

__all__ = ["OUTCOMES", "SPREAD", "against", "compare", "curves", "effects", "images"]
