"""The identity of a user's function: a digest of all that decides what it computes.

What it uses from notebook cells and the user's own modules counts by syntax tree and present value;
what it uses from libraries counts by name and version. Comments, docstrings, error messages, file
names and line numbers do not count.
"""

import __future__

import ast
import dataclasses
import functools
import inspect
import json
import linecache
import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import CodeType, FunctionType, MappingProxyType, ModuleType

import numpy as np

from . import fingerprint
from .errors import RecipeError

_distributions = functools.cache(metadata.packages_distributions)
COVERED = {"keras", "numpy", "scipy", fingerprint.BACKEND}  # the fingerprint has their versions
OURS = {"recipe", "registry"} | {Path(one).parts[0].split(".")[0] for one in fingerprint.CODE}
"""This package's modules that count by name: fingerprinted, or they compute nothing."""
PLAIN = {type(None), bool, int, float, complex, str, bytes, type(...)}
STANDARD = Path(ast.__file__).parent


def identity(function: Callable | None) -> str:
    """The function's name and twelve hex digits; "" for None. Raises RecipeError if something that
    the function uses cannot be identified."""
    if function is None:
        return ""
    name = name_of(function)
    try:
        return f"{name}-{fingerprint.digest(_describe(function, name, {}))}"
    except RecipeError as error:
        raise RecipeError(f"{name}: uses {error}") from None


def name_of(function: Callable) -> str:
    named = function.func if isinstance(function, functools.partial) else function
    return getattr(named, "__name__", type(named).__name__).strip("<>")


def _describe(value: object, name: str, seen: dict) -> list:
    """Describe ``value``, known as ``name``, in nested lists of strings. ``seen`` maps the id of an
    object met before to its number and to the object itself, so that no other one takes its id."""
    kind = type(value)
    if kind in PLAIN:
        return [kind.__name__, repr(value)]
    if found := _library(value):
        return found
    if kind is tuple:
        return ["tuple", *(_describe(part, name, seen) for part in value)]
    if id(value) in seen:
        return ["seen", str(seen[id(value)][0])]
    seen[id(value)] = len(seen), value
    if kind in (set, frozenset):  # without order: each element by itself
        return ["set", *sorted(json.dumps(_describe(one, name, dict(seen))) for one in value)]
    if kind in (dict, MappingProxyType):
        return ["dict", *(_describe((key, value[key]), str(key), seen) for key in value)]
    try:
        parts = _parts(value)
    except Exception:
        hint = "pass it as a number, string, list, function or class"
        if kind is FunctionType:
            hint = "define it in a cell or module, one lambda a line; reload it if it was edited"
        raise RecipeError(f"{name}, a {kind.__name__} that cannot be identified: {hint}") from None
    return ["class" if isinstance(value, type) else kind.__name__, _describe(parts, name, seen)]


def _library(value: object) -> list[str] | None:
    """The library (with its version unless covered), module and name of what a library defines;
    None for anything else, such as what notebooks and the user's modules define."""
    if type(value) is np.ufunc and value.__name__.isidentifier():  # "f (vectorized)" is a user's
        return ["ufunc", value.__name__]
    module, path = value, []
    if not isinstance(value, ModuleType):
        module = sys.modules.get(str(getattr(value, "__module__", None)))
        path = str(getattr(value, "__qualname__", None)).split(".")
    if functools.reduce(lambda found, part: getattr(found, part, None), path, module) is not value:
        return None
    place = [module.__name__, ".".join(path)] if path else [module.__name__]
    file = Path(getattr(module, "__file__", None) or "")
    top, _, inner = module.__name__.partition(".")
    if top in ("fmnist_keras", "__main__"):
        return [top, *place] if inner.partition(".")[0] in OURS else None
    if {"site-packages", "dist-packages"} & set(file.parts):
        known = () if top in COVERED else sorted(set(_distributions().get(top, ())))
        return [" ".join([top, *map(metadata.version, known)]), *place]
    standard = not file.parts or STANDARD in file.parents
    return ["Python", *place] if standard and top in sys.stdlib_module_names else None


