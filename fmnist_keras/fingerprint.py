"""The fingerprint of the arithmetic: a run is stored with it and reused only where it is the same.

It covers the code that turns a recipe and a seed into numbers, and the versions of the libraries
that compute them. Comments, docstrings and error messages are left out, and so is all that only
reads numbers: figures, evidence, notebooks.
"""

import ast
import functools
import hashlib
import json
import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CODE = ("backend.py", "data.py", "layers.py", "models.py", "training/*.py")
BACKEND = os.environ["KERAS_BACKEND"]


class _Arithmetic(ast.NodeTransformer):
    """Drops what decides no number: docstrings, other bare strings, and what is raised."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        bare = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if bare else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise()


def of_sources(sources: Iterable[str]) -> str:
    """Twelve hex digits of the syntax trees of some Python sources."""
    return _digest(_trees(sources))


def _trees(sources: Iterable[str]) -> list[str]:
    return [ast.unparse(_Arithmetic().visit(ast.parse(source))) for source in sources]


def _digest(trees: list[str]) -> str:
    return hashlib.sha256(json.dumps(trees).encode()).hexdigest()[:12]


def on_disk() -> str:
    """The fingerprint of the package as its files are now."""
    return _digest([*_files(), *_trees([repr(_versions())])])


def threads() -> dict[str, int]:
    """The fingerprints of the code that this process has imported and of its libraries, each with
    the number of threads (1 to 64) that share one operation; none if the code was edited since."""
    return _threads() if CURRENT in _threads() else {}


@functools.cache
def _threads() -> dict[str, int]:
    files = _files()
    return {
        _digest([*files, *_trees([repr(_versions() | {"threads": str(number)})])]): number
        for number in range(1, 65)
    }


def _files() -> list[str]:
    paths = sorted(path for pattern in CODE for path in PACKAGE.glob(pattern))
    return _trees(path.read_text("utf-8") for path in paths)


@functools.cache
def _versions() -> dict[str, str]:
    """The libraries that compute a run's numbers, and the threads that share one operation."""
    versions = {name: metadata.version(name) for name in (BACKEND, "keras", "numpy", "scipy")}
    return versions | {"threads": os.environ["TF_NUM_INTRAOP_THREADS"]}


CURRENT = on_disk()
"""The fingerprint of the code that this process has imported."""


def check_unchanged() -> None:
    """Raise RuntimeError, in one line, if the code was edited since this process imported it: its
    numbers would be stored under a fingerprint that is not theirs."""
    if on_disk() != CURRENT:
        raise RuntimeError(
            "data.py, layers.py, models.py or training/ was edited after this session imported "
            "it: restart the kernel, then run again"
        )
