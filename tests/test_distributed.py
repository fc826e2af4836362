"""Several machines, with a scheduler and workers of our own: ``make test-distributed``. The same
frames come out as without them, and whatever dies costs what was training alone."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from fmnist_keras import registry
from fmnist_keras.backend import keras
from fmnist_keras.errors import StorageError
from fmnist_keras.runs import run
from fmnist_keras.settings import ROOT
from tests.test_runs import assert_equal

pytestmark = pytest.mark.distributed
SCHEDULER = """
import asyncio, sys, distributed
async def serve():
    async with distributed.Scheduler(host="127.0.0.1", port=int(sys.argv[1]), dashboard=False) as s:
        await s.finished()
asyncio.run(serve())
"""
PATIENCE = 120  # seconds for a process of our own


@pytest.fixture
def processes():
    """Start processes that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*command, cwd=ROOT, **environment):
            process = subprocess.Popen(
                [sys.executable, *map(str, command)], cwd=cwd, env=os.environ | environment,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def scheduler(processes, monkeypatch):
    """A scheduler, which runs are sent to; its process and address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    process = processes("-c", SCHEDULER, port)
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.1)
    monkeypatch.setenv("FMNIST_OPTIONS", json.dumps({"scheduler": address}))
    return process, address


@pytest.fixture
def worker(processes, scheduler, tmp_path):
    """Start workers, each with a results folder of its own, as on another machine."""
    numbers = iter(range(9))

    def start():
        results = tmp_path / f"worker {next(numbers)}"
        process = processes("-m", "fmnist_keras.cluster", scheduler[1], FMNIST_RESULTS=str(results))
        said = process.stdout.readline()
        assert said.startswith("working for"), said
        return process

    return start


@pytest.fixture
def slow(tmp_path):
    """A function, as of a notebook cell, that notes when and where it begins and takes a while."""
    log = tmp_path / "log"

    def slow(seed, log, seconds):
        import os
        import time

        with open(log, "a", encoding="utf-8") as file:
            print(seed, os.getppid(), file=file)  # a worker is the parent of what trains for it
        time.sleep(seconds)
        return {"value": float(seed)}

    def until(number):
        """Wait until so many have begun; return their seeds and workers."""
        deadline = time.monotonic() + PATIENCE
        while not log.exists() or len(lines := log.read_text("utf-8").splitlines()) < number:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return [tuple(map(int, line.split())) for line in lines]

    settings = {"log": str(log), "seconds": 0.3}

    def train(count):
        """Train so many seeds; return the values."""
        return run(settings, list(range(count)), train=slow).runs["value"].tolist()

    return types.SimpleNamespace(train=train, until=until)


@pytest.fixture
def in_background():
    """Call functions in threads."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit


def test_the_same_frames_to_the_bit_and_an_architecture_of_a_cell(
    small, worker, monkeypatch, results_folder
):
    monkeypatch.setattr(registry, "architectures", dict(registry.architectures))
    widths = [6, 5]

    @registry.architecture
    def of_a_cell(recipe):
        return [keras.layers.Flatten(), *[keras.layers.Dense(width) for width in widths]]

    base = small.replace(train_size=480, batch_size=80)
    recipes = [base, base.replace(dropout=0.5, optimizer="adam")]
    recipes += [base.replace(model=name, epochs=1) for name in ("simple_cnn", "of_a_cell")]
    for _ in range(2):
        worker()
    shared = run(recipes, list(range(7)))
    monkeypatch.delenv("FMNIST_OPTIONS")
    monkeypatch.setenv("FMNIST_RESULTS", str(results_folder / "locally"))
    assert_equal(shared, run(recipes, list(range(7))))
    assert shared.runs["parameters"].iloc[-1] == 785 * 6 + 7 * 5 + 6 * 10


def children(pid: int) -> list[int]:
    return [
        child.pid
        for child in psutil.Process(pid).children()
        if "spawn_main" in str(child.cmdline())
    ]


def test_a_killed_workers_runs_are_trained_by_another(worker, slow, in_background):
    workers = [worker(), worker()]
    values = in_background(slow.train, 8)
    slow.until(3)
    trains = children(workers[0].pid)
    workers[0].kill()
    assert values.result(PATIENCE) == list(range(8))
    begun = slow.until(8)
    assert {seed for seed, _ in begun} == set(range(8))
    lost = [where for at, (seed, where) in enumerate(begun) if seed in dict(begun[at + 1 :])]
    assert set(lost) <= {workers[0].pid}, "only what died is trained again"
    assert len(lost) <= 2, "at most what it trained, and what it had trained but not yet sent"
    assert trains, "it has a process that trains"
    assert not any(map(psutil.pid_exists, trains)), "which ends with it"


def test_a_notebook_that_joins_late_shares_what_is_in_flight(worker, slow, in_background):
    worker()
    first = in_background(slow.train, 6)
    slow.until(2)
    second = in_background(slow.train, 6)
    assert first.result(PATIENCE) == second.result(PATIENCE) == list(range(6))
    assert sorted(seed for seed, _ in slow.until(6)) == list(range(6))


def test_a_scheduler_that_goes_away_is_one_line_and_what_is_finished_is_kept(
    worker, scheduler, slow, in_background, monkeypatch, results_folder
):
    worker()
    values = in_background(slow.train, 20)
    slow.until(4)
    scheduler[0].kill()
    with pytest.raises(StorageError, match=r"^SCHEDULER = .* does not answer .* goes on$"):
        values.result(PATIENCE)
    kept = len(list((results_folder / "runs").iterdir()))
    assert 2 <= kept < 20
    monkeypatch.delenv("FMNIST_OPTIONS")
    assert slow.train(20) == list(range(20))
    assert [where for _, where in slow.until(20)].count(os.getppid()) == 20 - kept


@pytest.mark.parametrize(
    ("address", "line"),
    [("tcp://127.0.0.1:9", "does not answer"), ("here", "missing port number")],
)
def test_no_scheduler_is_one_line(monkeypatch, slow, address, line):
    monkeypatch.setenv("FMNIST_OPTIONS", json.dumps({"scheduler": address}))
    monkeypatch.setattr("fmnist_keras.cluster.SECONDS", 2)
    with pytest.raises(StorageError, match=f"^SCHEDULER = '{address}'.*{line}"):
        slow.train(1)


def test_a_worker_of_other_code_refuses_in_one_line(processes, scheduler, slow, tmp_path):
    shutil.copytree(ROOT / "fmnist_keras", tmp_path / "other" / "fmnist_keras")
    with (tmp_path / "other" / "fmnist_keras" / "data.py").open("a", encoding="utf-8") as file:
        file.write("\nEDITED = True\n")
    process = processes(
        "-m", "fmnist_keras.cluster", scheduler[1], cwd=tmp_path / "other",
        FMNIST_RESULTS=str(tmp_path / "worker"), PYTHONPATH=str(tmp_path / "other"),
    )  # fmt: skip
    assert process.stdout.readline().startswith("working for")
    with pytest.raises(StorageError, match="has other code, libraries or switches") as caught:
        slow.train(1)
    assert "\n" not in str(caught.value)
