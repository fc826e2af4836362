"""Several machines, with a scheduler and workers of our own: ``make test-distributed``. The same
frames come out as without them, and whatever dies costs what was training alone."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from fmnist_keras import registry
from fmnist_keras.backend import keras
from fmnist_keras.errors import StorageError
from fmnist_keras.runs import run
from tests.test_runs import assert_equal

pytestmark = pytest.mark.distributed
ROOT = Path(__file__).resolve().parents[1]
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


def locally(monkeypatch, results_folder):
    monkeypatch.delenv("FMNIST_OPTIONS")
    monkeypatch.setenv("FMNIST_RESULTS", str(results_folder / "locally"))


@pytest.fixture
def slow(tmp_path):
    """A function, as of a notebook cell, that notes when it begins and takes a while."""
    log = tmp_path / "log"

    def slow(seed, log, seconds):
        import os
        import time

        with open(log, "a") as file:
            print(seed, os.getpid(), file=file)
        time.sleep(seconds)
        return {"value": float(seed)}

    def begun():
        return [tuple(map(int, line.split())) for line in log.read_text().splitlines()]

    def until(number):
        deadline = time.monotonic() + PATIENCE
        while not log.exists() or len(begun()) < number:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return begun()

    settings = {"log": str(log), "seconds": 0.3}
    return types.SimpleNamespace(train=slow, settings=settings, until=until)


def in_background(function):
    """Call a function in a thread; the answer waits for it and returns or raises what it did."""
    answer = {}

    def call():
        try:
            answer["value"] = function()
        except BaseException as error:
            answer["error"] = error

    thread = threading.Thread(target=call, daemon=True)
    thread.start()

    def wait():
        thread.join(PATIENCE)
        if "error" in answer:
            raise answer["error"]
        return answer["value"]

    return wait


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
    assert run(recipes, [3], diagnose=None).runs["seed"].tolist() == [3] * 4
    locally(monkeypatch, results_folder)
    assert_equal(shared, run(recipes, list(range(7))))
    assert shared.runs["parameters"].iloc[-1] == 785 * 6 + 7 * 5 + 6 * 10


def test_a_killed_workers_runs_are_trained_by_another(worker, slow):
    workers = [worker(), worker()]
    wait = in_background(lambda: run(slow.settings, list(range(8)), train=slow.train))
    slow.until(3)
    workers[0].kill()
    assert wait().runs["value"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    begun = [seed for seed, _ in slow.until(8)]
    assert set(begun) == set(range(8))
    assert len(begun) <= 9, "only what died is trained again"


def test_a_notebook_that_joins_late_shares_what_is_in_flight(worker, slow, results_folder):
    worker()
    first = in_background(lambda: run(slow.settings, list(range(6)), train=slow.train))
    slow.until(2)
    second = in_background(lambda: run(slow.settings, list(range(6)), train=slow.train))
    assert first().runs["value"].tolist() == second().runs["value"].tolist()
    assert sorted(seed for seed, _ in slow.until(6)) == list(range(6))


def test_a_scheduler_that_goes_away_is_one_line_and_what_is_finished_is_kept(
    worker, scheduler, slow, monkeypatch, results_folder
):
    worker()
    wait = in_background(lambda: run(slow.settings, list(range(20)), train=slow.train))
    slow.until(4)
    scheduler[0].kill()
    with pytest.raises(
        StorageError, match=r"^SCHEDULER = .* does not answer .* goes on$"
    ) as caught:
        wait()
    assert "\n" not in str(caught.value)
    kept = len(list((results_folder / "runs").iterdir()))
    assert 2 <= kept < 20
    monkeypatch.delenv("FMNIST_OPTIONS")
    before = len(slow.until(4))
    assert len(run(slow.settings, list(range(20)), train=slow.train).runs) == 20
    assert len(slow.until(20)) - before == 20 - kept


def test_no_scheduler_is_one_line(monkeypatch, slow):
    for address, line in [
        ("tcp://127.0.0.1:9", "does not answer"),
        ("here", "must be like tcp://"),
    ]:
        monkeypatch.setenv("FMNIST_OPTIONS", json.dumps({"scheduler": address}))
        monkeypatch.setattr("fmnist_keras.cluster.SECONDS", 2)
        with pytest.raises(StorageError, match=f"^SCHEDULER = '{address}'.*{line}"):
            run(slow.settings, [0], train=slow.train)


def test_a_worker_of_other_code_refuses_in_one_line(processes, scheduler, slow, tmp_path):
    shutil.copytree(ROOT / "fmnist_keras", tmp_path / "other" / "fmnist_keras")
    with (tmp_path / "other" / "fmnist_keras" / "data.py").open("a") as file:
        file.write("\nEDITED = True\n")
    process = processes(
        "-m", "fmnist_keras.cluster", scheduler[1], cwd=tmp_path / "other",
        FMNIST_RESULTS=str(tmp_path / "worker"), PYTHONPATH=str(tmp_path / "other"),
    )  # fmt: skip
    assert process.stdout.readline().startswith("working for")
    with pytest.raises(StorageError, match=r"has other code or libraries .fingerprint") as caught:
        run(slow.settings, [0], train=slow.train)
    assert "\n" not in str(caught.value)
