"""What the sources, and we, say about the runs, as data: ``claims/<notebook>.yaml`` has a row for
each claim that the notebook decides. ``claims/README.md`` explains the fields."""

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .numbers import Number, Settings, Strict, Text, read

Arm = Annotated[
    Settings | Number, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)
]
"""One arm of a comparison: recipe fields that pick its runs, a name alone, or a plain number."""
Arms = Annotated[
    list[Arm], BeforeValidator(lambda v: v if isinstance(v, list) else [v]), Field(min_length=1)
]
SOURCES = {
    "K": "Keras study", "P": "PyTorch assignment", "D": "DNN homework", "M": "MLP report",
    "I": "imputation report", "X": "sources side by side", "ours": "our finding",
}  # fmt: skip


class Comparison(Strict):
    """How a measure of some arms must stand to that of others."""

    measure: Text
    called: str = ""
    of: Arms | None = None
    above: Arms | None = None
    below: Arms | None = None
    equal: Arms | None = None
    varies: Arms | None = None
    by: Number = 0.0
    margin: Annotated[Number, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _check(self) -> "Comparison":
        given = [kind for kind in ("above", "below", "equal", "varies") if getattr(self, kind)]
        if len(given) != 1:
            raise ValueError(f"one of above, below, equal, varies is needed, not {given}")
        if bool(self.of) == (given == ["varies"]) and given != ["equal"]:
            raise ValueError(f"{given[0]}: {'takes no' if self.of else 'needs'} `of`")
        return self

    @property
    def label(self) -> str:
        return self.called or self.measure.replace("_", " ")

    @property
    def arms(self) -> list:
        fields = (self.of, self.above, self.below, self.equal, self.varies)
        return [arm for some in fields for arm in some or []]


def _by_reading(compare: Any) -> Any:
    """One comparison, or some, as the only reading, which needs no name."""
    named = isinstance(compare, dict) and "measure" not in compare
    readings = compare if named else {"": compare}
    return {name: some if isinstance(some, list) else [some] for name, some in readings.items()}


Comparisons = Annotated[
    dict[str, Annotated[list[Comparison], Field(min_length=1)]],
    BeforeValidator(_by_reading),
    Field(min_length=1),
]
"""Reading -> comparisons that must all hold; one without a name where nothing was left open."""


class Claim(Strict):
    """One claim, with the comparisons that decide it."""

    id: Text
    says: Text
    kind: Literal["R", "T", "X", "cross", "ours"]
    compare: Comparisons
    twin: Comparisons | None = None
    protocol: Settings = Field(default={})
    note: str = ""
    answer: bool = False

    @property
    def source(self) -> str:
        return "ours" if self.kind == "ours" else self.id.partition("-")[0]


@functools.cache
def claims() -> dict[str, dict[str, Claim]]:
    """Every claim: notebook -> id -> claim. A bad one is a one-line ValueError."""
    files = sorted(Path(__file__).with_name("claims").glob("*.yaml"))
    return {path.stem: read(path, Claim) for path in files}


def described(condition: Any) -> str:
    """A condition as a reader sees it: its name, or its settings."""
    if not isinstance(condition, dict):
        return f"{condition:g}"
    return ", ".join(
        str(value) if field == "name" else f"{field.replace('_', ' ')} {shown(value)}"
        for field, value in condition.items()
    )


def shown(value: Any) -> str:
    """A recipe field's value in a table: units as 64-64, numbers in short."""
    if isinstance(value, tuple | list):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
