"""Runs that are committed with the reports stand in for training."""

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from fmnist_keras import archive, experiment, fingerprint, provenance
from fmnist_keras.experiment import Study
from fmnist_keras.notebook.tables import ROOT, tables
from fmnist_keras.recipe import Recipe

SMALL = Recipe(train_size=300, val_size=200, test_size=200, epochs=2)
RECIPES = [
    SMALL.but(name="plain"),
    SMALL.but(name="no validation", validation="none"),
    SMALL.but(name="diverged", activation="relu", learning_rate=1e20),
]


def ten(model, arrays) -> dict:
    return {"ten": [1.5, 2.5]}


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An archive of the recipes' runs, and an empty folder for new ones."""
    monkeypatch.setenv("FMNIST_RESULTS", str(tmp_path / "first"))
    study = Study("archived", [0, 1])
    study.run(RECIPES)
    study.run(RECIPES[0], diagnose=ten)
    study.study.tell(study.study.ask().number, state=experiment.TrialState.FAIL)
    assert archive.write(study.study.get_trials(), tmp_path / "runs" / "archived.parquet") == 8
    monkeypatch.setenv("FMNIST_RESULTS", str(tmp_path / "second"))
    monkeypatch.setenv("FMNIST_ARCHIVE", str(tmp_path / "runs"))
    return tmp_path


def refuse(*_):
    raise AssertionError("trained")


def results(study: Study) -> list[pd.DataFrame]:
    both = study.run(RECIPES), study.run(RECIPES[0], diagnose=ten)
    return [frame for found in both for frame in (found.runs, found.curves)]


def test_archived_runs_are_not_trained_again(monkeypatch, folder):
    monkeypatch.setenv("FMNIST_RESULTS", str(folder / "first"))
    trained = results(Study("archived", [0, 1]))
    monkeypatch.setenv("FMNIST_RESULTS", str(folder / "second"))
    monkeypatch.setattr(experiment, "_train", refuse)
    for ours, expected in zip(results(Study("archived", [1, 0])), trained, strict=True):
        keys = ["name", "seed"] + ["epoch", "metric"] * ("epoch" in ours)
        ours, expected = (f.sort_values(keys, ignore_index=True) for f in (ours, expected))
        pd.testing.assert_frame_equal(ours, expected)


@pytest.mark.parametrize("why", ["no archive", "another study", "another seed", "older code"])
def test_all_else_is_trained(monkeypatch, folder, why):
    if why == "no archive":
        monkeypatch.delenv("FMNIST_ARCHIVE")
    if why == "older code":
        monkeypatch.setattr(fingerprint, "CURRENT", "0123456789ab")
        monkeypatch.setattr(fingerprint, "check_unchanged", lambda: None)
    monkeypatch.setattr(experiment, "_train", refuse)
    study = Study("other" if why == "another study" else "archived", [0])
    with pytest.raises(AssertionError, match="trained"):
        study.run(RECIPES[0], seeds=[2] if why == "another seed" else None)
    states = {trial.state for trial in study.study.get_trials()}
    assert states == {experiment.TrialState.FAIL}, "nothing else came into the storage"


def test_the_same_runs_give_the_same_bytes(folder):
    study = Study("archived", [0, 1])
    results(study)
    study.study.add_trials(reversed(study.study.get_trials()))
    archive.write(reversed(study.study.get_trials()), folder / "again.parquet")
    expected = (folder / "runs" / "archived.parquet").read_bytes()
    assert (folder / "again.parquet").read_bytes() == expected


def test_runs_that_a_file_holds_stay_in_it(folder):
    path = folder / "runs" / "archived.parquet"
    before = path.read_bytes()
    assert archive.write([], path) == 8
    assert path.read_bytes() == before
    study = Study("archived", [2])
    study.run(RECIPES[0])
    assert archive.write(study.study.get_trials(), path) == 9
    seeds = pd.read_parquet(path)["seed"]
    assert sorted(seeds.unique()) == [0, 1, 2]


def test_a_run_by_more_threads_counts_and_keeps_its_fingerprint(monkeypatch, folder):
    path = folder / "runs" / "archived.parquet"
    one, two = list(fingerprint.threads())[:2]
    assert one == fingerprint.CURRENT, "the tests run with one thread an operation"
    monkeypatch.setattr(fingerprint, "CURRENT", two)
    monkeypatch.setattr(fingerprint, "check_unchanged", lambda: None)
    monkeypatch.delenv("FMNIST_ARCHIVE")
    by_two = Study("archived", [2])
    by_two.run(RECIPES[0])
    assert archive.write(by_two.study.get_trials(), path) == 9

    monkeypatch.setattr(fingerprint, "CURRENT", one)
    monkeypatch.setenv("FMNIST_ARCHIVE", str(path.parent))
    monkeypatch.setenv("FMNIST_RESULTS", str(folder / "third"))
    monkeypatch.setattr(experiment, "_train", refuse)
    study = Study("archived", [0, 2])
    runs = study.run(RECIPES[0]).runs
    assert runs["fingerprint"].tolist() == [one, two]
    assert provenance.table(runs)[["threads", "runs"]].values.tolist() == [["1", 1], ["2", 1]]
    assert "threads" not in provenance.table(runs[:1]), "nothing is said of the usual one"
    before = path.read_bytes()
    archive.write(study.study.get_trials(), path)
    assert path.read_bytes() == before


def test_a_committed_report_comes_out_of_the_committed_runs(tmp_path):
    """In a copy without git a run that is trained knows no commit; the committed ones do."""
    runs, name = "reports/paper/runs", "02_baseline"
    if not set(pd.read_parquet(ROOT / runs / "keras_study.parquet")["fingerprint"]).intersection(
        fingerprint.threads()
    ):
        pytest.skip("the arithmetic was edited: make clean all archive PROFILE=paper")
    copy = tmp_path / "project"
    for part in ("fmnist_keras", "scripts", "notebooks", "params/paper", runs):
        shutil.copytree(ROOT / part, copy / part)
    executed = subprocess.run(
        [sys.executable, "scripts/report.py", "paper", "1", name],
        cwd=copy, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(copy)},
    )  # fmt: skip
    assert executed.returncode == 0, executed.stdout + executed.stderr
    times = copy / "reports" / "paper" / "times" / f"{name}.runs.json"
    assert "unknown" not in {part["commit"] for part in json.loads(times.read_text())}
    ours, committed = (
        pd.DataFrame(tables(root / "reports" / "paper" / f"{name}.ipynb")) for root in (copy, ROOT)
    )
    assert len(ours) > 10
    pd.testing.assert_frame_equal(ours, committed)
