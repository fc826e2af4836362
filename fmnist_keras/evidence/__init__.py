"""What the sources printed and said, and what our runs say of it. Takes the two frames of a study;
knows nothing of Keras."""

from .decisions import decide, sentence
from .numbers import published, select
from .readings import facts, readings, table

__all__ = ["decide", "facts", "published", "readings", "select", "sentence", "table"]
