"""What a live notebook shows beside its outputs: a bar while runs train."""

from types import SimpleNamespace

import pytest

from fmnist_keras import progress
from fmnist_keras.runs import run


@pytest.fixture
def shown(monkeypatch):
    """The pages that a live notebook's bar shows, in order."""
    pages = []

    class Handle:
        def update(self, page, raw):
            pages.append(page)

    def display(page, raw, display_id):
        pages.append(page)
        return Handle()

    monkeypatch.setattr(progress, "is_interactive", lambda: True)
    monkeypatch.setattr(progress, "display", display)
    return pages


def test_a_bar_grows_and_leaves_nothing_behind(shown):
    def train(seed, rate):
        return {"value": rate}

    run([{"rate": 0.01}, {"rate": 0.1}], [0], train=train)
    assert "0 of 2 runs" in shown[0]["text/html"]
    assert "1 of 2 runs" in shown[1]["text/html"]
    assert shown[-1] == {"text/plain": ""}
    shown.clear()
    run([{"rate": 0.01}, {"rate": 0.1}], [0], train=train)
    assert shown == [], "all is stored"


def test_a_notebook_is_interactive_where_a_front_end_names_the_cell(monkeypatch):
    assert not progress.is_interactive()
    for metadata in ({"cellId": "a"}, {}):
        kernel = SimpleNamespace(get_parent=lambda sent=metadata: {"metadata": sent})
        shell = SimpleNamespace(kernel=kernel)
        monkeypatch.setattr(progress, "get_ipython", lambda shell=shell: shell)
        assert progress.is_interactive() == bool(metadata)
