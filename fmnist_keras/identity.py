"""The identity of a function of the user's: its name and a digest of all that decides what it
computes, so that what is stored under it is found only while the function is the same.

It covers the syntax trees of the function and of what it uses from notebook cells and from modules
of the user's, and the values at the moment of the call. Things of a library count by name and
version. Comments, docstrings, what is raised, names of files and numbers of lines do not count.
"""

import __future__

import ast
import collections
import contextlib
import dis
import enum
import functools
import hashlib
import inspect
import json
import linecache
import os
import re
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path, PurePath
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType

import numpy as np
import pandas as pd

from . import fingerprint
from .errors import RecipeError

STANDARD = Path(os.__file__).parent
_distributions = functools.cache(metadata.packages_distributions)
COVERED = {"keras", "numpy", "scipy", fingerprint.BACKEND}
"""Libraries whose versions the fingerprint has."""
OURS = {"recipe", "registry"} | {re.split("[./]", path)[0] for path in fingerprint.CODE}
"""Modules of this package that count by name: the fingerprint has them, or they compute nothing."""
PLAIN = {type(None), bool, int, float, complex, str, bytes, type(...)}
READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
DERIVED = {
    "__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__",
    "__dataclass_params__", "__replace__", "__orig_bases__", "__slotnames__", "_abc_impl",
}  # fmt: skip
"""Attributes of a class that decide nothing which others do not show."""
FIELDS, GENERATED = {"__dataclass_fields__", "_fields"}, {"<string>", collections.__file__}
"""What dataclasses and named tuples have, and where the methods come from that they get."""


def identity(function: Callable | None) -> str:
    """The function's name and twelve hex digits; "" for None. Raises RecipeError, in one line, if
    it uses something that cannot be identified."""
    if function is None:
        return ""
    named = function.func if isinstance(function, functools.partial) else function
    name = getattr(named, "__name__", type(named).__name__).strip("<>")
    description = json.dumps(_describe(function, name, name, {}))
    return f"{name}-{hashlib.sha256(description.encode()).hexdigest()[:12]}"


def _describe(value: object, name: str, root: str, seen: dict) -> list:
    """What ``value``, known as ``name``, is, in nested lists of strings. ``seen`` has the number of
    each object met before by its id, and the object, so that no other one takes that id."""
    if type(value) in PLAIN:
        return [type(value).__name__, repr(value)]
    if found := _in_library(value):
        return found
    if type(value) is tuple:
        return ["tuple", *(_describe(part, name, root, seen) for part in value)]
    if id(value) in seen:
        return ["seen", str(seen[id(value)][0])]
    seen[id(value)] = len(seen), value
    if type(value) in (set, frozenset):  # without order: each element by itself
        parts = (json.dumps(_describe(part, name, root, dict(seen))) for part in value)
        return ["set", *sorted(parts)]
    if type(value) in (dict, MappingProxyType):
        names = (key if isinstance(key, str) else name for key in value)
        pairs = zip(value.items(), names, strict=True)
        return ["dict", *(_describe(pair, label, root, seen) for pair, label in pairs)]
    try:
        parts = next(parts for kind, parts in PARTS.items() if isinstance(value, kind))(value)
    except RecipeError as error:
        raise RecipeError(f"{root}: uses {name}, {error}") from None
    except Exception:
        raise RecipeError(
            f"{root}: uses {name}, a {type(value).__name__} that cannot be identified; "
            "pass it as a number, string, list, function or class"
        ) from None
    kind = "class" if isinstance(value, type) else type(value).__name__
    return [kind, _describe(parts, name, root, seen)]


def _library(module: str) -> str | None:
    """The library that a module belongs to, with its version unless the fingerprint has that; None
    for notebooks and modules of the user's."""
    top, _, inner = module.partition(".")
    if top == "fmnist_keras":
        return top if inner.partition(".")[0] in OURS else None
    loaded = None if top == "__main__" else sys.modules.get(module) or sys.modules.get(top)
    file = getattr(loaded, "__file__", None) or next(iter(getattr(loaded, "__path__", ())), "")
    if {"site-packages", "dist-packages"} & set(Path(file).parts):
        known = () if top in COVERED else sorted(set(_distributions().get(top, ())))
        return " ".join([top, *map(metadata.version, known)])
    standard = not file or STANDARD in Path(file).parents
    return "Python" if standard and top in sys.stdlib_module_names else None


