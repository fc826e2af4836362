"""What values may be, and the one line that says so of one that may not."""

import difflib
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from .errors import RecipeError


def _in_float32(value: float) -> float:
    if value and not 1e-30 <= value <= 1e30:
        raise ValueError("must be from 1e-30 to 1e30, as float32 has room for")
    return value


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_in_float32)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_in_float32)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Counts = Annotated[list[Count], Field(min_length=1)]
Trials = Annotated[int, Field(ge=1, le=10_000)]
Widths = Annotated[
    tuple[Count, ...],
    BeforeValidator(lambda v: tuple(v) if type(v) is list else v),
    Field(max_length=100),
]
Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, max_length=1000)]


def _one_line(name: str) -> str:
    if len(name) > 100 or not name.isprintable():
        raise ValueError("must be one line of at most 100 printable characters")
    return name


Name = Annotated[str, AfterValidator(_one_line)]


def explain(error: ValidationError, allowed: list[str]) -> str:
    """One line for the first problem that pydantic found."""
    problem = error.errors()[0]
    name = ".".join(map(str, problem["loc"]))
    if not name:  # a check of several fields, whose text is complete
        return str(problem["ctx"]["error"])
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, allowed, n=1)
        hint = f"did you mean {close[0]}?" if close else "known names: " + ", ".join(allowed)
        return f"{name} = {problem['input']!r}: no parameter has this name; {hint}"
    return f"{name} = {problem['input']!r}: {_allowed(problem)}"


def _allowed(problem: dict) -> str:
    """What a value must be, by pydantic or by a check of ours."""
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    text = (
        problem["msg"]
        .replace("Input should be", "must be")
        .replace("a valid integer", "an integer")
        .replace("a valid", "a")
    )
    if isinstance(problem["input"], str) and problem["type"] in {"float_type", "int_type"}:
        text += " (this is a string; YAML reads 1e-3 as text: write 0.001 or 1.0e-3)"
    return text


def check(kind: Any, name: str, value: Any) -> Any:
    """Return ``value`` if it is of the annotated type ``kind``; if not, raise a RecipeError."""
    try:
        return TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        place = f"[{'.'.join(map(str, problem['loc']))}]" if problem["loc"] else ""
        line = f"{name}{place} = {problem['input']!r}: {_allowed(problem)}"
        raise RecipeError(line) from None


def distinct(name: str, values: Any) -> None:
    """Raise RecipeError where a value stands in a list more than once."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise RecipeError(f"{name} = {values!r}: each value may stand there once")


def check_seeds(seeds: list[int]) -> list[int]:
    """Return the seeds; raise RecipeError unless they are distinct integers, at least one."""
    seeds = check(Seeds, "seeds", list(seeds) if isinstance(seeds, tuple | range) else seeds)
    distinct("seeds", seeds)
    return seeds
