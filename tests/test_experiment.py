"""A study trains what its storage lacks, once, whatever is killed and whoever else works on it."""

import collections
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from pandas.testing import assert_frame_equal

from fmnist_keras import fingerprint, training
from fmnist_keras.errors import RecipeError
from fmnist_keras.experiment import Study
from fmnist_keras.recipe import Recipe

PROVENANCE = ["fingerprint", "versions", "backend", "device", "cores", "commit"]
CLOSE = {"rel": 1e-4, "abs": 0.0041}  # two images of 500: seeds may be trained as a stack
ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 90  # seconds for a process of our own


@pytest.fixture
def trained(monkeypatch):
    """Put a formula in the place of training; return the list of (learning rate, seed) trained."""
    calls = []

    def train(recipe, seeds, checkpoint):
        runs = []
        for seed in seeds:
            calls.append((recipe.learning_rate, seed))
            accuracy = 0.9 - 0.1 * abs(math.log10(recipe.learning_rate)) + 0.001 * seed
            curves = {"val_accuracy": [accuracy / 2, accuracy], "seconds": [1.0, 2.0]}
            metrics = {"val_accuracy": accuracy, "seconds": 2.0}
            runs.append(training.Run(metrics, curves, None))
        return runs

    monkeypatch.setattr(training, "train", train)
    return calls


@pytest.fixture
def cnn(small):
    """A recipe whose seeds are trained one by one."""
    return small.but(model="simple_cnn")


@pytest.fixture(params=["journal", "sqlite"])
def storage(request, tmp_path):
    return "" if request.param == "journal" else f"sqlite:///{tmp_path}/study.db"


def states(study):
    """How many trials of a study are in each state, and how many are complete of each job."""
    trials = study.study.get_trials()
    complete = [t.user_attrs["job"] for t in trials if t.state == TrialState.COMPLETE]
    counts = collections.Counter(t.state.name for t in trials)
    return counts, collections.Counter(complete)


def comparable(results):
    """The frames without what differs from one run to the next of the same."""
    curves = results.curves[results.curves["metric"] != "seconds"].reset_index(drop=True)
    return results.runs.drop(columns=["seconds", *PROVENANCE]), curves


# Frames


def test_frames_of_real_runs(small):
    recipes = small.but(train_size=200, epochs=2).grid(learning_rate=[0.5, 0.1])
    results = Study("frames", seeds=[4, 2]).run(recipes)
    runs, curves = results.runs, results.curves
    pairs = [(recipe, seed) for recipe in recipes for seed in (4, 2)]
    assert list(zip(runs["recipe"], runs["seed"], strict=True)) == [
        (recipe.key, seed) for recipe, seed in pairs
    ]
    assert list(runs["learning_rate"]) == [0.5, 0.5, 0.1, 0.1]
    checked = [pairs[1], pairs[2]]
    expected = [training.train_one(recipe, seed) for recipe, seed in checked]
    fields = set(Recipe.model_fields)
    metrics = set(expected[0].metrics)
    assert set(runs) == fields | metrics | {"recipe", "seed", "objective", *PROVENANCE}
    assert set(curves) == fields | {"recipe", "seed", "epoch", "metric", "value"}
    assert len(curves) == len(pairs) * 2 * len(expected[0].curves)
    for (recipe, seed), run in zip(checked, expected, strict=True):
        row = runs[(runs["recipe"] == recipe.key) & (runs["seed"] == seed)].iloc[0]
        part = curves[(curves["recipe"] == recipe.key) & (curves["seed"] == seed)]
        assert row["objective"] == row["val_accuracy"]
        for name in metrics - {"seconds"}:
            assert row[name] == pytest.approx(run.metrics[name], **CLOSE), name
        for name in set(run.curves) - {"seconds"}:
            curve = part[part["metric"] == name]
            assert curve["epoch"].tolist() == [1, 2]
            assert curve["value"].tolist() == pytest.approx(run.curves[name], **CLOSE)
    assert "tensorflow 2" in runs["versions"].iloc[0]


def test_what_is_stored_is_not_trained_again(trained, cnn, storage):
    recipes = cnn.grid(learning_rate=[0.1, 0.2])
    first = Study("kept", seeds=[0, 1], storage=storage).run(recipes)
    assert trained == [(0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)]
    trained.clear()
    again = Study("kept", seeds=[0, 1], storage=storage).run(recipes)
    assert trained == []
    assert_frame_equal(first.runs, again.runs)
    assert_frame_equal(first.curves, again.curves)
    more = Study("kept", seeds=[2, 1], storage=storage).run([*recipes, cnn.but(epochs=9)])
    assert trained == [(0.1, 2), (0.2, 2), (0.01, 2), (0.01, 1)]
    assert len(more.runs) == 6


