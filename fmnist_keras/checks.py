"""Checks of values, which raise RecipeError with one line."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from .errors import RecipeError


def _in_float32(value: float) -> float:
    if value and not 1e-30 <= value <= 1e30:
        raise ValueError("must be from 1e-30 to 1e30, as float32 has room for")
    return value


def _one_line(name: str) -> str:
    if len(name) > 100 or not name.isprintable():
        raise ValueError("must be one line of at most 100 printable characters")
    return name


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_in_float32)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_in_float32)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Widths = Annotated[
    tuple[Count, ...],
    BeforeValidator(lambda v: tuple(v) if type(v) is list else v),
    Field(max_length=100),
]
Name = Annotated[str, AfterValidator(_one_line)]
Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, max_length=1000)]


def meant(name: str, allowed: Iterable[str]) -> str:
    """All allowed names, after the one that a misspelt ``name`` most resembles."""
    close = difflib.get_close_matches(str(name).strip("_").lower(), allowed := list(allowed), n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}known names: {', '.join(allowed) or 'none'}"


def explain(error: ValidationError, allowed: Iterable[str] = (), name: str = "") -> str:
    """The first problem that pydantic found in one line: which value, and what is allowed. The
    error is one of a model with the fields ``allowed``, or of a value called ``name``."""
    problem = error.errors()[0]
    place, text, value = ".".join(map(str, problem["loc"])), problem["msg"], problem["input"]
    if problem["type"] == "value_error":
        text = str(problem["ctx"]["error"])
    if not (name or place):  # a check of several fields, whose text is complete
        return text
    if problem["type"] == "extra_forbidden":
        text = f"no parameter has this name; {meant(place, allowed)}"
    if isinstance(value, str) and problem["type"] in {"float_type", "int_type"}:
        text += " (this is a string; YAML reads 1e-3 as text: write 0.001 or 1.0e-3)"
    text = text.replace("Input should be", "must be").replace("a valid integer", "an integer")
    label = f"{name}[{place}]" if name and place else name or place
    return f"{label} = {value!r}: {text.replace('a valid', 'a')}"


def check(kind: Any, name: str, value: Any) -> Any:
    """Return ``value`` if it is of the annotated type ``kind``; if not, raise a RecipeError."""
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        raise RecipeError(explain(error, name=name)) from None


def distinct(name: str, values: Any) -> None:
    """Raise RecipeError if a value occurs twice in a list or tuple, whose items may be lists."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise RecipeError(f"{name} = {values!r}: each value may stand there once")


def check_seeds(seeds: list[int]) -> list[int]:
    """Return seeds as a list; raise RecipeError unless they are distinct integers, at least one."""
    seeds = check(Seeds, "seeds", list(seeds) if isinstance(seeds, tuple | range) else seeds)
    distinct("seeds", seeds)
    return seeds
