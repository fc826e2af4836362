"""A run that is killed goes on from its last whole epoch, to the same bits."""

import subprocess
import sys
import time

import pytest
from pandas.testing import assert_frame_equal

from fmnist_keras.conditions import condition
from fmnist_keras.recipe import Recipe
from fmnist_keras.runs import run
from fmnist_keras.training import single
from tests.test_stacked import assert_equal

pytestmark = pytest.mark.slow

SIZES = {"train_size": 300, "val_size": 200, "test_size": 200, "batch_size": 64, "epochs": 4}
CNN = Recipe(
    **SIZES, model="dropout_cnn", width_multiplier=0.1, optimizer="adam", learning_rate=0.01
)
RECIPES = {
    "batch normalization, bfloat16": CNN.replace(model="deep_cnn", precision="bfloat16"),
    "epochs across passes": CNN.replace(steps_per_epoch=3),
    "stopping": CNN.replace(patience=2, min_delta=0.05, epochs=8),
    "schedule": CNN.replace(optimizer="sgd", momentum=0.9, lr_step_size=2),
}


class Killed(Exception):
    pass


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_run_goes_on_to_the_same_bits(monkeypatch, tmp_path, recipe):
    whole, path, epochs = single.train_one(recipe, 1), tmp_path / "run.npz", []
    evaluate = single.evaluate

    def killed(*args):
        epochs.append(None)
        if len(epochs) == 3:  # two epochs are over, the third is not scored yet
            raise Killed
        return evaluate(*args)

    monkeypatch.setattr(single, "evaluate", killed)
    with pytest.raises(Killed):
        single.train_one(recipe, 1, path)
    monkeypatch.setattr(single, "evaluate", evaluate)
    fit, starts = single.keras.Model.fit, []

    def started(*args, **options):
        starts.append(options["initial_epoch"])
        return fit(*args, **options)

    monkeypatch.setattr(single.keras.Model, "fit", started)
    assert_equal(single.train_one(recipe, 1, path), whole)
    assert starts == [2]


def test_without_a_whole_file_a_run_begins_anew(tmp_path):
    recipe = CNN.replace(epochs=1)
    whole = single.train_one(recipe, 1)
    for number, content in enumerate([b"", b"PK\x03\x04 cut off"]):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(content)
        assert_equal(single.train_one(recipe, 1, path), whole)


def test_where_it_cannot_be_written_training_goes_on(tmp_path):
    (tmp_path / "file").write_text("no folder", "utf-8")
    with pytest.warns(UserWarning, match="no checkpoint of this epoch"):
        single.train_one(CNN.replace(epochs=2), 1, tmp_path / "file" / "run.npz")


@pytest.mark.parametrize("kind", ["stopping", "schedule"])
def test_a_longer_run_goes_on_from_a_shorter_ones_end(tmp_path, kind):
    path, short, long = tmp_path / "run.npz", *(RECIPES[kind].replace(epochs=n) for n in (1, 3))
    first, whole = single.train_one(short, 1, path), single.train_one(long, 1)
    assert_equal(single.train_one(long, 1, path), whole)
    assert_equal(single.train_one(long, 1, path), whole)  # trained and not yet stored
    assert_equal(single.train_one(short, 1, path), first)  # the file holds more epochs than it has


def test_a_run_that_ended_early_trains_no_further(monkeypatch, tmp_path):
    for ended in (
        CNN.replace(patience=1, min_delta=10.0, epochs=8),
        CNN.replace(optimizer="sgd", learning_rate=1e20),
    ):
        path = tmp_path / f"{ended.key}.npz"
        run = single.train_one(ended, 1, path)
        assert run.metrics["stop_epoch"] < ended.epochs
        monkeypatch.setattr(single.keras.Model, "fit", None)
        assert_equal(single.train_one(ended, 1, path), run)
        monkeypatch.undo()


SCRIPT = """
import sys
from fmnist_keras.recipe import Recipe
from fmnist_keras.runs import run

run(Recipe(**eval(sys.argv[1])), [0])
"""


def test_after_kill_9_the_study_goes_on(monkeypatch, tmp_path):
    recipe = CNN.replace(epochs=60)
    monkeypatch.setenv("FMNIST_RESULTS", str(tmp_path / "killed"))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, repr(recipe.model_dump())])
    path = condition(recipe).checkpoint(0)
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert path.exists()
    killed = run(recipe, [0]).curves
    assert not path.exists()
    monkeypatch.setenv("FMNIST_RESULTS", str(tmp_path / "whole"))
    whole = run(recipe, [0]).curves
    assert_frame_equal(*(c[c["metric"] != "seconds"] for c in (killed, whole)), check_exact=True)
