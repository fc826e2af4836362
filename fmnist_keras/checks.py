"""What values may be, and the one line that says so of one that may not."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

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


def meant(name: str, allowed: Iterable[str]) -> str:
    """What a name that is not allowed may stand for, and all that are."""
    close = difflib.get_close_matches(str(name).strip("_").lower(), allowed := list(allowed), n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}known names: {', '.join(allowed)}"


def explain(error: ValidationError, allowed: Iterable[str] = (), name: str = "") -> str:
    """One line for the first problem that pydantic found in the fields of a model, ``allowed``, or
    in a value called ``name``: which value, and what is allowed."""
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
    """Raise RecipeError where a value stands in a list more than once."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise RecipeError(f"{name} = {values!r}: each value may stand there once")


def check_seeds(seeds: list[int]) -> list[int]:
    """Return the seeds; raise RecipeError unless they are distinct integers, at least one."""
    seeds = check(Seeds, "seeds", list(seeds) if isinstance(seeds, tuple | range) else seeds)
    distinct("seeds", seeds)
    return seeds
