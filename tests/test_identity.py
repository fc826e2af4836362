"""A function's identity follows all that decides what it computes, and nothing else."""

import importlib.util
import itertools
import subprocess
import sys
import types

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from fmnist_keras.errors import RecipeError
from fmnist_keras.identity import identity

NUMBERS = itertools.count()

EDITS = {  # a source that defines f, what is edited in it, and into what
    "body": ("def f(x):\n    return x + 1", "+ 1", "+ 2"),
    "number": ("W = 3\ndef f(): return W", "= 3", "= 4"),
    "kind of number": ("W = 3\ndef f(): return W", "= 3", "= 3.0"),
    "list": ("W = [32, 16]\ndef f(): return W", "16", "17"),
    "order of a dict": ("W = dict(a=1, b=2)\ndef f(): return W", "a=1, b=2", "b=2, a=1"),
    "set": ("W = {'a', 'b', 'c'}\ndef f(): return W", "'c'", "'d'"),
    "array": ("import numpy as np\nW = np.arange(3)\ndef f(): return W", "(3)", "(3.0)"),
    "dtype": ("import numpy as np\nW = np.dtype('f4')\ndef f(): return W", "f4", "f8"),
    "path": ("from pathlib import Path\nW = Path('a')\ndef f(): return W", "('a", "('b"),
    "standard library's object": (
        "from fractions import Fraction\nW = Fraction(1, 3)\ndef f(): return W", "3)", "4)",
    ),
    "default": ("def f(x=1): return x", "=1", "=2"),
    "keyword default": ("W = 3\ndef f(*, x=W): return x", "= 3", "= 4"),
    "comprehension": ("W = 3\ndef f(): return [W for _ in 'ab']", "= 3", "= 4"),
    "nested function": ("W = 3\ndef f():\n    def g(): return W\n    return g", "= 3", "= 4"),
    "class inside": ("W = 3\ndef f():\n    class A:\n        w = W\n    return A", "= 3", "= 4"),
    "closure": ("def g(w):\n    def f(): return w\n    return f\nf = g(3)", "(3)", "(4)"),
    "helper": ("def g(): return 1\ndef f(): return g()", "1", "2"),
    "dict of functions": ("G = {'g': lambda: 1}\ndef f(): return G['g']()", ": 1", ": 2"),
    "recursion": ("def f(x): return f(x - 1) if x else 1", "- 1", "- 2"),
    "one of two alike": (
        "def g(w):\n    return lambda: w\nG = g(1), g(2)\ndef f(): return G", "g(2)", "g(1)",
    ),
    "lambda": ("f = lambda x: x + 1", "1", "2"),
    "method": ("class A:\n    def m(self): return 1\ndef f(): return A().m()", "1", "2"),
    "class without methods": ("class A:\n    w = 1\ndef f(): return A.w", "1", "2"),
    "base class": ("class B:\n    w = 1\nclass A(B): pass\ndef f(): return A.w", "1", "2"),
    "super": (
        "class B:\n    def m(self): return 1\nclass A(B):\n    def m(self): return super().m()\n"
        "def f(): return A().m()", "1", "2",
    ),
    "property": ("class A:\n    @property\n    def m(self): return 1\ndef f(): A().m", "1", "2"),
    "enum": ("import enum\nclass A(enum.Enum):\n    w = 1\ndef f(): return A.w", "1", "2"),
    "instance": (
        "class A:\n    def __init__(self, w): self.w = w\na = A(3)\ndef f(): return a", "3", "4",
    ),
    "callable instance": (
        "class A:\n    def __call__(self): return 1\nf = A()", "1", "2",
    ),
    "bound method": (
        "class A:\n    def __init__(self, w): self.w = w\n    def m(self): self.w\nf = A(1).m",
        "(1)", "(2)",
    ),
    "partial": ("import functools\ndef g(w): return w\nf = functools.partial(g, 3)", "3", "4"),
    "function of a partial": (
        "import functools\ndef g(w): return w + 1\nf = functools.partial(g, w=3)", "+ 1", "+ 2",
    ),
    "cached function": (
        "import functools\n@functools.lru_cache\ndef f(): return 1", "1", "2",
    ),
    "wrapped function": (
        "import contextlib\n@contextlib.contextmanager\ndef f(): yield 1", "1", "2",
    ),
    "decorator": (
        "def twice(g): return lambda: 2 * g()\n@twice\ndef f(): return 1", "2 *", "3 *",
    ),
    "option of a decorator": (
        "import functools\nN = 3\n@functools.lru_cache(N)\ndef f(): return 1", "= 3", "= 4",
    ),
    "attribute": ("def f(): return f.w\nf.w = 1", "1", "2"),
    "circle": (
        "V = []\nW = [V]\nV.append(W)\ndef f(): return V", "W = [V]", "W = []\nW.append(W)",
    ),
    "layer": (
        "from fmnist_keras.backend import keras\nclass A(keras.layers.Layer):\n"
        "    def call(self, x): return x + 1\ndef f(): return [A()]", "+ 1", "+ 2",
    ),
    "keras' initializer": (
        "from fmnist_keras.backend import keras\nI = keras.initializers.RandomNormal(stddev=0.1)\n"
        "def f(): return I", "0.1", "0.2",
    ),
    "own initializer": (
        "from fmnist_keras.backend import keras\nclass A(keras.initializers.Initializer):\n"
        "    def __init__(self, w): self.w = w\ni = A(1)\ndef f(): return i", "(1)", "(2)",
    ),
    "function of keras": (
        "from fmnist_keras.backend import keras\nA = keras.ops.relu\ndef f(): A", "relu", "tanh",
    ),
    "graph function": (
        "import tensorflow as tf\n@tf.function\ndef f(x): return x + 1", "+ 1", "+ 2",
    ),
    "scipy's function": (
        "from scipy.special import expit as g\ndef f(): return g(1)", "expit", "gamma",
    ),
    "recipe": (
        "from fmnist_keras.sources import KERAS_STUDY\nR = KERAS_STUDY.replace(epochs=5)\n"
        "def f(): return R", "5", "6",
    ),
}  # fmt: skip
SAME = {
    "comment": ("def f():  # one\n    return 1", "one", "two"),
    "docstring": ("def f():\n    'one'\n    return 1", "one", "two"),
    "message": ("W = 1\ndef f():\n    raise ValueError(f'one {W}')", "W = 1", "W = 2"),
    "place": ("def f(): return 1", "def", "# a line\n\n\ndef"),
    "another global": ("V = 1\ndef f(): return 1", "V = 1", "V = 2"),
    "global of a local name": ("v = object()\ndef f(v): return v", "v = object()\n", ""),
    "attribute of a global name": ("v = 1\ndef f(x): return x.v", "v = 1", "v = 2"),
    "order of a set": ("W = {'a', 'b'}\ndef f(): return W", "'a', 'b'", "'b', 'a'"),
    "name that nobody defines": ("def f(): return nowhere", "\n", "\n"),
}  # fmt: skip


