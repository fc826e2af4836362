"""A function's identity follows all that decides what it computes, and nothing else."""

import importlib.util
import itertools
import re
import subprocess
import sys
import types

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from fmnist_keras.errors import RecipeError
from fmnist_keras.identity import identity

NUMBERS = itertools.count()
IMPORTS = """
import contextlib, dataclasses, enum, fractions, functools, pathlib, threading
import numpy as np, tensorflow as tf
from fmnist_keras.backend import keras
from fmnist_keras.sources import KERAS_STUDY
"""
EDITS = {  # sources that define f, with an edit: «before|after»
    "body": "def f(x):\n return x + «1|2»",
    "number": "W = «3|4»\ndef f(): return W",
    "kind of number": "W = 3«|.0»\ndef f(): return W",
    "list": "W = [32, 1«6|7»]\ndef f(): return W",
    "order of a dict": "W = dict(«a=1, b=2|b=2, a=1»)\ndef f(): return W",
    "set": "W = {'a', 'b', '«c|d»'}\ndef f(): return W",
    "array": "W = np.arange(3«|.0»)\ndef f(): return W",
    "dtype": "W = np.dtype('f«4|8»')\ndef f(): return W",
    "path": "W = pathlib.Path('«a|b»')\ndef f(): return W",
    "standard library's object": "W = fractions.Fraction(1, «3|4»)\ndef f(): return W",
    "default": "def f(x=«1|2»): return x",
    "keyword default": "W = «3|4»\ndef f(*, x=W): return x",
    "comprehension": "W = «3|4»\ndef f(): return [W for _ in 'ab']",
    "nested function": "W = «3|4»\ndef f():\n def g(): return W\n return g",
    "class inside": "W = «3|4»\ndef f():\n class A:\n  w = W\n return A",
    "closure": "def g(w):\n def f(): return w\n return f\nf = g(«3|4»)",
    "helper": "def g(): return «1|2»\ndef f(): return g()",
    "dict of functions": "G = {'g': lambda: «1|2»}\ndef f(): return G['g']()",
    "recursion": "def f(x): return f(x - «1|2») if x else 1",
    "one of two alike": "def g(w):\n return lambda: w\nG = g(1), g(«2|1»)\ndef f(): return G",
    "lambda": "f = lambda x: x + «1|2»",
    "method": "class A:\n def m(self): return «1|2»\ndef f(): return A().m()",
    "class without methods": "class A:\n w = «1|2»\ndef f(): return A.w",
    "base class": "class B:\n w = «1|2»\nclass A(B): pass\ndef f(): return A.w",
    "super": (
        "class B:\n def m(self): return «1|2»\nclass A(B):\n"
        " def m(self): return super().m()\ndef f(): return A().m()"
    ),
    "property": "class A:\n @property\n def m(self): return «1|2»\ndef f(): A().m",
    "enum": "class A(enum.Enum):\n w = «1|2»\ndef f(): return A.w",
    "instance": "class A:\n def __init__(self, w): self.w = w\na = A(«3|4»)\ndef f(): return a",
    "callable instance": "class A:\n def __call__(self): return «1|2»\nf = A()",
    "bound method": (
        "class A:\n def __init__(self, w): self.w = w\n def m(self): self.w\nf = A(«1|2»).m"
    ),
    "partial": "def g(w): return w\nf = functools.partial(g, «3|4»)",
    "function of a partial": "def g(w): return w + «1|2»\nf = functools.partial(g, w=3)",
    "cached function": "@functools.lru_cache\ndef f(): return «1|2»",
    "wrapped function": "@contextlib.contextmanager\ndef f(): yield «1|2»",
    "decorator": "def twice(g): return lambda: «2|3» * g()\n@twice\ndef f(): return 1",
    "option of a decorator": "N = «3|4»\n@functools.lru_cache(N)\ndef f(): return 1",
    "attribute": "def f(): return f.w\nf.w = «1|2»",
    "circle": "V = []\nW = [«V]|]\nW.append(W)»\nV.append(W)\ndef f(): return V",
    "layer": (
        "class A(keras.layers.Layer):\n def call(self, x): return x + «1|2»\ndef f(): return [A()]"
    ),
    "keras' initializer": "I = keras.initializers.RandomNormal(stddev=0.«1|2»)\ndef f(): return I",
    "own initializer": (
        "class A(keras.initializers.Initializer):\n def __init__(self, w): self.w = w\n"
        "i = A(«1|2»)\ndef f(): return i"
    ),
    "dataclass": (
        "@dataclasses.dataclass\nclass A:\n w: int = 2\na = A(«3|4»)\ndef f(): return a.w"
    ),
    "function of keras": "A = keras.ops.«relu|tanh»\ndef f(): A",
    "graph function": "@tf.function\ndef f(x): return x + «1|2»",
    "scipy's function": "from scipy.special import «expit|gamma» as g\ndef f(): return g(1)",
    "recipe": "R = KERAS_STUDY.replace(epochs=«5|6»)\ndef f(): return R",
}
SAME = {
    "comment": "def f():  # «one|two»\n return 1",
    "docstring": "def f():\n '«one|two»'\n return 1",
    "message": "W = «1|2»\ndef f():\n raise ValueError(f'one {W}')",
    "automatic name": "L = keras.layers.Dropout(0.5«|, name='dropout_1'»)\ndef f(): return L",
    "place": "«|# a line\n\n\n»def f(): return 1",
    "another global": "V = «1|2»\ndef f(): return 1",
    "global of a local name": "«v = object()\n|»def f(v): return v",
    "attribute of a global name": "v = «1|2»\ndef f(x): return x.v",
    "order of a set": "W = {'«a', 'b|b', 'a»'}\ndef f(): return W",
    "name that nobody defines": "def f(): return nowhere«|»",
}