def test_where_a_study_is_kept(trained, cnn, tmp_path, results_folder, monkeypatch):
    Study("here", seeds=[0]).run(cnn)
    assert [path.name for path in results_folder.glob("*.journal")] == ["here.journal"]
    url = f"sqlite:///{tmp_path}/other.db"
    Study("there", seeds=[0], storage=url).run(cnn)
    monkeypatch.setenv("FMNIST_STORAGE", url)
    Study("there", seeds=[0]).run(cnn)
    assert len(trained) == 2
    assert optuna.load_study(study_name="there", storage=url).trials[0].state == TrialState.COMPLETE
    assert len(list(results_folder.glob("*.journal"))) == 1


def test_recipes_that_differ_in_name_share_their_runs(trained, cnn):
    results = Study("names", seeds=[0, 1]).run([cnn.but(name="a"), cnn.but(name="b")])
    assert len(trained) == 2
    assert list(results.runs["name"]) == ["a", "a", "b", "b"]
    assert results.runs["recipe"].nunique() == 1


def test_seeds_of_one_call(trained, cnn):
    study = Study("seeds", seeds=[0, 1])
    assert list(study.run(cnn, seeds=[7]).runs["seed"]) == [7]
    assert trained == [(0.01, 7)]


def test_nothing_to_run_is_an_error():
    with pytest.raises(RecipeError, match="seeds = "):
        Study("empty", seeds=[])
    study = Study("empty", seeds=[0])
    with pytest.raises(RecipeError, match="recipes = "):
        study.run([])
    with pytest.raises(RecipeError, match="seeds = "):
        study.run(Recipe(), seeds=[])


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "two\nlines", "x" * 101, "-x", 3])
def test_a_name_is_no_path(name, results_folder):
    with pytest.raises(RecipeError, match="name = ") as caught:
        Study(name, seeds=[0])
    assert "\n" not in str(caught.value)
    assert not results_folder.exists()


def test_a_diagnostic_adds_columns_and_is_stored(trained, cnn):
    def images(model, arrays):
        return {"images": len(arrays.train), "parts": sorted(arrays.parts)}

    study = Study("measured", seeds=[0])
    for _ in range(2):
        row = study.run(cnn, diagnose=images).runs.iloc[0]
        assert (row["images"], row["parts"]) == (500, ["test", "train", "val"])
        assert len(trained) == 1
    assert "images" not in study.run(cnn).runs


def test_results_add_up_without_duplicates(trained, cnn):
    study = Study("sum", seeds=[0, 1])
    one, two, three = cnn.grid(learning_rate=[0.1, 0.2, 0.3])
    both = study.run([one, two]) + study.run([two, three])
    expected = study.run([one, two, three])
    assert_frame_equal(both.runs, expected.runs)
    assert_frame_equal(both.curves, expected.curves)
    named = both + study.run(one.but(name="another"))
    assert len(named.runs) == 8


# What goes wrong


def test_a_diverged_run_is_a_run(small):
    recipe = small.but(activation="relu", learning_rate=1e20)
    study = Study("diverged", seeds=[0, 1])
    study.run(recipe)
    assert states(study)[0] == {"COMPLETE": 2}
    results = Study("diverged", seeds=[0, 1]).run(recipe)  # read back from the file
    for row in results.runs.to_dict("records"):
        assert (row["diverged"], row["stop_epoch"]) == (1, 1)
        assert math.isnan(row["train_loss"])
        assert 0 <= row["objective"] <= 0.2
    losses = results.curves[results.curves["metric"] == "val_loss"]["value"]
    assert losses.isna().tolist() == [True, True]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_run_without_finite_objective_comes_last(small, storage, monkeypatch, loss):
    recipes = small.but(task="inpaint").grid(learning_rate=[0.1, 0.2])

    def train(recipe, seeds, checkpoint):
        value = loss if recipe.learning_rate == 0.1 else 5.0
        run = training.Run({"val_loss": value, "seconds": 0.0}, {"val_loss": [value]}, None)
        return [run for _ in seeds]

    monkeypatch.setattr(training, "train", train)
    study = Study("undefined", seeds=[0], storage=storage)
    assert study.run(recipes).runs["objective"].tolist() == [-math.inf, -5.0]
    assert states(study)[0] == {"COMPLETE": 2}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_run_that_raised_can_be_run_again(trained, cnn, storage, monkeypatch, error):
    works = training.train

    def fails(recipe, seeds, checkpoint):
        if seeds == [1]:
            raise error("in the middle")
        return works(recipe, seeds, checkpoint)

    study = Study("raises", seeds=[0, 1, 2], storage=storage)
    with monkeypatch.context() as patch:
        patch.setattr(training, "train", fails)
        with pytest.raises(error, match="in the middle"):
            study.run(cnn)
    assert states(study)[0] == {"COMPLETE": 1, "FAIL": 1}
    assert len(study.run(cnn).runs) == 3
    assert [seed for _, seed in trained] == [0, 1, 2]
    assert states(study)[0] == {"COMPLETE": 3, "FAIL": 1}


