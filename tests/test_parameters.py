"""A notebook stops on a wrong parameter, in one line, and on nothing else."""

import itertools
import subprocess
import sys
import types

import nbformat
import pytest
from nbclient import NotebookClient

from fmnist_keras.errors import RecipeError
from fmnist_keras.notebook.parameters import NOTEBOOKS, check_parameters, defaults

NOTEBOOK = "03_learning_rate"
GOOD = {"seeds": [0, 1, 2], "learning_rates": [0.01, 1], "train_size": None, "storage": ""}


def message(values):
    """The one line of the RecipeError that the values must raise."""
    with pytest.raises(RecipeError) as caught:
        check_parameters(NOTEBOOK, values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_defaults_are_those_of_the_tagged_cell():
    found = defaults(NOTEBOOK)
    assert {"seeds", "learning_rates", "search_range", "epochs", "storage"} <= set(found)
    assert found["learning_rates"][-2:] == [1.62, 4.617]


@pytest.mark.parametrize("notebook", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_every_default_passes_its_own_check(notebook):
    check_parameters(notebook, defaults(notebook))


def test_good_values_pass():
    for size in range(len(GOOD) + 1):
        for names in itertools.combinations(GOOD, size):
            check_parameters(NOTEBOOK, {name: GOOD[name] for name in names})


@pytest.mark.parametrize(
    ("name", "value", "start", "allowed"),
    [
        ("epoch", 5, "epoch = 5", "no such parameter: seeds, learning_rates,"),
        ("batch_sizes", [32], "batch_sizes = [32]", "no such parameter"),  # another notebook's
        ("learning_rates", [0.1, "1e-3"], "learning_rates[1] = '1e-3'", "write 0.001 or 1.0e-3"),
        ("learning_rates", [0.1, 0], "learning_rates[1] = 0", "greater than 0"),
        ("learning_rates", 0.1, "learning_rates = 0.1", "list"),
        ("learning_rates", [], "learning_rates = []", "at least 1"),
        ("seeds", [], "seeds = []", "at least 1"),
        ("seeds", [0, -1], "seeds[1] = -1", "greater than or equal to 0"),
        ("seeds", [0.5], "seeds[0] = 0.5", "integer"),
        ("seeds", 3, "seeds = 3", "list"),
        ("epochs", "5", "epochs = '5'", "integer"),
        ("epochs", 0, "epochs = 0", "greater than or equal to 1"),
        ("epochs", True, "epochs = True", "integer"),
        ("epochs", None, "epochs = None", "integer"),
        ("train_size", 2.5, "train_size = 2.5", "integer"),
        ("search_range", [0.1], "search_range = [0.1]", "at least 2"),
        ("search_range", [0.1, 0.2, 0.3], "search_range = [0.1, 0.2, 0.3]", "at most 2"),
        ("storage", None, "storage = None", "string"),
        ("trials", 10**9, "trials = 1000000000", "less than or equal to 10000"),
        ("learning_rates", [1e308], "learning_rates[0] = 1e+308", "from 1e-30 to 1e30"),
        ("EPOCHS", 3, "EPOCHS = 3", "no such parameter"),
        ("_epochs", 3, "_epochs = 3", "no such parameter"),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(name, value, start, allowed):
    text = message({**GOOD, name: value})
    assert text.startswith(f"{start}: ")
    assert allowed in text


def namespace(**values):
    """What ``globals()`` holds in a notebook right after its parameters."""
    return {
        "__name__": "__main__", "_": "", "_i1": "import pandas", "In": ["", "x"], "Out": {},
        "types": types, "check_parameters": check_parameters, "path": NOTEBOOKS, "LIMIT": 3,
        **GOOD, **values,
    }  # fmt: skip


def test_only_plain_values_count_as_parameters():
    check_parameters(NOTEBOOK, namespace())
    assert message(namespace(learning_rate=[0.1])).startswith("learning_rate = [0.1]: ")
    assert message(namespace(EPOCHS=3)).startswith("EPOCHS = 3: ")
    assert message(namespace(_epochs=3)).startswith("_epochs = 3: ")


def test_a_cell_run_again_does_not_mind_the_studys_own_variables():
    values = namespace()
    check_parameters(NOTEBOOK, values)
    values |= {"columns": ["test_loss"], "chosen": [0.01], "mean_accuracy": 0.5}
    check_parameters(NOTEBOOK, values)
    values["learning_rates"] = ["1e-3"]
    assert message(values).startswith("learning_rates[0] = '1e-3': ")


def test_a_parameter_misspelt_in_a_cell_run_again_is_named():
    values = namespace()
    check_parameters(NOTEBOOK, values)
    values["epochss"] = 6
    assert message(values).startswith("epochss = 6: ")


def test_a_namespace_that_failed_is_looked_at_as_a_whole_again():
    values = namespace(epoch=5)
    assert message(values).startswith("epoch = 5: ")
    assert message(values).startswith("epoch = 5: ")
    del values["epoch"]
    check_parameters(NOTEBOOK, values)


WRONG = "from fmnist_keras.recipe import Recipe\n\nRecipe(epochs=0)"
LINE = "RecipeError: epochs = 0: must be greater than or equal to 1"


def test_a_wrong_value_is_one_line_in_a_notebook():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WRONG)])
    NotebookClient(notebook, kernel_name="python3", allow_errors=True).execute()
    (output,) = notebook.cells[0].outputs
    assert output.traceback == [LINE]


def test_a_wrong_value_is_one_line_in_a_terminal():
    done = subprocess.run([sys.executable, "-c", WRONG], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{LINE}\n")
