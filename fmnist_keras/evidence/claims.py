"""What the sources, and we, say about the runs: ``claims/<notebook>.yaml`` has a row for each claim
that the notebook decides. ``claims/README.md`` explains the fields."""

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, Field

from .numbers import Row, Settings, listed, read

Arm = Annotated[
    Settings | float, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)
]
"""One arm of a comparison: recipe fields that pick its runs, a name alone, or a plain number."""
Arms = Annotated[tuple[Arm, ...], BeforeValidator(listed)]
FOLDER = Path(__file__).parent
SOURCES = {row["id"]: row["name"] for row in yaml.safe_load((FOLDER / "sources.yaml").read_bytes())}
SOURCES |= {"X": "sources side by side", "ours": "our finding"}


class Comparison(BaseModel, frozen=True, extra="forbid"):
    """How a measure of some arms must stand to that of others."""

    measure: str
    called: str = ""
    of: Arms = ()
    above: Arms = ()
    below: Arms = ()
    equal: Arms = ()
    by: float = 0.0
    margin: float | None = None
    printed: float | None = None

    @property
    def arms(self) -> Arms:
        return self.of + self.above + self.below + self.equal


def _by_reading(compare: Any) -> Any:
    """One comparison, or some, as the only reading, which needs no name."""
    named = isinstance(compare, dict) and "measure" not in compare
    readings = compare if named else {"": compare}
    return {name: listed(some) for name, some in readings.items()}


Comparisons = Annotated[dict[str, list[Comparison]], BeforeValidator(_by_reading)]
"""Reading -> comparisons that must all hold; one without a name where nothing was left open."""


class Twin(BaseModel, frozen=True, extra="forbid"):
    """The same question between equals, which is ours: its sentence says what was made equal."""

    says: str
    compare: Comparisons


class Claim(Row):
    """One claim, with the comparisons that decide it."""

    says: str
    kind: Literal["R", "T", "X", "cross", "ours"]
    where: str = ""
    compare: Comparisons
    twin: Twin | None = None
    protocol: Settings = Field(default={})
    note: str = ""
    answer: bool = False

    @property
    def source(self) -> str:
        return "ours" if self.kind == "ours" else self.id.partition("-")[0]


@functools.cache
def claims() -> dict[str, dict[str, Claim]]:
    """Every claim: notebook -> id -> claim."""
    return {path.stem: read(path, Claim) for path in sorted(FOLDER.glob("claims/*.yaml"))}


def described(arm: Any) -> str:
    """An arm as a reader sees it: its name, or its settings."""
    if not isinstance(arm, dict):
        return f"{arm:g}"
    texts = [f"{field.replace('_', ' ')} {shown(value)}" for field, value in arm.items()]
    return ", ".join(text.removeprefix("name ") for text in texts)


def shown(value: Any) -> str:
    """A recipe field's value in a table: units as 64-64, numbers in short."""
    if isinstance(value, tuple | list):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
