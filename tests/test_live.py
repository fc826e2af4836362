"""What a live notebook shows beside its outputs: a bar while runs train, sliders over figures."""

import ipywidgets
import pytest

from fmnist_keras import notebook, progress
from fmnist_keras.experiment import Study


@pytest.fixture
def shown(monkeypatch):
    """What a live notebook's bar shows, one after the other."""
    pages = []

    class Handle:
        def update(self, page, raw):
            pages.append(page)

    def display(page, raw, display_id):
        pages.append(page)
        return Handle()

    monkeypatch.setattr(progress, "watched", lambda: True)
    monkeypatch.setattr(progress, "display", display)
    return pages


def test_a_bar_grows_and_leaves_nothing_behind(small, shown):
    study = Study("bar", seeds=[0])
    study.run(small.grid(learning_rate=[0.01, 0.1]))
    assert ["0 of 2 runs" in shown[0]["text/html"], "1 of 2 runs" in shown[1]["text/html"]] == [
        True
    ] * 2
    assert shown[-1] == {"text/plain": ""}
    shown.clear()
    study.run(small.grid(learning_rate=[0.01, 0.1]))
    assert shown == [], "all is stored"


def test_nobody_looks_under_make_or_outside_a_notebook(monkeypatch):
    assert not progress.watched()
    monkeypatch.setattr(progress, "get_ipython", lambda: type("Shell", (), {"kernel": None})())
    assert progress.watched()
    monkeypatch.setenv("FMNIST_PROGRESS", "file")
    assert not progress.watched()


@pytest.mark.parametrize("live", [False, True])
def test_sliders_stand_over_a_figure_in_a_live_notebook_alone(monkeypatch, live):
    drawn, sliders = [], {}
    monkeypatch.setattr("fmnist_keras.notebook.sliders.watched", lambda: live)
    monkeypatch.setattr(ipywidgets, "interact", lambda draw, **given: sliders.update(given))

    def draw(rate=0.1):
        drawn.append(rate)

    notebook.explore(draw, rate=[0.01, 0.1])
    if live:
        assert (sliders["rate"].options, sliders["rate"].value) == ((0.01, 0.1), 0.1)
    else:
        assert drawn == [0.1]
