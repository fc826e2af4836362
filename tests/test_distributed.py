"""Several workers and hard faults, with real processes and a real PostgreSQL: ``make
test-distributed``. Nothing is lost, nothing is trained twice, and one line says what is wrong."""

import collections
import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import pytest
from fmnist_keras.experiment import Study
from optuna.trial import TrialState
from pandas.testing import assert_frame_equal
from tests.test_experiment import comparable

pytestmark = pytest.mark.distributed
BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
PATIENCE = 180  # seconds for a process of our own
SILENT = 4  # seconds after which a worker elsewhere counts as dead, here


# A PostgreSQL of our own


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A PostgreSQL on the loopback, in a temporary folder, for one test module."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.names = folder, port, 0

    def pg(self, command: str, *arguments: str) -> None:
        user = {"user": "postgres"} if os.geteuid() == 0 else {}  # it refuses to run as root
        subprocess.run(
            [BINARIES / command, "-D", self.folder / "data", *arguments],
            cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **user,
        )  # fmt: skip

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        self.pg("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self.pg("pg_ctl", "-w", "-m", mode, "stop")

    def url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        """The URL of a new database, empty."""
        import psycopg

        self.names += 1
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE test{self.names}")
        return self.url(f"test{self.names}")


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("psycopg", reason="no driver: pip install -r requirements-postgresql.txt")
    if BINARIES is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="fmnist-postgresql-"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    found = Cluster(folder, free_port())
    try:
        found.pg("initdb", "-U", "postgres", "-A", "trust", "--no-sync")
        found.start()
        yield found
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            found.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture
def database(cluster):
    return cluster.database()


# Workers


WORKER = """
import os, pathlib, sys, time, types
import fmnist_keras
from fmnist_keras import provenance, storage, worker
from fmnist_keras.experiment import Study
from fmnist_keras.recipe import Recipe

folder, url, seeds, seconds, silent, patience = pathlib.Path(sys.argv[1]), *sys.argv[2:]
worker.BEAT_SECONDS, worker.SILENT_SECONDS = float(silent) / 8, float(silent)
storage.PATIENCE_SECONDS = float(patience)

def train(recipe, seeds, checkpoint):
    (seed,) = seeds
    with open(folder / "trained", "a") as file:
        print(seed, file=file)
    print("training", seed, os.getpid(), flush=True)
    time.sleep(float(seconds))
    metrics, curves = {"val_accuracy": seed / 100, "seconds": 1.0}, {"val_accuracy": [seed / 100]}
    return [types.SimpleNamespace(metrics=metrics, curves=curves, model=None)]

fmnist_keras.training = types.SimpleNamespace(train=train, worth_stacking=lambda recipe: False)
provenance.current = lambda: {"versions": "", "backend": "", "device": ""}
while not (folder / "go").exists():
    time.sleep(0.001)
study = Study("shared", seeds=list(range(int(seeds))), storage=url)
print(study.run(Recipe(model="simple_cnn")).runs["val_accuracy"].tolist())
"""
APART = ["unshare", "--pid", "--fork", "--kill-child"]


def start(folder, url, seeds, seconds=0.05, silent=300, patience=60, apart=False):
    """A worker at the study "shared", whose training is a formula; ``apart``: among processes of
    its own, as in a container, where numbers of processes mean something else."""
    arguments = map(str, (folder, url, seeds, seconds, silent, patience))
    command = [*APART * apart, sys.executable, "-c", WORKER, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def go(folder):
    (folder / "go").touch()


def in_training(process):
    """Wait until a worker trains; return its seed and the process number that it sees."""
    word, seed, pid = process.stdout.readline().split()
    assert word == "training"
    return int(seed), int(pid)


def finish(process, seeds):
    """Wait for a worker's end; it must have all results and nothing to complain of."""
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert output.splitlines()[-1] == str([seed / 100 for seed in range(seeds)])
    assert "Traceback" not in errors
    return errors


def trained(folder):
    return sorted(int(seed) for seed in (folder / "trained").read_text().split())


def states(url, seeds):
    """How many trials are in each state; each run must be complete once."""
    trials = optuna.load_study(study_name="shared", storage=url).trials
    complete = collections.Counter(
        trial.user_attrs["seed"] for trial in trials if trial.state == TrialState.COMPLETE
    )
    assert complete == dict.fromkeys(range(seeds), 1)
    return collections.Counter(trial.state.name for trial in trials)


needs_namespaces = pytest.mark.skipif(
    subprocess.run([*APART, "true"], capture_output=True).returncode != 0,
    reason="processes cannot be set apart here: unshare needs root",
)


@pytest.mark.parametrize("attempt", range(4))
def test_two_workers_begin_with_an_empty_database(tmp_path, database, attempt):
    workers = [start(tmp_path, database, seeds=12) for _ in range(2)]
    time.sleep(3)
    go(tmp_path)
    for worker in workers:
        finish(worker, seeds=12)
    assert trained(tmp_path) == list(range(12))
    assert set(states(database, 12)) <= {"COMPLETE", "FAIL"}  # nothing waits, nothing runs


def test_a_killed_worker_is_taken_over_at_once_on_its_machine(tmp_path, database):
    go(tmp_path)
    first = start(tmp_path, database, seeds=4, seconds=30)
    seed, _ = in_training(first)
    first.kill()
    first.communicate()
    finish(start(tmp_path, database, seeds=4), seeds=4)
    assert trained(tmp_path) == sorted([*range(4), seed])
    assert states(database, 4) == {"COMPLETE": 4, "FAIL": 1}


@needs_namespaces
def test_a_killed_worker_is_taken_over_from_another_machine_after_silence(tmp_path, database):
    go(tmp_path)
    first = start(tmp_path, database, seeds=2, seconds=30, silent=SILENT, apart=True)
    in_training(first)
    first.kill()
    first.communicate()
    began = time.monotonic()
    finish(start(tmp_path, database, seeds=2, silent=SILENT), seeds=2)
    assert time.monotonic() - began > SILENT
    assert states(database, 2) == {"COMPLETE": 2, "FAIL": 1}


@needs_namespaces
def test_machines_of_one_name_do_not_take_each_other_for_dead(tmp_path, database):
    go(tmp_path)
    workers = [start(tmp_path, database, 10, seconds=0.5, apart=True) for _ in range(2)]
    pids = {in_training(worker)[1] for worker in workers}
    assert len(pids) == 1  # the same host name and the same process number
    for worker in workers:
        finish(worker, seeds=10)
    assert trained(tmp_path) == list(range(10))


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=needs_namespaces)])
def test_a_worker_that_was_paused_and_overtaken_yields(tmp_path, database, apart):
    go(tmp_path)
    first = start(tmp_path, database, seeds=3, seconds=2, silent=SILENT)
    seed, pid = in_training(first)
    os.kill(pid, signal.SIGSTOP)
    finish(start(tmp_path, database, seeds=3, silent=SILENT, apart=apart), seeds=3)
    os.kill(pid, signal.SIGCONT)
    assert finish(first, seeds=3) == ""
    assert trained(tmp_path) == sorted([*range(3), seed])
    assert states(database, 3) == {"COMPLETE": 3, "FAIL": 1}


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_restarts_is_waited_for(tmp_path, cluster, database, mode):
    go(tmp_path)
    worker = start(tmp_path, database, seeds=8, seconds=0.5, silent=SILENT)
    in_training(worker)
    cluster.stop(mode)
    time.sleep(2)
    cluster.start()
    errors = finish(worker, seeds=8)
    assert "does not answer (" in errors
    assert trained(tmp_path) == list(range(8))
    assert states(database, 8)["COMPLETE"] == 8