KILLED = """
from fmnist_keras.recipe import Recipe
from fmnist_keras.experiment import Study

base = Recipe(train_size=500, val_size=500, test_size=500, batch_size=100, epochs=2)
Study("killed", seeds=[0, 1]).run(base.grid(learning_rate=[0.1, 0.2]))
"""


def in_training(study):
    """Whether some worker is at a run."""
    return bool(study.study.get_trials(states=[TrialState.RUNNING]))


def test_a_killed_study_goes_on_where_it_was(small, results_folder, monkeypatch):
    recipes = small.grid(learning_rate=[0.1, 0.2])
    watched = Study("killed", seeds=[0, 1])
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + PATIENCE
    while True:  # until it is held in the middle of a later run
        assert worker.poll() is None, worker.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.02)
        os.kill(worker.pid, signal.SIGSTOP)
        if states(watched)[0]["COMPLETE"] and in_training(watched):
            break
        os.kill(worker.pid, signal.SIGCONT)
    worker.kill()
    worker.communicate()
    kept = {t.number for t in watched.study.get_trials(states=[TrialState.COMPLETE])}
    assert 1 <= len(kept) < 4

    resumed = Study("killed", seeds=[0, 1])
    results = resumed.run(recipes)
    counts, jobs = states(resumed)
    assert counts["FAIL"] >= 1
    assert (len(jobs), set(jobs.values())) == (4, {1})
    complete = resumed.study.get_trials(states=[TrialState.COMPLETE])
    assert kept <= {trial.number for trial in complete}

    monkeypatch.setenv("FMNIST_RESULTS", str(results_folder / "elsewhere"))
    undisturbed = Study("killed", seeds=[0, 1]).run(recipes)
    for one, two in zip(comparable(results), comparable(undisturbed), strict=True):
        assert_frame_equal(one, two, check_exact=True)


WORKER = """
import os, pathlib, sys, time, types
import fmnist_keras
from fmnist_keras import provenance
from fmnist_keras.recipe import Recipe
from fmnist_keras.experiment import Study

folder, seeds = pathlib.Path(sys.argv[1]), range(int(sys.argv[2]))

def train(recipe, seeds, checkpoint):
    (seed,) = seeds
    with open(folder / f"{os.getpid()}.trained", "a") as file:
        print(seed, file=file)
    time.sleep(0.02)
    metrics, curves = {"val_accuracy": seed / 100, "seconds": 0.02}, {"val_accuracy": [seed / 100]}
    return [types.SimpleNamespace(metrics=metrics, curves=curves, model=None)]

fmnist_keras.training = types.SimpleNamespace(  # no TensorFlow here
    train=train, worth_stacking=lambda recipe: False
)
provenance.current = lambda: {"versions": "", "backend": "", "device": ""}
(folder / f"{os.getpid()}.ready").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
results = Study("shared", seeds=list(seeds)).run(Recipe(model="simple_cnn"))
print(results.runs["val_accuracy"].tolist())
"""


