"""A fingerprint covers the code that decides the numbers of its family's runs, and no other."""

import shutil

import pandas as pd
import pytest

from fmnist_keras import fingerprint, provenance


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package's files, copied, to edit."""
    folder = shutil.copytree(fingerprint.PACKAGE, tmp_path / "fmnist_keras")
    monkeypatch.setattr(fingerprint, "PACKAGE", folder)
    return folder


ADDED = ("", "def added():\n    return 1\n")


@pytest.mark.parametrize(
    ("file", "edit", "changed"),
    [
        ("cnns.py", ADDED, {"convolutional"}),
        ("layers.py", ADDED, {"convolutional"}),
        ("training/stacked.py", ADDED, {"dense"}),
        ("training/schedules.py", ADDED, {"dense", "convolutional"}),  # a new file
        ("models.py", ("(recipe.activation)", '("tanh")'), {"dense", "convolutional"}),
        ("models.py", ("", "# a comment\n'A text.'\n"), set()),
        ("models.py", ("must give a list", "must be a list"), set()),  # an error message
        ("recipe.py", ADDED, set()),  # what it says is in the key
        ("figures/style.py", ADDED, set()),
    ],
)
def test_what_an_edit_changes(package, file, edit, changed):
    assert fingerprint.on_disk() == fingerprint.IMPORTED
    fingerprint.check_unchanged()
    path = package / file
    before = path.read_text("utf-8") if path.exists() else ""
    path.write_text(before.replace(*edit, 1), "utf-8")
    assert path.read_text("utf-8") != before
    now = fingerprint.on_disk()
    assert {name for name in now if now[name] != fingerprint.IMPORTED[name]} == changed
    if changed:
        with pytest.raises(RuntimeError, match="restart the kernel"):
            fingerprint.check_unchanged()


def test_versions_count(monkeypatch):
    monkeypatch.setattr(fingerprint, "_versions", lambda: {"keras": "4.0"})
    now = fingerprint.on_disk()
    assert all(now[name] != fingerprint.IMPORTED[name] for name in now)


def test_provenance_tells_threads_where_they_differ():
    made = {"fingerprint": "a", "versions": "v", "backend": "tensorflow", "device": "CPU"}
    runs = pd.DataFrame([{"recipe": seed, "seed": seed, **made} for seed in range(3)])
    assert "threads" not in provenance.table(runs)
    runs["threads"] = [None, 1, 2]  # runs from before it was noted had one
    table = provenance.table(runs)
    assert table[["threads", "runs"]].to_numpy().tolist() == [["1", 2], ["2", 1]]
    assert provenance.current()["threads"] == 1