def test_a_database_that_stays_away_is_one_line_and_nothing_is_lost(tmp_path, cluster, database):
    go(tmp_path)
    worker = start(tmp_path, database, seeds=4, seconds=1, patience=2)
    in_training(worker)
    in_training(worker)  # the first run is stored
    cluster.stop()
    try:
        _, errors = worker.communicate(timeout=PATIENCE)
    finally:
        cluster.start()
    assert worker.returncode == 1
    lines = errors.splitlines()
    assert lines[-1].startswith(f"StorageError: {database} does not answer (")
    assert lines[-1].endswith("once it does, the same command goes on")
    assert "Traceback" not in errors
    finish(start(tmp_path, database, seeds=4), seeds=4)
    assert trained(tmp_path) == [0, 1, 1, 2, 3]


PROXY = """
import sys, optuna
from optuna.storages import RDBStorage, run_grpc_proxy_server
run_grpc_proxy_server(RDBStorage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
"""


def test_the_grpc_proxy_shares_runs_and_may_restart(tmp_path, database):
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-c", PROXY, database, str(port)]
    proxy = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        go(tmp_path)
        url = f"grpc://127.0.0.1:{port}"
        workers = [start(tmp_path, url, seeds=10, seconds=0.5) for _ in range(2)]
        for worker in workers:
            in_training(worker)
        proxy.kill()
        proxy.wait()
        time.sleep(1)
        proxy = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for worker in workers:
            finish(worker, seeds=10)
    finally:
        proxy.kill()
        proxy.wait()
    assert trained(tmp_path) == list(range(10))
    assert states(database, 10)["COMPLETE"] == 10


# Real training


REAL = """
import sys
from fmnist_keras import training
from fmnist_keras.experiment import Study
from fmnist_keras.recipe import Recipe

url, count = sys.argv[1], int(sys.argv[2])
base = Recipe(train_size=480, val_size=500, test_size=500, batch_size=80, epochs=2)

def announced(recipe, seeds, checkpoint, train=training.train):
    print("training", flush=True)
    return train(recipe, seeds, checkpoint)

training.train = announced
rates = [0.5 / (number + 1) for number in range(count)]
Study("real", seeds=[0, 1], storage=url).run(base.grid(learning_rate=rates))
"""


def real(url, count):
    return subprocess.Popen(
        [sys.executable, "-c", REAL, url, str(count)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def real_results(small, url, count):
    base = small.but(train_size=480, batch_size=80)
    recipes = base.grid(learning_rate=[0.5 / (number + 1) for number in range(count)])
    return Study("real", seeds=[0, 1], storage=url).run(recipes)


def test_two_workers_give_the_numbers_of_one_to_the_bit(small, database):
    workers = [real(database, 6) for _ in range(2)]
    for worker in workers:
        _, errors = worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 0, errors
    assert real(database, 6).communicate()[0] == ""  # all is there
    shared, alone = (comparable(real_results(small, url, 6)) for url in (database, ""))
    for one, other in zip(shared, alone, strict=True):
        assert_frame_equal(one, other, check_exact=True)


def test_twenty_kills_in_the_middle_of_training_change_no_number(
    small, results_folder, monkeypatch
):
    chance, kills = random.Random(0), 20
    for number in range(kills):
        worker = real("", number + 2)  # there is always something to train
        assert worker.stdout.readline() == "training\n", worker.stderr.read()
        time.sleep(chance.uniform(0, 2))
        assert worker.poll() is None or worker.returncode == 0
        worker.kill()
        worker.communicate()
    killed = comparable(real_results(small, "", kills + 1))
    monkeypatch.setenv("FMNIST_RESULTS", str(results_folder / "elsewhere"))
    undisturbed = comparable(real_results(small, "", kills + 1))
    for one, other in zip(killed, undisturbed, strict=True):
        assert_frame_equal(one, other, check_exact=True)
