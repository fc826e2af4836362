"""The numbers that the five sources printed, as data: ``numbers.yaml`` has a row for each."""

import difflib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .measures import plain

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(plain)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Settings = dict[str, Annotated[str | int | float | tuple[int, ...], BeforeValidator(plain)]]
Row = TypeVar("Row", bound=BaseModel)


class Strict(BaseModel):
    """A row of a YAML file: no other fields, and nothing that is not what it should be."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Published(Strict):
    """One printed number: where it stands, how exactly it is printed, and which runs answer it.
    The head of numbers.yaml explains the fields."""

    id: Text
    report: Literal["K", "P", "D", "M", "I"]
    section: Text
    quantity: Text
    condition: Text
    value: Annotated[Number | tuple[Number, ...], BeforeValidator(plain)]  # several: facts only
    rounding: Annotated[Number, Field(gt=0)]  # one unit of the last printed digit
    about: Literal["about", "nearly"] | None = None
    bound: Literal["lower", "upper"] | None = None
    unit: Literal["fraction", "percent", "loss", "epochs", "points", "rate", "count"]
    metric: Annotated[Texts, BeforeValidator(lambda v: [v] if isinstance(v, str) else v)]
    where: Settings
    each: Text | None = None
    protocol: Settings
    open: Texts = ()
    fitted: Texts = ()
    ends: Text | None = None
    least_sd: Text | None = None
    than: Text | None = None
    same_as: Text | None = None
    notebook: Annotated[str, Field(pattern=r"^\d\d_[a-z_]+$")]
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


def read(path: Path, kind: type[Row]) -> dict[str, Row]:
    """Read a YAML list of rows: id -> row, in file order. A bad row is a one-line ValueError."""
    rows: dict[str, Row] = {}
    for number, fields in enumerate(yaml.safe_load(path.read_text("utf-8")), start=1):
        place = f"{path.name}, row {number}"
        try:
            row = kind.model_validate(fields)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            name = (*problem["loc"], "row")[0]
            value = "" if problem["type"] == "missing" else f" = {problem['input']!r}"
            raise ValueError(f"{place}: {name}{value}: {problem['msg']}") from None
        if row.id in rows:
            raise ValueError(f"{place}: the id {row.id} stands in the file twice")
        rows[row.id] = row
    return rows


@functools.cache
def published() -> dict[str, Published]:
    """Every published number, id -> row, in the ledger's order."""
    return read(Path(__file__).with_name("numbers.yaml"), Published)


def select(pattern: str | Sequence[str]) -> list[Published]:
    """The row with this id, or else all rows whose id goes on after it with "-" or ".".

    "K-T3.1" gives K-T3.1-0.0219 but never K-T3.10. A list or tuple gives each pattern's rows in
    turn, no row twice. ValueError, with the nearest names, when a pattern fits nothing.
    """
    if not isinstance(pattern, str):
        return list({row.id: row for part in pattern for row in select(part)}.values())
    rows = published()
    if pattern in rows:
        return [rows[pattern]]
    found = [row for name, row in rows.items() if name.startswith((f"{pattern}-", f"{pattern}."))]
    if not found:
        names = {*rows, *(name[:i] for name in rows for i, c in enumerate(name) if c in "-.")}
        close = ", ".join(difflib.get_close_matches(pattern, sorted(names))) or "none"
        raise ValueError(f"no published number {pattern!r}; close: {close}")
    return found
