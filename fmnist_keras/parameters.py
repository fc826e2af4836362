"""A notebook's parameters: their defaults, a profile's file, the check that stops on a wrong one.

Type and range follow from what is there already. A parameter with the name of a recipe's field is
checked as that field is; one that ends in ``seeds`` is a list of seeds, one that ends in ``_range``
an increasing pair. Any other is like its default: an integer from 1, a positive number, a list of
such items; a zero in the default allows zeros, None allows anything.
"""

import ast
import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import nbformat
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, JsonValue

from .checks import NotNegative, Positive, Seeds, check, meant
from .errors import RecipeError
from .recipe import Recipe
from .settings import ROOT

NOTEBOOKS = ROOT / "notebooks"
PLACE = "notebooks/{}.ipynb, cell `parameters`"
OTHER_NAMES = (ast.For, ast.While, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_AS_LIST = BeforeValidator(lambda value: list(value) if isinstance(value, tuple) else value)


def defaults(notebook: str) -> dict[str, Any]:
    """What the cell tagged ``parameters`` of ``notebooks/<notebook>.ipynb`` assigns when it runs
    alone, without its magics; none without such a cell. A one-line RecipeError where it fails, for
    a value that no YAML file can give, and for several such cells, as papermill fills the first."""
    return _cell(notebook)[1]


def _cell(notebook: str) -> tuple[ast.Module, dict[str, Any]]:
    """The syntax tree of the cell tagged ``parameters``, and :func:`defaults`."""
    cells = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    namespace: dict[str, Any] = {}
    try:
        if len(tagged) > 1 or any(cell.cell_type != "code" for cell in tagged):
            raise SyntaxError("this tag must stand at one cell, one of code")
        tree = _parsed("".join(cell.source for cell in tagged))
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(tree, "parameters", "exec"), namespace)
        names = [name for name in _assigned(tree.body) if name in namespace]
        return tree, {name: _plain(name, namespace[name]) for name in names}
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise RecipeError(f"{PLACE.format(notebook)}: {reason}") from None


def _parsed(source: str) -> ast.Module:
    """The code of a cell without IPython's ``%`` and ``!`` lines. SyntaxError for one whose result
    the code uses, or that itself runs code."""
    tree = ast.parse(TransformerManager().transform_cell(source))
    magics = [node for node in tree.body if "get_ipython()" in ast.unparse(node)]
    for node in magics:
        text = ast.unparse(node)
        if not isinstance(node, ast.Expr) or re.search(r"cell_magic|_magic\('time", text):
            raise SyntaxError(f"its values must be plain Python, without % or !: {text}")
    tree.body = [node for node in tree.body if node not in magics]
    return tree


def _plain(name: str, value: Any) -> Any:
    """A value that YAML can give, floats as Python's own; TypeError for any other."""
    if isinstance(value, list | tuple):
        return type(value)(_plain(name, part) for part in value)
    if isinstance(value, dict):
        return {key: _plain(name, part) for key, part in value.items()}
    if isinstance(value, float):  # or NumPy's, which is one
        return float(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    kind = type(value).__name__
    raise TypeError(
        f"{name} holds a {kind}: a parameter is a number, string, list or dict; other values "
        "belong in another cell"
    )


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
        _check_computed(path.stem, given)
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
    cells = [cell for cell in namespace.get("In", []) if cell.startswith("# Parameters\n")]
    injected = _assigned(_parsed("".join(cells[-1:])).body)
    alike = {name for name in namespace if name.lower() in allowed}
    names = {*allowed, *injected, *alike}
    check_parameters(notebook, {name: namespace[name] for name in namespace.keys() & names})
    _check_computed(notebook, injected)


def _check_computed(notebook: str, given: Iterable[str]) -> None:
    """Raise a one-line RecipeError for a parameter that its cell computes from a given one and that
    is not given itself: papermill sets values after the cell has run."""
    tree, known = _cell(notebook)
    for node in tree.body:
        parts = list(ast.walk(node))
        names = [part for part in parts if isinstance(part, ast.Name)]
        read = {name.id for name in names if isinstance(name.ctx, ast.Load)} & {*given}
        changed = {*_assigned([node]), *_changed(parts)} & known.keys() - {*given}
        if read and changed and not isinstance(node, ast.Assert):
            why = f"{min(changed)} is computed there from {min(read)}"
            hint = f"give both, or compute {min(changed)} in a later cell"
            raise RecipeError(f"{PLACE.format(notebook)}: {why}: {hint}")


def _changed(parts: list[ast.AST]) -> Iterator[str]:
    """Names whose items are set or whose methods are called."""
    for part in parts:
        if isinstance(part, ast.Call):
            part = part.func
        elif not isinstance(getattr(part, "ctx", None), ast.Store):
            continue
        if isinstance(part, ast.Attribute | ast.Subscript):
            yield ast.unparse(part.value)


def _assigned(nodes: Iterable[ast.AST]) -> list[str]:
    """The names that code assigns, without those of loops, imports and definitions."""
    names = []
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = getattr(node, "targets", None) or [node.target]
            parts = [part for target in targets for part in ast.walk(target)]
            names += [
                p.id for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)
            ]
        elif not isinstance(node, OTHER_NAMES):
            names += _assigned(ast.iter_child_nodes(node))
    return list(dict.fromkeys(names))


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
