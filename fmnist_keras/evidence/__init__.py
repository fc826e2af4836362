"""What the sources printed, and what our runs say of it. Takes frames; knows nothing of Keras."""

from .numbers import published, select
from .verdicts import facts, table

__all__ = ["facts", "published", "select", "table"]
