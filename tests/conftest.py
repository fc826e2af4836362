"""Every test has a results folder of its own; ``small`` is a recipe that trains in a second."""

import matplotlib
import pytest
from IPython.core.interactiveshell import InteractiveShell

from fmnist_keras.recipe import Recipe


@pytest.fixture(autouse=True)
def results_folder(tmp_path, monkeypatch):
    """The folder of runs and searches, not there yet."""
    folder = tmp_path / "results"
    monkeypatch.setenv("FMNIST_RESULTS", str(folder))
    monkeypatch.delenv("FMNIST_OPTIONS", raising=False)
    return folder


@pytest.fixture
def small():
    return Recipe(train_size=500, val_size=500, test_size=500, batch_size=100, epochs=2)


@pytest.fixture
def shell():
    """What runs a notebook's cells, in this process."""
    matplotlib.use("agg")
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()
    matplotlib.pyplot.close("all")