def _parts(value: object) -> object:
    """What a value consists of. Raises an exception of any kind if that cannot be told."""
    kind = type(value)
    if kind is FunctionType:
        return _function(value)
    if isinstance(value, type):
        content = {  # without __doc__, __module__ and the like
            name: part
            for name, part in sorted(vars(value).items())
            if name[-2:] != "__" or callable(part) or isinstance(part, classmethod)
        }
        if dataclasses.is_dataclass(value):  # nor what is made of its fields
            content = {name: part for name, part in content.items() if not _is_made(part)}
        return kind, value.__name__, value.__bases__, content
    if kind is list:
        return tuple(value)
    if kind is property:
        return value.fget, value.fset, value.fdel
    if kind is np.ndarray or isinstance(value, np.generic | np.dtype):
        return value.__reduce__()
    if hasattr(kind, "model_dump"):  # a recipe
        return kind, value.model_dump()
    library = _library(kind)
    if kind.__module__ == "fmnist_keras.data":  # the images, which are as published
        return kind
    if library and hasattr(value, "__wrapped__"):
        return kind, value.__wrapped__
    if library and hasattr(kind, "get_config") and _as_configured(value):
        config = value.get_config()
        asked = inspect.signature(kind).parameters.keys() - {"args", "kwargs", "dtype", "name"}
        # Without code of the user's, which Keras notes by name; with all that made the object.
        if asked <= config.keys() and not re.search(
            "'registered_name': '|'__lambda__'", f"{config}"
        ):
            return kind, _unnamed(config)
    libraries = {found[0] for found in (library, _library(kind.__reduce__)) if found}
    reduced = value.__reduce_ex__(4) if libraries <= {"Python"} else None
    if not isinstance(reduced, tuple):
        raise TypeError
    return tuple(tuple(part) if hasattr(part, "__next__") else part for part in reduced)


def _is_made(method: object) -> bool:
    """Whether a method has no source, as those of a dataclass."""
    method = inspect.unwrap(method) if callable(method) else method
    return isinstance(method, FunctionType) and method.__code__.co_filename == "<string>"


def _as_configured(value: object) -> bool:
    """Whether a Keras object has no weights, was not built, compiled or fed since it was made."""
    state = getattr(value, "weights", getattr(value, "built", False))
    return not (state or getattr(value, "compiled", False) or hasattr(value, "update_state"))


def _unnamed(config: object) -> object:
    """A configuration without names: Keras counts them up each time a cell runs."""
    if isinstance(config, dict):
        return {key: _unnamed(part) for key, part in config.items() if key != "name"}
    return [_unnamed(part) for part in config] if isinstance(config, list) else config


def _function(function: FunctionType) -> tuple:
    """Syntax tree, defaults, attributes, and the values of the outside names that it reads."""
    code, outside, imported = function.__code__, function.__globals__, {}
    tree = _tree(code, outside)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(ast.unparse(node), outside, imported)
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    used = {name: cell.cell_contents for name, cell in cells}
    asked = {name for inner in _nested(code) for name in inner.co_names}
    for decorator in getattr(tree, "decorator_list", ()):
        asked |= {part.id for part in ast.walk(decorator) if isinstance(part, ast.Name)}
    there = {name: outside[name] for name in asked & outside.keys()} | imported
    for name, *attributes in sorted(_reads(tree)):
        if name in there:
            value = there[name]
            while attributes and isinstance(value, ModuleType) and not _library(value):
                name, value = f"{name}.{attributes[0]}", getattr(value, attributes.pop(0))
            used.setdefault(name, value)
    return ast.unparse(tree), function.__defaults__, function.__kwdefaults__, vars(function), used


def _reads(node: ast.AST) -> Iterator[list[str]]:
    """The names in a syntax tree, each with the attributes that follow it."""
    text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
    if text.replace(".", "").isidentifier():
        yield text.split(".")
    else:
        for child in ast.iter_child_nodes(node):
            yield from _reads(child)


def _nested(code: CodeType) -> list[CodeType]:
    """The code, and that of all functions, comprehensions and classes in it."""
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    return [code, *(part for one in inner for part in _nested(one))]


def _tree(code: CodeType, outside: dict) -> ast.AST:
    """The syntax tree of the function that has this code, without what does not count. Raises
    ValueError if its line has none or several, or if its file was edited since."""
    linecache.checkcache(code.co_filename)
    source = "".join(linecache.getlines(code.co_filename, outside))
    flags = code.co_flags & __future__.annotations.compiler_flag
    # Only a file can be edited after it was imported; IPython compiles a cell in parts.
    in_file = Path(code.co_filename).is_file()
    if in_file and code not in _nested(compile(source, "", "exec", flags)):
        raise ValueError("edited")
    (found,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        and getattr(node, "name", "<lambda>") == code.co_name
        and [*getattr(node, "decorator_list", ()), node][0].lineno == code.co_firstlineno
    )
    return fingerprint._Arithmetic().visit(found)
