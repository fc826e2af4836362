"""The identity of a function of the user's: all that decides what it computes. That is the syntax
trees and present values of what it uses from notebook cells and the user's own modules; things of a
library count by name and version. Comments, docstrings, what is raised, files and lines do not.
"""

import __future__

import ast
import contextlib
import dis
import enum
import functools
import hashlib
import inspect
import json
import linecache
import sys
from collections.abc import Callable
from importlib import metadata
from itertools import repeat
from pathlib import Path, PurePath
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType

import numpy as np
import pandas as pd

from . import fingerprint
from .errors import RecipeError

STANDARD = Path(ast.__file__).parent
_distributions = functools.cache(metadata.packages_distributions)
COVERED = {"keras", "numpy", "scipy", fingerprint.BACKEND}  # the fingerprint has their versions
OURS = {"recipe", "registry"} | {Path(one).parts[0].split(".")[0] for one in fingerprint.CODE}
"""Modules of this package that count by name: the fingerprint has them, or they compute nothing."""
PLAIN = {type(None), bool, int, float, complex, str, bytes, type(...)}
READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
DERIVED = {  # attributes of a class that decide nothing which others do not show
    "__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__",
    "__dataclass_params__", "__replace__", "__orig_bases__", "__slotnames__", "_abc_impl",
}  # fmt: skip
FIELDS = {"__dataclass_fields__", "_fields"}  # of dataclasses and named tuples
GENERATED = {"<string>", str(STANDARD / "collections" / "__init__.py")}  # where their methods stand


def identity(function: Callable | None) -> str:
    """Its name and twelve hex digits, "" for None. RecipeError for what cannot be identified."""
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
        return ["set", *sorted(json.dumps(_describe(one, name, root, dict(seen))) for one in value)]
    if type(value) in (dict, MappingProxyType):
        names = [key if isinstance(key, str) else name for key in value]
        return ["dict", *map(_describe, value.items(), names, repeat(root), repeat(seen))]
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
    """The library of a module, with a version unless covered; None for notebooks and the user's."""
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
    in_c = isinstance(value, type) and not value.__flags__ & 1 << 9  # some have another's name
    library = _library(module) if found is value or in_c else None
    return library and [library, module, name]


def _instance(value: object) -> tuple:
    """Class and configuration of an object of a library's, or what pickle keeps of another one."""
    kind, library = type(value), _library(type(value).__module__)
    reducer = getattr(kind.__reduce__, "__module__", "builtins")
    if hasattr(kind, "model_dump"):  # a recipe
        return kind, value.model_dump()
    if hasattr(kind, "get_config") and (library or not _library(kind.get_config.__module__)):
        config = value.get_config()
        trained = getattr(value, "built", False) and getattr(value, "variables", ())
        by_name = "'registered_name': '" in repr(config) or "'__lambda__'" in repr(config)
        if not (trained or by_name):  # code of the user's, of which Keras notes no more
            return kind, config
    elif library and hasattr(value, "__wrapped__"):
        return kind, value.__wrapped__
    elif {library, _library(reducer)} <= {None, "Python"}:
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
    for part in [part for one in getattr(tree, "decorator_list", ()) for part in ast.walk(one)]:
        if isinstance(part, ast.Name) and type(outside.get(part.id, ast)) in PLAIN:
            used[part.id] = outside[part.id]
    read = _read(code, outside)
    used |= {name: read[name] for name in sorted(read) if name.partition(".")[0] in names}
    return ast.unparse(tree), function.__defaults__, function.__kwdefaults__, vars(function), used


def _read(code: CodeType, outside: dict) -> dict[str, object]:
    """Global names that code reads or imports, with values; "module.name" of the user's modules."""
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
    """A function's syntax tree, without what decides nothing; RecipeError if there is none."""
    linecache.checkcache(code.co_filename)
    source = "".join(linecache.getlines(code.co_filename, outside))
    if not source:
        raise RecipeError("a function without source; define it in a notebook cell or a module")
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | code.co_flags & __future__.annotations.compiler_flag
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    key, nodes, codes = (code.co_name, code.co_firstlineno, arguments), (), ()
    with contextlib.suppress(SyntaxError):
        nodes = [node for node in ast.walk(ast.parse(source)) if _key(node) == key]
        codes = _nested(compile(source, "", "exec", flags, dont_inherit=True))
    if not nodes or not (code in codes or "@pytest_ar" in code.co_names):  # pytest edits asserts
        raise RecipeError("whose source was edited since: reload its module or restart the kernel")
    if len(nodes) > 1:
        raise RecipeError("one of several lambdas in a line; give each a line of its own")
    return fingerprint._Arithmetic().visit(nodes[0])


def _key(node: ast.AST) -> tuple[str, int, tuple] | None:
    """Name, first line and arguments of a function."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return None
    first = [*getattr(node, "decorator_list", ()), node][0]
    arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return getattr(node, "name", "<lambda>"), first.lineno, tuple(one.arg for one in arguments)


def _array(array: np.ndarray | np.generic) -> tuple:
    if type(array).__module__ != "numpy":
        raise TypeError("a masked array, or another subclass")
    content = array.tolist() if array.dtype.hasobject else array.tobytes()
    return str(array.dtype), array.shape, content


PARTS = {  # what a value consists of, by the first class that it belongs to
    FunctionType: _function,
    type: _class,
    ModuleType: lambda one: {key: vars(one)[key] for key in sorted(vars(one)) if key[:2] != "__"},
    list: lambda one: tuple(one) if type(one) is list else _instance(one),
    MethodType: lambda one: (one.__self__, one.__func__),
    property: lambda one: (one.fget, one.fset, one.fdel),
    functools.cached_property: lambda one: (one.func,),
    enum.Enum: lambda one: (type(one), one.name, one.value),
    PurePath | np.dtype: str,
    np.ndarray | np.generic: _array,
    pd.DataFrame | pd.Series | pd.Index: lambda one: np.asarray(pd.DataFrame(one).to_records()),
    object: _instance,
}
