"""The fingerprint of the arithmetic: a run is stored with it and reused only where it is the same.

It covers the code that turns a recipe and a seed into numbers, the versions of the libraries that
compute them, and environment variables that make these compute otherwise, where they are set. Dense
and convolutional runs have one each: an edited CNN leaves every dense run as it is. Comments,
docstrings and error messages are left out, and so is all that only reads numbers: figures,
evidence, notebooks.
"""

import ast
import functools
import hashlib
import json
import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import StaleError
from .settings import switches

if TYPE_CHECKING:
    from .recipe import Recipe

PACKAGE = Path(__file__).resolve().parent
SHARED = ("backend.py", "data.py", "models.py", "training/*.py")
OWN = {"dense": ("training/stacked*.py",), "convolutional": ("cnns.py", "layers.py")}
"""The code of all runs, and of those of one family alone."""
CODE = (*SHARED, *OWN["dense"], *OWN["convolutional"])
BACKEND = os.environ["KERAS_BACKEND"]


class _Arithmetic(ast.NodeTransformer):
    """Drops what decides no number: docstrings, other bare strings, and what is raised."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        bare = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if bare else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise()


def digest(value: Any) -> str:
    """Twelve hex digits of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


@functools.cache
def _tree(source: str) -> str:
    return ast.unparse(_Arithmetic().visit(ast.parse(source)))


def on_disk() -> dict[str, str]:
    """The fingerprint of each family, of the package as its files are now."""
    own = {family: _paths(patterns) for family, patterns in OWN.items()}
    shared = _paths(SHARED).difference(*own.values())
    around, found = repr(_versions() | switches()), {}
    for family, paths in own.items():
        sources = [path.read_text("utf-8") for path in sorted(shared | paths)]
        found[family] = digest([_tree(source) for source in (*sources, around)])
    return found


def _paths(patterns: Iterable[str]) -> set[Path]:
    return {path for pattern in patterns for path in PACKAGE.glob(pattern)}


@functools.cache
def _versions() -> dict[str, str]:
    """The libraries that compute a run's numbers."""
    return {name: metadata.version(name) for name in (BACKEND, "keras", "numpy", "scipy")}


IMPORTED = on_disk()
"""The fingerprint of each family, of the code and the variables that this process began with."""
CURRENT = IMPORTED["convolutional"]


def of_recipe(recipe: "Recipe") -> str:
    """The fingerprint of the recipe's runs in this process."""
    return IMPORTED["convolutional" if recipe.convolutional else "dense"]


def check_unchanged() -> None:
    """Raise StaleError if the code or a switch was changed since this process imported the code:
    its numbers would be stored under a fingerprint that is not theirs."""
    if on_disk() != IMPORTED:
        raise StaleError(
            "the code that computes runs, or a variable such as XLA_FLAGS, was changed after this "
            "session imported the code: restart the kernel, then run again"
        )
