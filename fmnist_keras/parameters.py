"""A notebook's parameters: their defaults, and the check that stops a study on a wrong one.

Type and range follow from what is there already. A parameter with the name of a recipe's field is
checked as that field is; one whose name ends in ``seeds`` is a list of seeds; one that ends in
``_range`` is a pair that increases. Any other is like its default: an integer from 1, a positive
number, a list of such items; a zero in the default allows zeros, and None anything.
"""

import ast
from collections.abc import Mapping
from typing import Annotated, Any, get_type_hints

import nbformat
from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, JsonValue

from .checks import NotNegative, Positive, Seeds, check, meant
from .errors import RecipeError
from .recipe import Recipe
from .settings import ROOT

NOTEBOOKS = ROOT / "notebooks"
_AS_LIST = BeforeValidator(lambda value: list(value) if isinstance(value, tuple) else value)


def defaults(notebook: str) -> dict[str, Any]:
    """What the cell tagged ``parameters`` of ``notebooks/<notebook>.ipynb`` assigns, by executing
    it alone. Raises RecipeError, in one line, where it fails."""
    cells = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    namespace: dict[str, Any] = {}
    try:
        exec(source := "\n".join(tagged), namespace)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise RecipeError(f"notebooks/{notebook}.ipynb, cell `parameters`: {reason}") from None
    return {name: namespace[name] for name in _assigned(source) if name in namespace}


def check_parameters(notebook: str, values: Mapping[str, Any]) -> None:
    """Raise a one-line RecipeError unless all ``values`` are parameters of the notebook, each of
    its type and in its range."""
    allowed = defaults(notebook)
    for name, value in values.items():
        if name not in allowed:
            hint = f"{notebook} has no such parameter: {meant(name, allowed)}"
            raise RecipeError(f"{name} = {value!r}: {hint}")
        _check(name, name, value, allowed[name])


def check_namespace(notebook: str, namespace: Mapping[str, Any]) -> None:
    """The same of a notebook's ``globals()``: of its parameters there, of all that papermill has
    injected, and of names that are a parameter's in other letters."""
    allowed = defaults(notebook)
    injected = [cell for cell in namespace.get("In", []) if cell.startswith("# Parameters\n")]
    alike = {name for name in namespace if name.lower() in allowed}
    names = {*allowed, *_assigned("".join(injected[-1:])), *alike}
    check_parameters(notebook, {name: namespace[name] for name in namespace.keys() & names})


def _assigned(source: str) -> list[str]:
    """Names that code assigns, in order."""
    names = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    return list(dict.fromkeys(node.id for node in names if isinstance(node.ctx, ast.Store)))


def _check(label: str, name: str, value: Any, default: Any) -> None:
    if not default or not isinstance(default, dict):
        check(_kind(name, default), label, value)
        return
    if not isinstance(value, dict) or value.keys() != default.keys():
        raise RecipeError(f"{label} = {value!r}: must have the keys {', '.join(map(str, default))}")
    for key, part in value.items():
        _check(f"{label}[{key}]", name, part, default[key])


def _kind(name: str, default: Any) -> Any:
    """The annotated type of a parameter, as its name and default say."""
    if name in Recipe.model_fields:
        return get_type_hints(Recipe, include_extras=True)[name]
    if name.endswith("seeds"):
        return Seeds
    if name.endswith(("_range", "_ranges")):
        two = Field(min_length=2, max_length=2)
        return Annotated[_like([default]), two, AfterValidator(_increasing)]
    return _like([default])


def _like(values: list | tuple) -> Any:
    """The annotated type that all these values have."""
    first, types = values[0], {type(value) for value in values}
    if types == {int}:
        return Annotated[int, Field(ge=min([1, *values]))]
    if types <= {int, float}:
        least = min(values)
        return Positive if least > 0 else FiniteFloat if least else NotNegative
    if first and isinstance(first, list | tuple):
        return Annotated[list[_like(first)], _AS_LIST, Field(min_length=1)]
    return JsonValue if first is None else type(first)


def _increasing(pair: list) -> list:
    if not pair[0] < pair[1]:
        raise ValueError("must be two numbers, the second one larger")
    return pair
