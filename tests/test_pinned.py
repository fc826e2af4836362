"""No setting of Keras or TensorFlow, wherever it was made, decides a run's numbers."""

import json
from contextlib import contextmanager

import pytest
from tensorflow.python.framework import config as internal

from fmnist_keras import data, fingerprint
from fmnist_keras.backend import keras, tf
from fmnist_keras.chapter import begin
from fmnist_keras.errors import UserError
from fmnist_keras.pinned import pin
from fmnist_keras.runs import run
from tests.test_runs import assert_equal
from tests.test_settings import python

HOSTILE = {
    "floatx": "float64", "image_data_format": "channels_first", "epsilon": 0.01,
    "max_epochs": 1, "max_steps_per_epoch": 1, "dtype_policy": "mixed_bfloat16",
}  # fmt: skip


def config() -> dict:
    return {name: getattr(keras.config, name)() for name in HOSTILE}


def configure(values: dict) -> None:
    for name, value in values.items():
        getattr(keras.config, f"set_{name}")(value)


@contextmanager
def hostile():
    """A notebook that has set what it can."""
    before = config()
    configure(HOSTILE)
    tf.config.run_functions_eagerly(True)
    tf.config.optimizer.set_jit(True)
    tf.config.experimental.enable_op_determinism()
    try:
        yield
        policy = config().pop("dtype_policy")
        assert {**config(), "dtype_policy": policy.name} == HOSTILE, "they are the user's again"
        assert tf.config.functions_run_eagerly()
        assert internal.is_op_determinism_enabled()
        assert tf.config.optimizer.get_jit() == "autoclustering"
    finally:
        tf.config.run_functions_eagerly(False)
        tf.config.optimizer.set_jit(False)
        internal.disable_op_determinism()
        configure(before)


@pytest.fixture
def cnn(small):
    return small.replace(model="deep_cnn", width_multiplier=0.125, optimizer="adam")


def mean_output(model, arrays):
    return {"mean_output": float(keras.ops.mean(model(arrays.parts["test"][0])))}


@pytest.mark.slow
def test_settings_of_a_notebook_decide_no_number(cnn, small, results_folder, monkeypatch):
    def learned(seed):
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("adam", "mse")
        seen = model.fit(keras.ops.ones((8, 2)), keras.ops.ones(8), epochs=3, verbose=0)
        return {"epochs": len(seen.epoch), "dtype": model.weights[0].dtype, "seconds": 0.0}

    def trained():
        recipes = [cnn, small.replace(batch_norm="after", dropout=0.2, optimizer="adam")]
        return run(recipes, [0], mean_output), run({}, [0], train=learned)

    plain = trained()
    monkeypatch.setenv("FMNIST_RESULTS", str(results_folder / "hostile"))
    with hostile():
        ours = trained()
    for one, other in zip(plain, ours, strict=True):
        assert_equal(one, other)
    assert list(ours[1].runs[["epochs", "dtype"]].iloc[0]) == [3, "float32"]


def test_what_a_chapter_computes_itself_has_plain_settings():
    before = config()
    configure(HOSTILE)
    try:
        begin("02_baseline", {"seeds": [0], "epochs": 2})
        found = config()
        assert found.pop("dtype_policy").name == found["floatx"] == "float32"
        assert found == {name: before[name] for name in found}
    finally:
        configure(before)


def test_what_cannot_be_pinned_is_refused_in_one_line(small, monkeypatch, results_folder):
    with monkeypatch.context() as patch:
        patch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 4)
        with pytest.raises(UserError, match=r"^tf.config.threading: 4 threads .*, not 1: restart"):
            run(small, [0])
    with monkeypatch.context() as patch:
        patch.setattr(tf.config.optimizer, "get_experimental_options", lambda: {"remapping": False})
        with pytest.raises(UserError, match=r"^tf.config.optimizer: {'remapping': False}: restart"):
            run(small, [0])
    for threads in ("0", "many", "-1"):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", threads)
        with pytest.raises(UserError, match=f"^TF_NUM_INTRAOP_THREADS = '{threads}': must be an "):
            pin()
    assert not list(results_folder.glob("runs/*"))


def test_a_switch_makes_other_runs(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    now = fingerprint.on_disk()
    assert all(now[family] != fingerprint.IMPORTED[family] for family in now)
    with pytest.raises(RuntimeError, match=r"such as XLA_FLAGS, was changed .* restart the kernel"):
        fingerprint.check_unchanged()


TRAIN = """
{first}
import json
from fmnist_keras.recipe import Recipe
from fmnist_keras.runs import run
sizes = {{"train_size": 300, "val_size": 300, "test_size": 300, "batch_size": 50, "epochs": 2}}
found = run(Recipe(**sizes, model="simple_cnn", width_multiplier=0.25), [0])
losses = found.curves[found.curves["metric"].str.endswith("loss")]
print(json.dumps([found.runs["fingerprint"][0], *losses["value"]]))
"""
IMPORTED = "import os; os.environ['KERAS_BACKEND'] = 'tensorflow'; import keras"
FILE = {
    "floatx": "float64",
    "image_data_format": "channels_first",
    "epsilon": 0.1,
    "backend": "jax",
}
CUT = {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1"}


@pytest.mark.slow
def test_what_surrounds_a_process_decides_no_number(tmp_path):
    folder = str(data.search_path()[data.load().source])

    def trained(first="", **environment):
        results = str(tmp_path / f"results-{len(list(tmp_path.iterdir()))}")
        environment |= {"FMNIST_DATA": folder, "FMNIST_RESULTS": results}
        done = python(TRAIN.format(first=first), tmp_path, **environment)
        return json.loads(done.stdout) if done.stdout else done.stderr

    plain = trained()
    assert len(plain) == 1 + 3 * 2
    (tmp_path / "keras.json").write_text(json.dumps(FILE), "utf-8")
    assert trained(IMPORTED, KERAS_HOME=str(tmp_path), **CUT) == plain
    (tmp_path / "keras.json").write_text(json.dumps({**FILE, "nnx_enabled": True}), "utf-8")
    assert trained(KERAS_HOME=str(tmp_path), **CUT) == plain
    assert trained(TF_ENABLE_ONEDNN_OPTS="0")[0] != plain[0]
    *_, line = trained(
        "import tensorflow as tf; tf.ones(1)", TF_NUM_INTRAOP_THREADS=""
    ).splitlines()
    assert "TensorFlow began to compute before fmnist_keras was imported" in line
