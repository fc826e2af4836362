"""A notebook's parameters: their defaults, and the check that stops a study on a wrong one.

Type and range of a parameter follow from what is there already. One that has the name of a recipe's
field is checked as that field is; one whose name ends in ``seeds`` is a list of seeds; any other
must be like its default: an integer from 1 where the default is one, a positive number where the
default is, a list of such items. A zero in the default allows zeros. ``…_range`` is a pair that
increases. A default of None allows anything.
"""

import ast
import difflib
from collections.abc import Mapping
from typing import Annotated, Any, get_type_hints

import nbformat
from IPython import get_ipython
from IPython.core.inputtransformer2 import TransformerManager
from pydantic import AfterValidator, Field, JsonValue

from .checks import Count, NotNegative, Positive, Seeds, check
from .errors import RecipeError
from .recipe import Recipe
from .settings import ROOT

NOTEBOOKS = ROOT / "notebooks"
_HINTS = get_type_hints(Recipe, include_extras=True)
_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))
_CLOSE = 0.85  # of difflib: epoch is close to epochs, rate is not close to rates_tried


def defaults(notebook: str) -> dict[str, Any]:
    """What the cell tagged ``parameters`` of ``notebooks/<notebook>.ipynb`` assigns, by executing
    it alone. Raises RecipeError, in one line, where it fails."""
    sources = [c.source for c in _cells(notebook) if "parameters" in c.metadata.get("tags", [])]
    namespace: dict[str, Any] = {}
    try:
        exec("\n".join(sources), namespace)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise RecipeError(f"notebooks/{notebook}.ipynb, cell `parameters`: {reason}") from None
    return {name: namespace[name] for name in _assigned(sources) if name in namespace}


def check_parameters(notebook: str, values: Mapping[str, Any]) -> None:
    """Raise a one-line RecipeError unless all ``values`` are parameters of the notebook, each of
    its type and in its range."""
    _check_all(notebook, values, defaults(notebook))


def check_namespace(notebook: str, namespace: Mapping[str, Any]) -> None:
    """The same of a notebook's ``globals()``, for the parameters among them.

    Other names there may be misspelt ones: all that papermill injected, and plain values with a
    name close to a parameter's which neither the notebook's own code assigns nor IPython's startup
    files do.
    """
    allowed = defaults(notebook)
    injected = [cell for cell in namespace.get("In", []) if cell.startswith("# Parameters\n")]
    hidden = getattr(get_ipython(), "user_ns_hidden", {})
    close = {
        name
        for name, value in namespace.items()
        if isinstance(value, _PLAIN) and name not in hidden and _meant(name, allowed, _CLOSE)
    }
    if close - set(allowed):
        close -= set(_assigned(cell.source for cell in _cells(notebook)))
    names = {*allowed, *_assigned(injected[-1:]), *close}
    given = {name: value for name, value in namespace.items() if name in names}
    _check_all(notebook, given, allowed)


def _cells(notebook: str) -> list:
    cells = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def _assigned(sources) -> list[str]:
    """Names that code assigns, in order; it may have IPython's magics."""
    transform = TransformerManager().transform_cell
    nodes = [node for text in sources for node in ast.walk(ast.parse(transform(text)))]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    return list(dict.fromkeys(node.id for node in names if isinstance(node.ctx, ast.Store)))


def _meant(name: str, allowed: Mapping[str, Any], cutoff: float) -> list[str]:
    """The parameter that a name is closest to, if it is close."""
    return difflib.get_close_matches(name.strip("_").lower(), allowed, n=1, cutoff=cutoff)


def _check_all(notebook: str, values: Mapping[str, Any], allowed: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name not in allowed:
            hint = "".join(f"did you mean {meant}? " for meant in _meant(name, allowed, 0.6))
            raise RecipeError(
                f"{name} = {value!r}: {notebook} has no such parameter: {hint}known: "
                + ", ".join(allowed)
            )
        _check(name, name, value, allowed[name])


def _check(label: str, name: str, value: Any, default: Any) -> None:
    if not (default and isinstance(default, dict)):
        is_pair = isinstance(value, tuple) and isinstance(default, list | tuple)
        check(_kind(name, default), label, list(value) if is_pair else value)
        return
    if not isinstance(value, dict) or value.keys() != default.keys():
        raise RecipeError(f"{label} = {value!r}: must have the keys {', '.join(map(str, default))}")
    for key, part in value.items():
        _check(f"{label}[{key}]", name, part, default[key])


def _kind(name: str, default: Any) -> Any:
    """The annotated type of a parameter, as its name and default say."""
    if name in Recipe.model_fields:
        return _HINTS[name]
    if name.endswith("seeds"):
        return Seeds
    if name.endswith(("_range", "_ranges")) and isinstance(default, list | tuple):
        two = Field(min_length=2, max_length=2)
        return Annotated[list[_like(default)], two, AfterValidator(_increasing)]
    return _like([default])


def _like(values: Any) -> Any:
    """The annotated type that all these values have."""
    first, types = values[0], {type(value) for value in values}
    if types <= {int, float}:
        least = min(values)
        if types == {int}:
            return Count if least >= 1 else Annotated[int, Field(ge=0)] if least == 0 else int
        finite = Annotated[float, Field(allow_inf_nan=False)]
        return Positive if least > 0 else NotNegative if least == 0 else finite
    if first and isinstance(first, list | tuple):
        return Annotated[list[_like(first)], Field(min_length=1)]
    if type(first) in {bool, str, list, dict}:
        return type(first)
    return JsonValue if first is None else Any


def _increasing(pair: list) -> list:
    if not pair[0] < pair[1]:
        raise ValueError("must be two numbers, the second one larger")
    return pair