def _in_library(value: object) -> list[str] | None:
    """Library, module and name of what a library has under a name; None for anything else."""
    if isinstance(value, ModuleType):
        library = _library(value.__name__)
        return library and [library, value.__name__]
    if type(value) is np.ufunc and value.__name__.isidentifier():  # "f (vectorized)" is a user's
        return ["ufunc", value.__name__]
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not (isinstance(module, str) and isinstance(name, str)):
        return None
    found = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    library = _library(module) if found is value else None
    return library and [library, module, name]


def _instance(value: object) -> tuple:
    """Class and configuration of an object of a library's, or what pickle keeps of another one."""
    kind, library = type(value), _library(type(value).__module__)

    def users(method: Callable) -> bool:
        return _library(getattr(method, "__module__", "builtins")) in (None, "Python")

    if kind is list:
        return tuple(value)
    if hasattr(kind, "model_dump"):  # a recipe
        return kind, value.model_dump()
    if hasattr(kind, "get_config") and (library or users(kind.get_config)):
        config = value.get_config()
        trained = getattr(value, "built", False) and getattr(value, "variables", ())
        # Of code of the user's Keras notes the name alone.
        if not trained and not re.search("'registered_name': '|'__lambda__'", repr(config)):
            return kind, config
    elif library and hasattr(value, "__wrapped__"):
        return kind, value.__wrapped__
    elif library in (None, "Python") and users(kind.__reduce__):
        reduced = value.__reduce_ex__(4)
        if isinstance(reduced, tuple):
            return tuple(tuple(part) if hasattr(part, "__next__") else part for part in reduced)
    raise TypeError("unknown")


def _class(kind: type) -> tuple:
    """Name, bases, a metaclass of the user's, attributes but for derived ones, and members."""
    content = {name: vars(kind)[name] for name in sorted(vars(kind)) if name not in DERIVED}
    annotations = content.pop("__annotations__", None) or None  # made empty when it is asked for
    members = {name: member.value for name, member in getattr(kind, "__members__", {}).items()}
    for name, value in [*content.items()]:
        code = getattr(inspect.unwrap(value), "__code__", None)
        if name[0] == "_" and code and code.co_filename in GENERATED and FIELDS & content.keys():
            content[name] = "generated"
        foreign = getattr(value, "__module__", None) != kind.__module__
        if members and (name in members or (foreign and hasattr(enum.Flag, name))):
            del content[name]
    metaclass = None if _library(type(kind).__module__) else type(kind)
    return kind.__name__, kind.__bases__, metaclass, annotations, content, members


def _function(function: FunctionType) -> tuple:
    """Syntax tree, defaults, attributes, and the values of the names from outside."""
    code, outside = function.__code__, function.__globals__
    tree = _tree(code, outside)
    names = {part.id for part in ast.walk(tree) if isinstance(part, ast.Name)} | {"__class__"}
    names |= {part.name.partition(".")[0] for part in ast.walk(tree) if isinstance(part, ast.alias)}
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    used = {name: cell.cell_contents for name, cell in cells if name in names}
    around = [part for one in getattr(tree, "decorator_list", ()) for part in ast.walk(one)]
    options = {part.id for part in around if isinstance(part, ast.Name)} & outside.keys()
    used |= {name: outside[name] for name in sorted(options) if type(outside[name]) in PLAIN}
    read = _read(code, outside)
    used |= {name: read[name] for name in sorted(read) if name.partition(".")[0] in names}
    defaults = function.__defaults__, function.__kwdefaults__
    return ast.unparse(tree), *defaults, vars(function), used


