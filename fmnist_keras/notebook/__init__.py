"""What a notebook calls besides its experiment: parameters, tables, expected values."""

from .expected import compare_with_expected
from .parameters import check_parameters
from .sliders import explore
from .tables import answer, answer_box, collect, findings, folded, show

__all__ = [
    "answer", "answer_box", "check_parameters", "collect", "compare_with_expected", "explore",
    "findings", "folded", "show",
]  # fmt: skip