def in_module(folder, *sources: str) -> types.ModuleType:
    """A module of a name of its own, with these sources one after the other in its file."""
    path = folder / f"m{next(NUMBERS)}.py"
    path.write_text("\n".join(sources) + "\n")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shell(monkeypatch):
    """What runs cells in a new IPython shell and gives its namespace."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    own = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))

    def run(*cells: str) -> types.SimpleNamespace:
        for cell in cells:
            own.run_cell(cell).raise_error()
        return types.SimpleNamespace(**own.user_ns)

    return run


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_that_matters_changes_it(name, tmp_path, shell):
    source, old, new = EDITS[name]
    edited = source.replace(old, new)
    assert edited != source
    before, after = (identity(in_module(tmp_path, text).f) for text in (source, edited))
    assert before != after
    assert before == identity(in_module(tmp_path, "# moved", source).f)
    cell, cell_edited = identity(shell(source).f), identity(shell(edited).f)
    assert [cell, cell_edited] == [before, after]
    assert identity(shell(source).f) == before


@pytest.mark.parametrize("name", SAME)
def test_what_decides_nothing_changes_nothing(name, tmp_path, shell):
    source, old, new = SAME[name]
    first = identity(in_module(tmp_path, source).f)
    assert identity(in_module(tmp_path, source.replace(old, new)).f) == first
    assert identity(shell(source.replace(old, new)).f) == first


HELPED = {  # how f uses the module helpers, whose width is edited, or the width in its function g
    "attribute": "import helpers\ndef f(): return helpers.width",
    "function": "import helpers\ndef f(): return helpers.g()",
    "function by name": "from helpers import g\ndef f(): return g()",
    "import inside": "def f():\n    from helpers import g as h\n    return h()",
    "module in a package": "import package.inner\ndef f(): return package.inner.g()",
    "relative import": "from package import h\ndef f(): return h()",
}


@pytest.mark.parametrize("name", HELPED)
def test_helpers_of_ones_own_are_followed(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def with_width(width: int) -> str:
        text = f"import math\nwidth = {width}\ndef g(): return math.sqrt(width)\n"
        (tmp_path / "package").mkdir(exist_ok=True)
        for file in ("helpers.py", "package/inner.py"):
            (tmp_path / file).write_text(text)
        inside = "def h():\n    from .inner import g\n    return g()\n"
        (tmp_path / "package/__init__.py").write_text(inside)
        for module in ("helpers", "package", "package.inner"):
            sys.modules.pop(module, None)
        importlib.invalidate_caches()
        return identity(in_module(tmp_path, HELPED[name]).f)

    first = with_width(32)
    assert with_width(64) != first
    assert with_width(32) == first


def test_an_edited_cell_or_class_counts_from_its_run_on(shell):
    shell("class A:\n    w = 1\n    def m(self): return W", "W = [3]", "def f(): return A().m()")
    first = identity(shell().f)
    assert identity(shell("%time W = [3]").f) == first
    assert identity(shell("W.append(4)").f) != first
    assert identity(shell("W = [3]", "class A:\n    w = 2\n    def m(self): return W").f) != first
    assert identity(shell("class A:\n    w = 1\n    def m(self): return W").f) == first
    assert identity(shell("A.w = 2").f) != first


def test_a_function_edited_in_its_file_is_refused_until_it_is_loaded(tmp_path):
    module = in_module(tmp_path, "def f(): return 1")
    path = tmp_path / f"{module.__name__}.py"
    for text in ("def f(): return 2\n", "\ndef f(): return 1\n", "def f(:\n", ""):
        path.write_text(text)
        with pytest.raises(RecipeError, match=r"^f: uses f, .*reload it if it was edited"):
            identity(module.f)


KERAS = "from fmnist_keras.backend import keras\n"
REFUSED = {
    "import threading\nL = threading.Lock()\ndef f(): return L": "uses L, a lock that cannot be",
    "import numpy as np\nR = np.random.default_rng(0)\ndef f(): return R": "R, a Generator that",
    "import numpy as np\nG = np.frompyfunc(lambda x: x, 1, 1)\ndef f(): return G": "G, a ufunc",
    "class A: pass\na = A()\na.t = (i for i in 'ab')\ndef f(): return a": "uses t, a generator",
    "def f(g=[lambda: 1, lambda: 2][0]): return g": "one lambda a line",
    "exec('def g(): return 1')\ndef f(): return g()": "uses g, a function that .*: define it in a",
    KERAS
    + "D = keras.layers.Dense(2)\nD.build((1, 1))\ndef f(): return D": "D, a Dense that cannot",
    KERAS
    + "def act(x): return x\nD = keras.layers.Activation(act)\ndef f(): D": "a Activation that",
}


@pytest.mark.parametrize("source", REFUSED)
def test_what_cannot_be_identified_is_refused_in_one_line(source, tmp_path):
    with pytest.raises(RecipeError, match=f"^f: .*{REFUSED[source]}") as raised:
        identity(in_module(tmp_path, source).f)
    assert "\n" not in str(raised.value)


def test_use_changes_nothing(tmp_path):
    source = "class A:\n    def __init__(self): self.w = 1\n"
    source += "import functools\n@functools.lru_cache\ndef g(): return A().w\n"
    module = in_module(tmp_path, source + "def f(): return A, g()")
    first = identity(module.f)
    module.f()
    assert identity(module.f) == first


def test_libraries_count_by_version(tmp_path, monkeypatch):
    covered = in_module(tmp_path, "import numpy as np\ndef f(): return np.ones(1)").f
    other = in_module(tmp_path, "import pandas as pd\ndef f(): return pd.Series([1])").f
    before = identity(covered), identity(other)
    monkeypatch.setattr("fmnist_keras.identity.metadata.version", lambda name: "0.0")
    assert identity(covered) == before[0]
    assert identity(other) != before[1]


def test_another_process_finds_the_same(tmp_path):
    names = [name for name in (*EDITS, *SAME) if "keras" not in (EDITS | SAME)[name][0]]
    modules = [in_module(tmp_path, (EDITS | SAME)[name][0]) for name in names]
    lines = "\n".join(
        f"import {module.__name__}; print(identity({module.__name__}.f))" for module in modules
    )
    code = f"import sys\nsys.path.append({str(tmp_path)!r})\n"
    code += f"from fmnist_keras.identity import identity\n{lines}"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [identity(module.f) for module in modules]


def test_names():
    assert identity(None) == ""
    assert identity(lambda: 1).startswith("lambda-")
    assert identity(len) != identity(max)
