"""A notebook stops on a wrong parameter, in one line, and on nothing else."""

import subprocess
import sys
import types

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fmnist_keras import parameters
from fmnist_keras.errors import RecipeError
from fmnist_keras.parameters import NOTEBOOKS, check_namespace, check_parameters, defaults, read

NOTEBOOK = "03_learning_rate"
GOOD = {"seeds": [0, 1, 2], "learning_rates": [0.01, 1], "train_size": None, "epochs": 7}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a notebook of a cell of parameters, and perhaps one of other code."""

    def write(source, *others):
        cells = [new_code_cell(text) for text in (source, *others)]
        cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(new_notebook(cells=cells), tmp_path / "mine.ipynb")
        return "mine"

    monkeypatch.setattr(parameters, "NOTEBOOKS", tmp_path)
    return write


def message(values, check=check_parameters, notebook=NOTEBOOK):
    """The one line of the RecipeError that the values must raise."""
    with pytest.raises(RecipeError) as caught:
        check(notebook, values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("notebook", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_every_default_passes_its_own_check(notebook):
    assert defaults(notebook)
    check_parameters(notebook, defaults(notebook))


@pytest.mark.parametrize(
    ("name", "value", "start", "allowed"),
    [
        ("epoch", 5, "epoch = 5", "no such parameter: did you mean epochs? known names: seeds"),
        ("learning_rates", [0.1, "1e-3"], "learning_rates[1] = '1e-3'", "write 0.001 or 1.0e-3"),
        ("learning_rates", [1e308], "learning_rates[0] = 1e+308", "from 1e-30 to 1e30"),
        ("learning_rates", 0.1, "learning_rates = 0.1", "list"),
        ("seeds", [0, -1], "seeds[1] = -1", "greater than or equal to 0"),
        ("search_range", [0.2, 0.1], "search_range = [0.2, 0.1]", "the second one larger"),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(name, value, start, allowed):
    text = message({**GOOD, name: value})
    assert text.startswith(f"{start}: ")
    assert allowed in text


@pytest.mark.parametrize(
    ("default", "good", "bad"),
    [
        ("3", [1, 9], [0, 2.5, None, "3"]),
        ("0", [0, 9], [-1, 0.5]),
        ("1 - 0.1", [2, 1e-9], [0, -0.1, float("inf"), "1e-3"]),
        ("-0.5", [-3, 0.1], [float("nan"), "x"]),
        ("None", [None, 1, "x", [1, {"a": None}]], []),
        ("[0.1, 1]", [[3], (0.5, 2)], [[], [0.1, 0], 3, ["a"]]),
        ("['a']", [["b", "c"]], [[1], []]),
        ("(64, 64)", [[32], (32,)], [[0], 64]),
        ("{'a': [0.1], 'b': 3}", [{"a": [2], "b": 1}], [{"a": [2]}, {"a": [0], "b": 1}, 3]),
    ],
)
def test_what_is_allowed_follows_from_the_default(written, default, good, bad):
    notebook = written(f"mine = {default}")
    for value in good:
        check_parameters(notebook, {"mine": value})
    for value in bad:
        assert message({"mine": value}, notebook=notebook).startswith("mine")


def test_a_recipes_field_is_checked_as_the_recipe_does(written):
    notebook = written("momentum = 0.9\nunits = (32,)\nscale = 'unit'\ntrain_size = 3000")
    check_parameters(notebook, {"momentum": 0.0, "units": [64, 64], "train_size": None})
    assert message({"momentum": 1}, notebook=notebook) == "momentum = 1: must be less than 1"
    assert "'unit', 'symmetric', 'standard' or 'mnist'" in message(
        {"scale": "units"}, notebook=notebook
    )


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""What this asks."""\n# a comment\nepochs: int = 2  # few', {"epochs": 2}),
        ('epochs: "int" = 2\nwords: str', {"epochs": 2}),
        ("import os\nfrom math import pi\nkeep = 1 - 0.1", {"keep": 0.9}),
        ("a = b = 2\n(c, d), e = (3, 4), 5", {"a": 2, "b": 2, "c": 3, "d": 4, "e": 5}),
        ("epochs = 2\nname = f'{epochs} epochs'", {"epochs": 2, "name": "2 epochs"}),
        ("rates = [10.0**-n for n in range(2)]", {"rates": [1, 0.1]}),
        ("rates = []\nfor n in range(2):\n    b = n / 2\n    rates += [b]", {"rates": [0, 0.5]}),
        ("rates = []\nfor n in range(2): rates.append(n)\nprint(rates)", {"rates": [0, 1]}),
        ("if True:\n    a = 1\nelse:\n    b = 2", {"a": 1}),
        ("def f(x):\n    y = x\n    return y\na = f(3)", {"a": 3}),
        ("import numpy as np\nkeep = np.float64(0.5)", {"keep": 0.5}),
        ("%matplotlib inline\n!ls\n%env A=1\n?print\nepochs = 2", {"epochs": 2}),
        ("# Parameters\nepochs = 2;", {"epochs": 2}),
        ("# nothing", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_defaults_are_what_the_cell_assigns(written, capsys, source, found):
    notebook = written(source)
    assert defaults(notebook) == found
    check_parameters(notebook, found)
    assert message({"other": 1}, notebook=notebook).startswith("other = 1: mine has no such param")
    assert capsys.readouterr().out == "", "the cell itself has printed that"


def test_without_a_cell_of_parameters_there_are_none(written):
    written("a = 1")
    nbformat.write(
        new_notebook(cells=[new_code_cell("a = 1")]), parameters.NOTEBOOKS / "mine.ipynb"
    )
    assert defaults("mine") == {}
    assert message({"a": 1}, notebook="mine").endswith("no such parameter: known names: none")


@pytest.mark.parametrize("cell", [new_code_cell, new_markdown_cell])
def test_papermill_fills_one_cell_of_code(written, cell):
    cells = [cell("b = 1"), new_code_cell("a = 1")]
    for each in cells:
        each.metadata["tags"] = ["parameters"]
    written("a = 1")
    nbformat.write(new_notebook(cells=cells), parameters.NOTEBOOKS / "mine.ipynb")
    assert "this tag must stand at one cell" in message({}, notebook="mine")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("a = 1 /", "SyntaxError: invalid syntax"),
        ("a = b", "NameError: name 'b' is not defined"),
        ("files = !ls", "SyntaxError: its values must be plain Python, without % or !: files = "),
        ("%%time\nepochs = 2", "SyntaxError: its values must be plain Python, without % or !: g"),
        ("%time epochs = 2", "SyntaxError: its values must be plain Python, without % or !: get"),
        ("seeds = range(5)", "TypeError: seeds holds a range: a parameter is a number, string, li"),
        ("from pathlib import Path\na = [Path()]", "TypeError: a holds a PosixPath: a parameter"),
    ],
)  # fmt: skip
def test_a_cell_of_parameters_that_fails_is_one_line(written, source, reason):
    text = message({}, notebook=written(source))
    assert text.startswith(f"notebooks/mine.ipynb, cell `parameters`: {reason}")