def _read(code: CodeType, outside: dict) -> dict[str, object]:
    """The global names that code reads or imports, and their values; of a module of the user's what
    is read of it, as "module.name"."""
    found = {}
    for inner in _nested(code):
        steps = [step for step in dis.get_instructions(inner) if step.opname != "EXTENDED_ARG"]
        for place, step in enumerate(steps):
            name = step.argval
            if step.opname == "IMPORT_NAME":
                level, parts = (before.argval for before in steps[place - 2 : place])
                with contextlib.suppress(ImportError):
                    value = __import__(name, outside, None, parts or (), level)
                    found |= {part: getattr(value, part) for part in parts or ()} or {name: value}
            elif step.opname in READS and name in outside:
                value = outside[name]
                for after in steps[place + 1 :]:
                    users = isinstance(value, ModuleType) and not _in_library(value)
                    reads = after.opname in ("LOAD_ATTR", "LOAD_METHOD")
                    if not (users and reads and hasattr(value, after.argval)):
                        break
                    name, value = f"{name}.{after.argval}", getattr(value, after.argval)
                found[name] = value
    return found


def _nested(code: CodeType) -> list[CodeType]:
    """Code, and that of all functions, comprehensions and classes in it."""
    codes = [code]
    for outer in codes:
        codes += [inner for inner in outer.co_consts if isinstance(inner, CodeType)]
    return codes


def _tree(code: CodeType, outside: dict) -> ast.AST:
    """The syntax tree of a function, without what decides nothing. Raises RecipeError if there is
    none."""
    linecache.checkcache(code.co_filename)
    source = "".join(linecache.getlines(code.co_filename, outside))
    if not source:
        raise RecipeError("a function without source; define it in a notebook cell or a module")
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | code.co_flags & __future__.annotations.compiler_flag
    nodes = codes = ()
    with contextlib.suppress(SyntaxError):
        nodes = [node for node in ast.walk(ast.parse(source)) if _is_of(node, code)]
        codes = _nested(compile(source, "", "exec", flags, dont_inherit=True))
    if not nodes or not (code in codes or "@pytest_ar" in code.co_names):  # pytest edits asserts
        raise RecipeError("whose source was edited since: reload its module or restart the kernel")
    if len(nodes) > 1:
        raise RecipeError("one of several lambdas in a line; give each a line of its own")
    return fingerprint._Arithmetic().visit(nodes[0])


def _is_of(node: ast.AST, code: CodeType) -> bool:
    """Whether a node is a function with the name, first line and arguments of the code."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return False
    every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    begins = [*getattr(node, "decorator_list", ()), node][0].lineno
    number = code.co_argcount + code.co_kwonlyargcount
    return (getattr(node, "name", "<lambda>"), begins, *(part.arg for part in every)) == (
        code.co_name, code.co_firstlineno, *code.co_varnames[:number],
    )  # fmt: skip


def _array(array: np.ndarray | np.generic) -> tuple:
    if type(array).__module__ != "numpy":
        raise TypeError("a subclass")
    content = array.tolist() if array.dtype.hasobject else array.tobytes()
    return str(array.dtype), array.shape, content


def _table(table: pd.DataFrame | pd.Series | pd.Index) -> tuple:
    frame = pd.DataFrame(table).reset_index()
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return tuple(frame.columns), tuple(map(str, frame.dtypes)), hashes


PARTS = {
    FunctionType: _function,
    type: _class,
    ModuleType: lambda one: {
        name: vars(one)[name] for name in sorted(vars(one)) if name[:2] != "__"
    },
    MethodType: lambda one: (one.__self__, one.__func__),
    property: lambda one: (one.fget, one.fset, one.fdel),
    functools.cached_property: lambda one: (one.func,),
    enum.Enum: lambda one: (type(one), one.name, one.value),
    PurePath | np.dtype: str,
    np.ndarray | np.generic: _array,
    pd.DataFrame | pd.Series | pd.Index: _table,
    object: _instance,
}
"""What a value consists of, by the first class that it belongs to."""