def edited(text: str) -> list[str]:
    """The source before and after the edit."""
    return [IMPORTS + re.sub("«(.*?)\\|(.*?)»", kept, text, flags=re.S) for kept in (r"\1", r"\2")]


def in_module(folder, source: str) -> types.ModuleType:
    """A new module with this source."""
    path = folder / f"m{next(NUMBERS)}.py"
    path.write_text(source + "\n", "utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shell(monkeypatch):
    """Runs cells in a new IPython shell and returns its namespace."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    own = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))

    def run(*cells: str) -> types.SimpleNamespace:
        for cell in cells:
            own.run_cell(cell).raise_error()
        return types.SimpleNamespace(**own.user_ns)

    return run


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_that_matters_changes_it(name, tmp_path, shell):
    before, after = edited(EDITS[name])
    first, second = (identity(in_module(tmp_path, source).f) for source in (before, after))
    assert first != second
    assert identity(in_module(tmp_path, "# moved\n" + before).f) == first
    cells = [identity(shell(source).f) for source in (before, after, before)]
    assert cells == [first, second, first]


@pytest.mark.parametrize("name", SAME)
def test_what_decides_nothing_changes_nothing(name, tmp_path, shell):
    before, after = edited(SAME[name])
    first = identity(in_module(tmp_path, before).f)
    assert identity(in_module(tmp_path, after).f) == first
    assert identity(shell(after).f) == first


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
            (tmp_path / file).write_text(text, "utf-8")
        inside = "def h():\n    from .inner import g\n    return g()\n"
        (tmp_path / "package/__init__.py").write_text(inside, "utf-8")
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
        path.write_text(text, "utf-8")
        with pytest.raises(RecipeError, match=r"^f: uses f, .*reload it if it was edited"):
            identity(module.f)


REFUSED = {
    "L = threading.Lock()\ndef f(): return L": "uses L, a lock that cannot be",
    "R = np.random.default_rng(0)\ndef f(): return R": "R, a Generator that",
    "G = np.frompyfunc(lambda x: x, 1, 1)\ndef f(): return G": "G, a ufunc",
    "class A: pass\na = A()\na.t = (i for i in 'ab')\ndef f(): return a": "uses t, a generator",
    "def f(g=[lambda: 1, lambda: 2][0]): return g": "one lambda a line",
    "exec('def g(): return 1')\ndef f(): return g()": "uses g, a function that .*: define it in a",
    "D = keras.layers.Dense(2)\nD.build((1, 1))\ndef f(): return D": "D, a Dense that cannot",
    "M = keras.metrics.Mean()\ndef f(): return M": "M, a Mean that cannot",
    "L = keras.losses.Huber(2.0)\ndef f(): return L": "L, a Huber that cannot",
    "S = keras.Sequential()\nS.compile('sgd')\ndef f(): return S": "S, a Sequential that",
    "def act(x): return x\nD = keras.layers.Activation(act)\ndef f(): D": "a Activation that",
}


@pytest.mark.parametrize("source", REFUSED)
def test_what_cannot_be_identified_is_refused_in_one_line(source, tmp_path):
    with pytest.raises(RecipeError, match=f"^f: .*{REFUSED[source]}") as raised:
        identity(in_module(tmp_path, IMPORTS + source).f)
    assert "\n" not in str(raised.value)


def test_use_changes_nothing(tmp_path):
    source = "class A:\n def __init__(self): self.w = 1\n"
    source += "@functools.lru_cache\ndef g(): return A().w\ndef f(): return A, g()"
    module = in_module(tmp_path, IMPORTS + source)
    first = identity(module.f)
    module.f()
    assert identity(module.f) == first


def test_libraries_count_by_version(tmp_path, monkeypatch):
    covered = in_module(tmp_path, IMPORTS + "def f(): return np.ones(1)").f
    other = in_module(tmp_path, "import pandas as pd\ndef f(): return pd.Series([1])").f
    before = identity(covered), identity(other)
    monkeypatch.setattr("fmnist_keras.identity.metadata.version", lambda name: "0.0")
    assert identity(covered) == before[0]
    assert identity(other) != before[1]


def test_another_process_finds_the_same(tmp_path):
    modules = [in_module(tmp_path, edited(text)[0]) for text in (*EDITS.values(), *SAME.values())]
    code = f"import sys\nsys.path.append({str(tmp_path)!r})\n"
    code += "from fmnist_keras.identity import identity\n"
    for name in (module.__name__ for module in modules):
        code += f"import {name}; print(identity({name}.f))\n"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [identity(module.f) for module in modules]


def test_names():
    assert identity(None) == ""
    assert identity(lambda: 1).startswith("lambda-")
    assert identity(len) != identity(max)
