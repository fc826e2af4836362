"""A notebook's parameters: their defaults, a profile's file, the check that stops on a wrong one.

Type and range follow from what is there already. A parameter with the name of a recipe's field is
checked as that field is; one that ends in ``seeds`` is a list of seeds, one that ends in ``_range``
an increasing pair. Any other is like its default: an integer from 1, a positive number, a list of
such items; a zero in the default allows zeros, None allows anything.
"""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import nbformat
import yaml
from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, JsonValue

from .checks import NotNegative, Positive, Seeds, check, meant
from .errors import RecipeError
from .recipe import Recipe
from .settings import ROOT

NOTEBOOKS = ROOT / "notebooks"
_AS_LIST = BeforeValidator(lambda value: list(value) if isinstance(value, tuple) else value)


def defaults(notebook: str) -> dict[str, Any]:
    """What the cell tagged ``parameters`` of ``notebooks/<notebook>.ipynb`` assigns when it runs
    alone; a one-line RecipeError where it fails."""
    cells = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    namespace: dict[str, Any] = {}
    try:
        exec(source := "\n".join(tagged), namespace)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise RecipeError(f"notebooks/{notebook}.ipynb, cell `parameters`: {reason}") from None
    return {name: namespace[name] for name in _assigned(source) if name in namespace}


class _Distinct(yaml.SafeLoader):
    """Refuses a name that stands twice; YAML itself would keep the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [str(key.value) for key, _ in node.value]
        if len(set(names)) < len(names):
            raise yaml.YAMLError(f"a name stands twice: {', '.join(names)}")
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    """The parameters that a file gives for the notebook of its name; without the file none.
    Raises a one-line RecipeError unless they are as :func:`check_parameters` wants them."""
    try:
        given = yaml.load(path.read_bytes(), _Distinct) if path.exists() else {}
        if not isinstance(given, dict):
            raise RecipeError("must consist of lines `name: value`")
        check_parameters(path.stem, given)
    except (yaml.YAMLError, RecipeError) as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from None
    return given


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
    """Check a notebook's ``globals()``: its parameters, all that papermill has injected, and names
    that differ from a parameter's in capitals alone."""
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
    """Check a value by the type that the name or the default of its parameter says."""
    if default and isinstance(default, dict):
        if not isinstance(value, dict) or value.keys() != default.keys():
            keys = ", ".join(map(str, default))
            raise RecipeError(f"{label} = {value!r}: must have the keys {keys}")
        for key, part in value.items():
            _check(f"{label}[{key}]", name, part, default[key])
        return
    kind = _like([default])
    if name in Recipe.model_fields:
        kind = get_type_hints(Recipe, include_extras=True)[name]
    elif name.endswith("seeds"):
        kind = Seeds
    elif name.endswith(("_range", "_ranges")):
        kind = Annotated[kind, Field(min_length=2, max_length=2), AfterValidator(_increasing)]
    check(kind, label, value)


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
