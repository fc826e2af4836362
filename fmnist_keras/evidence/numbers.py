"""The numbers that the five sources printed: ``numbers.yaml`` has a row for each."""

import difflib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator, TypeAdapter

Settings = dict[str, str | int | float | tuple[int, ...]]


def listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


class Row(BaseModel, frozen=True, extra="forbid"):
    """A row of a YAML file."""

    id: str


class Published(Row):
    """One printed number: where it stands, how exactly it is printed, and which runs answer it.
    The head of numbers.yaml explains the fields."""

    report: Literal["K", "P", "D", "M", "I"]
    section: str
    quantity: str
    condition: str
    value: float | tuple[float, ...]  # several: facts only
    rounding: float  # one unit of the last printed digit
    about: Literal["about", "nearly"] | None = None
    bound: Literal["lower", "upper"] | None = None
    unit: Literal["fraction", "percent", "loss", "epochs", "points", "rate", "count"]
    metric: Annotated[tuple[str, ...], BeforeValidator(listed)]
    where: Settings
    each: str | None = None
    protocol: Settings
    open: tuple[str, ...] = ()
    added: dict[str, list[Any]] = {}
    ends: str | None = None
    least_sd: str | None = None
    same_as: str | None = None
    run: str = ""
    notebook: str
    note: str = ""

    @property
    def fact(self) -> bool:
        """Whether the number follows from data or model alone, without statistics."""
        return self.metric == ("fact",)

    @property
    def printed(self) -> str:
        """The number as the report has it: "0.0990", "≈ 92", "> 0.9", "256, 64, 28"."""
        digits = len(f"{self.rounding:.10f}".rstrip("0").partition(".")[2])
        texts = [max(f"{v:.10g}", f"{v:.{digits}f}", key=len) for v in np.atleast_1d(self.value)]
        signs = {"lower": "> ", "upper": "< ", "about": "≈ ", "nearly": "just below ", None: ""}
        return signs[self.bound or self.about] + ", ".join(texts)

    @property
    def range(self) -> tuple[float, float]:
        """The values that would be printed so: (low, high)."""
        if self.about == "nearly":
            return self.value - self.rounding, self.value
        half = 0 if self.bound else self.rounding / 2
        low = -np.inf if self.bound == "upper" else self.value - half
        return low, np.inf if self.bound == "lower" else self.value + half


def read(path: Path, kind: type[Row]) -> dict[str, Any]:
    """Read a YAML list of rows: id -> row, in file order."""
    rows = TypeAdapter(list[kind]).validate_python(yaml.safe_load(path.read_text("utf-8")))
    return {row.id: row for row in rows}


def distinct(report: str) -> list[Published]:
    """The numbers of a source that need statistics, each that was printed twice once."""
    rows = published().values()
    return [row for row in rows if row.report == report and not (row.fact or row.same_as)]


@functools.cache
def published() -> dict[str, Published]:
    """Every published number, id -> row, in the ledger's order."""
    return read(Path(__file__).with_name("numbers.yaml"), Published)


def select(pattern: str | Sequence[str]) -> list[Published]:
    """The row with this id, or else all rows whose id goes on after it with "-" or ".".

    "K-T3.1" gives K-T3.1-0.0219 but never K-T3.10. A list or tuple gives each pattern's rows in
    turn, no row twice. ValueError, with the nearest ids, when a pattern fits nothing.
    """
    if not isinstance(pattern, str):
        return list({row.id: row for part in pattern for row in select(part)}.values())
    rows = published()
    if pattern in rows:
        return [rows[pattern]]
    found = [row for name, row in rows.items() if name.startswith((f"{pattern}-", f"{pattern}."))]
    if not found:
        close = ", ".join(difflib.get_close_matches(pattern, rows)) or "none"
        raise ValueError(f"no published number {pattern!r}; close: {close}")
    return found