@pytest.mark.parametrize(
    "source",
    [
        "epochs = 2\nlong = 5 * epochs",
        "epochs = 2\nlong: str = f'{epochs} epochs'",
        "epochs, long = 2, []\nfor n in range(epochs): long.append(n)",
        "epochs, long = 2, {}\nlong['a'] = epochs",
        "epochs = 2\nif epochs > 1:\n    long = 1",
    ],
)
def test_a_value_computed_from_a_given_one_is_given_too(written, tmp_path, source):
    """Papermill sets values after the cell has run: it would have used the default."""
    written(f"{source}\nother = 1\nassert epochs < other + 5")
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: 3", "utf-8")
    with pytest.raises(
        RecipeError, match="`parameters`: long is computed there from epochs: give "
    ):
        read(path)
    cell = "# Parameters\nepochs = 3\n"
    with pytest.raises(RecipeError, match="long is computed there from epochs"):
        check_namespace("mine", {"In": ["", cell], "epochs": 3, **defaults("mine")})
    path.write_text(yaml.dump({"epochs": 3, "long": defaults("mine")["long"] or [1]}), "utf-8")
    read(path)
    path.write_text("other: 3", "utf-8")
    assert read(path) == {"other": 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [("- 1", "must consist of lines `name: value`"),
     ("epochs: 0", "epochs = 0: must be greater than or equal"),
     ("epoch: 1", "epoch = 1: 02_baseline has no such"),
     ("1: 1", "1 = 1: 02_baseline has no such"),
     ("[1]: 1", "while constructing a mapping"),
     ("epochs: 1\nepochs: 2", "a name stands twice: epochs, epochs"),
     ("epochs: {sgd: 1, sgd: 2}", "a name stands twice: sgd, sgd"),
     ("a: 1\nb: ]", "while parsing a block node expected the node content, but found ']' in "
      '"<byte string>", line 2, column 4')],
)  # fmt: skip
def test_a_wrong_parameter_file_is_one_line(tmp_path, text, words):
    path = tmp_path / "02_baseline.yaml"
    path.write_text(text, "utf-8")
    assert message(path, lambda _, path: read(path)).startswith(f"{path}: {words}")


def namespace(*cells, **values):
    """What ``globals()`` holds in a notebook when its chapter begins."""
    return {
        "__name__": "__main__", "_": "", "_i1": "import pandas", "In": ["", *cells], "Out": {},
        "types": types, "begin": check_namespace, **GOOD, **values,
    }  # fmt: skip


def test_only_parameters_may_be_injected_or_differ_from_one_in_capitals():
    injected = "# Parameters\nepochs = 3\nrate = 0.1\n"
    text = message(namespace(injected, rate=0.1), check_namespace)
    assert text.startswith("rate = 0.1: 03_learning_rate has no such parameter: ")
    check_namespace(NOTEBOOK, namespace(injected, "# Parameters\nepochs = 3\n", rate=0.1))
    check_namespace(NOTEBOOK, namespace(rate=0.1, columns=["a"], mean_accuracy=0.5))
    assert message(namespace(EPOCHS=3), check_namespace).startswith("EPOCHS = 3: ")


def test_a_chapter_begins_again_with_an_edited_value(shell, capsys):
    begin = "from fmnist_keras.chapter import begin\nbegin('02_baseline', globals())"
    for source in ("epochs = 3\nseeds = [0]", begin, "epochs = 4", begin, "epochs = 'x'"):
        shell.run_cell(source).raise_error()
    capsys.readouterr()
    assert isinstance(shell.run_cell(begin).error_in_exec, RecipeError)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("RecipeError: epochs = 'x': must be an integer")


WRONG = "from fmnist_keras.recipe import Recipe\n\nRecipe(epochs=0)"


def test_a_wrong_value_is_one_line_in_a_terminal():
    done = subprocess.run([sys.executable, "-c", WRONG], capture_output=True, text=True)
    line = "RecipeError: epochs = 0: must be greater than or equal to 1\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