def work(folder, workers, seeds):
    """Let so many processes start on the same study at once; return what each printed last and
    the seeds that each trained."""
    command = [sys.executable, "-c", WORKER, str(folder), str(seeds)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    try:
        deadline = time.monotonic() + PATIENCE
        while len(list(folder.glob("*.ready"))) < workers and time.monotonic() < deadline:
            time.sleep(0.01)
        (folder / "go").touch()
        printed = []
        for process in processes:
            output, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, errors
            printed.append(output.splitlines()[-1])
    finally:
        for process in processes:
            process.kill()
            process.wait()
    shares = [path.read_text().split() for path in folder.glob("*.trained")]
    return printed, [[int(seed) for seed in share] for share in shares]


def test_two_processes_share_a_study(tmp_path):
    printed, shares = work(tmp_path, workers=2, seeds=25)
    assert len(shares) == 2  # both had something to do
    assert sorted([*shares[0], *shares[1]]) == list(range(25))
    assert printed == [str([seed / 100 for seed in range(25)])] * 2
    jobs = states(Study("shared", seeds=[0]))[1]
    assert (len(jobs), set(jobs.values())) == (25, {1})


@pytest.mark.parametrize(
    ("cut", "again"),
    [
        (lambda text: text + b'{"op_code": 8, "tri', []),
        (lambda text: text[:-20], [2]),  # the line that says that the last run is complete
        (lambda text: text[:-1], [2]),
    ],
)
def test_a_journal_whose_last_line_was_not_written_whole(
    trained, tmp_path, results_folder, cut, again
):
    work(tmp_path, workers=1, seeds=3)
    path = results_folder / "shared.journal"
    path.write_bytes(cut(path.read_bytes()))
    path.with_name("shared.journal.length").unlink()  # as after a kill in the middle of the line
    results = Study("shared", seeds=[0, 1, 2, 3]).run(Recipe(model="simple_cnn"))
    assert [seed for _, seed in trained] == [*again, 3]
    assert len(results.runs) == 4
    for line in path.read_text().splitlines():
        json.loads(line)
    jobs = states(Study("shared", seeds=[0]))[1]
    assert (len(jobs), set(jobs.values())) == (4, {1})


# Which runs are the same


def test_runs_of_other_code_are_trained_again(trained, cnn, storage, monkeypatch):
    study = Study("code", seeds=[0], storage=storage)
    study.run(cnn)
    with monkeypatch.context() as patch:
        for name in ("CURRENT", "on_disk"):
            patch.setattr(fingerprint, name, "other" if name == "CURRENT" else lambda: "other")
        assert study.run(cnn).runs["fingerprint"].tolist() == ["other"]
        assert len(trained) == 2
        study.run(cnn)
        assert len(trained) == 2
    assert study.run(cnn).runs["fingerprint"].tolist() == [fingerprint.CURRENT]
    assert len(trained) == 2  # the old runs are there still


def test_expensive_runs_of_older_code_can_be_kept(trained, cnn, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "CURRENT", "older")
        patch.setattr(fingerprint, "on_disk", lambda: "older")
        Study("kept on purpose", seeds=[0]).run(cnn)
    monkeypatch.setenv("FMNIST_REUSE", "1")
    runs = Study("kept on purpose", seeds=[0, 1]).run(cnn).runs
    assert runs["fingerprint"].tolist() == ["older", fingerprint.CURRENT]
    assert len(trained) == 2
    monkeypatch.delenv("FMNIST_REUSE")
    Study("kept on purpose", seeds=[0]).run(cnn)
    monkeypatch.setenv("FMNIST_REUSE", "1")
    runs = Study("kept on purpose", seeds=[0]).run(cnn).runs
    assert runs["fingerprint"].tolist() == [fingerprint.CURRENT]  # the present code's come first


def test_code_edited_in_a_live_session_is_not_trained_with(trained, cnn, monkeypatch):
    study = Study("edited", seeds=[0])
    study.run(cnn)
    monkeypatch.setattr(fingerprint, "on_disk", lambda: "edited")
    study.run(cnn)  # what is stored is what the session imported
    with pytest.raises(RuntimeError, match="restart the kernel"):
        study.run(cnn.but(epochs=9))
    assert len(trained) == 1


COPY = """
from fmnist_keras import training
from fmnist_keras.experiment import Study
from fmnist_keras.recipe import Recipe

trained, train = [], training.train
training.train = lambda recipe, *rest: trained.append(recipe) or train(recipe, *rest)
small = Recipe(train_size=200, val_size=500, test_size=500, batch_size=100, epochs=1)
results = Study("copied", seeds=[0]).run(small)
print(len(trained), results.runs["test_loss"][0])
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A function that edits a copy of the package, runs a small study with it, and returns how many
    recipes it trained and the test loss."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "fmnist_keras", folder / "fmnist_keras")

    def run(file, old, new):
        path = folder / "fmnist_keras" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        environment = os.environ | {"FMNIST_RESULTS": str(folder / "results")}
        done = subprocess.run(
            [sys.executable, "-c", COPY],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        count, loss = done.stdout.split()
        return int(count), float(loss)

    return run


def test_a_line_of_arithmetic_trains_again_and_a_comment_does_not(copied):
    nothing = ("data.py", "import", "import")
    trained, loss = copied(*nothing)
    assert trained == 1
    assert copied(*nothing) == (0, loss)
    assert copied("models.py", "def build(", "# a comment\ndef build(") == (0, loss)
    assert copied("models.py", '"""Build the recipe', '"""Build a recipe') == (0, loss)
    assert copied("figures/style.py", "PANEL = (4.6", "PANEL = (4.7") == (0, loss)
    line, edited = "layers.Activation(recipe.activation)", 'layers.Activation("tanh")'
    trained, other = copied("models.py", line, edited)
    assert trained == 1
    assert other != loss
    assert copied("models.py", edited, line) == (0, loss)  # undone, found again
