"""Storage that is not well: one line says what is wrong, and nothing stored is lost or guessed."""

import os
import subprocess
import sys
import time

import pytest

from fmnist_keras import training
from fmnist_keras.errors import StorageError
from fmnist_keras.experiment import Study
from fmnist_keras.search import log_uniform, search
from fmnist_keras.storage import open_storage
from scripts.repair import main as repair

SEEDS = [0, 1, 2, 3]


def message(function, *args, **options):
    """The one line of the StorageError that the call must raise."""
    with pytest.raises(StorageError) as caught:
        function(*args, **options)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


@pytest.fixture
def trained(monkeypatch):
    """Put a formula in the place of training; return the list of (learning rate, seed) trained."""
    calls = []

    def train(recipe, seeds, checkpoint):
        calls.extend((recipe.learning_rate, seed) for seed in seeds)
        value = -abs(recipe.learning_rate - 0.1)
        metrics = {"val_accuracy": value, "seconds": 1.0}
        return [training.Run(metrics, {"val_accuracy": [value]}, None) for _ in seeds]

    monkeypatch.setattr(training, "train", train)
    return calls


@pytest.fixture
def journal(small, trained, results_folder):
    """A journal file with four runs; ``trained`` is empty again."""
    Study("kept", seeds=SEEDS).run(small)
    trained.clear()
    return results_folder / "kept.journal"


# A journal that was damaged


def insert(line):
    """A damage: another line in the middle of the file."""
    return lambda lines: [*lines[:5], line, *lines[5:]]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (insert(b"garbage\n"), "line 6: is damaged"),
        (insert(b"\n"), "line 6: is damaged"),
        (insert(b"\xff\x00\xfe\n"), "line 6: is damaged"),
        (insert(b"5\n"), "line 6: is damaged"),
        (insert(b"{}\n"), "line 6: is damaged"),
        (insert(b"[" * 100_000 + b"\n"), "line 6: is damaged"),
        (insert(b'{"op_code": 99, "worker_id": "x"}\n'), "contradict each other"),
        (insert(b'{"op_code": 8, "worker_id": "x"}\n'), "contradict each other"),
        (lambda lines: [*lines, b"more\n"], "is damaged"),
        (lambda lines: [lines[0][:-9] + b"\n", *lines[1:]], "line 1: is damaged"),
        (lambda lines: [bytes(len(lines[0]) - 1) + b"\n", *lines[1:]], "line 1: is damaged"),
        (lambda lines: [b"".join(lines)[: len(b"".join(lines)) // 2]], "was cut: it holds"),
        (lambda lines: lines[: len(lines) // 2], "was cut: it holds"),
        (lambda lines: [], "was cut: it holds 0 of"),
    ],
)
def test_a_damaged_journal_is_refused_and_repaired(journal, small, trained, damage, says, capsys):
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(damage(lines)))
    text = message(Study, "kept", seeds=SEEDS)
    assert text.startswith(str(journal))
    assert says in text
    assert "`make repair`" in text
    whole = sum(b'"result":' in line for line in damage(lines) if line.endswith(b"\n"))
    repair(str(journal))
    assert f"{whole} runs kept" in capsys.readouterr().out
    assert len(Study("kept", seeds=SEEDS).run(small).runs) == 4
    assert len(trained) == 4 - whole
    assert journal.with_name("kept.journal.damaged").exists()
    repair(str(journal))
    assert "is whole" in capsys.readouterr().out


def test_a_run_never_gets_the_numbers_of_another(small, trained, results_folder, capsys):
    rates = [0.1, 0.2, 0.3]
    first = Study("kept", seeds=[0]).run(small.grid(learning_rate=rates)).runs
    path = results_folder / "kept.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    created = next(i for i, line in enumerate(lines) if b'"learning_rate":0.1' in line)
    lines[created] = b"the trials after this one would have other numbers now\n"
    path.write_bytes(b"".join(lines))
    repair(str(path))
    again = Study("kept", seeds=[0]).run(small.grid(learning_rate=rates)).runs
    assert again["val_accuracy"].tolist() == first["val_accuracy"].tolist()


def test_a_repaired_search_goes_on_without_training(small, trained, results_folder):
    space = {"learning_rate": log_uniform(0.01, 1.0)}
    before = search(Study("kept", seeds=[0]), small, trials=4, **space).trials()
    path = results_folder / "kept.journal"
    path.write_bytes(b"garbage\n" + path.read_bytes())
    repair(str(path))
    trained.clear()
    after = search(Study("kept", seeds=[0]), small, trials=5, **space).trials()
    assert after["learning_rate"].tolist()[:4] == before["learning_rate"].tolist()
    assert len(trained) == 1


def test_a_deleted_journal_is_no_damaged_one(journal, small, trained):
    journal.unlink()
    Study("kept", seeds=SEEDS).run(small)
    assert len(trained) == 4


# A lock


HOLD = """
import os, sys, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def holder(journal):
    """A process that holds the journal's lock until it is killed."""
    command = [sys.executable, "-c", HOLD, f"{journal}.flock"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_the_lock_of_a_killed_process_is_free_at_once(journal, small, trained):
    process = holder(journal)
    process.kill()
    process.communicate()
    began = time.monotonic()
    Study("kept", seeds=SEEDS).run(small.but(epochs=3))
    assert time.monotonic() - began < 3
    assert len(trained) == 4


def test_waiting_for_a_lock_is_said(journal, small, trained, capsys):
    process = holder(journal)
    subprocess.Popen(["sh", "-c", f"sleep 5; kill -9 {process.pid}"])
    Study("kept", seeds=SEEDS).run(small.but(epochs=3))
    process.communicate()
    assert "is locked by another process; waiting" in capsys.readouterr().err
    assert len(trained) == 4


# A folder that cannot be written


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from fmnist_keras.experiment import Study
from fmnist_keras.recipe import Recipe
study = Study("kept", seeds=[0])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
study.run(Recipe(train_size=200, val_size=500, test_size=500, batch_size=100, epochs=2))
"""


def test_a_disk_that_is_full_leaves_nothing_half_written(journal, small, trained):
    before = journal.read_bytes()
    room = len(before) + 300  # less than an entry
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(room)], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"StorageError: {journal}: File too large; free space there")
    assert journal.read_bytes().startswith(before)
    assert journal.read_bytes().endswith(b"\n")
    assert len(Study("kept", seeds=SEEDS).run(small).runs) == 4
    assert trained == []


def test_a_file_in_the_place_of_the_folder(results_folder):
    results_folder.write_text("")
    text = message(Study, "kept", seeds=SEEDS)
    assert text.startswith(f"{results_folder}: ")
    assert "move the file" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(results_folder):
    results_folder.mkdir(mode=0o500)
    text = message(Study, "kept", seeds=SEEDS)
    assert text.startswith(f"{results_folder}/kept.journal")
    assert "make the folder writable" in text


# A URL


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "STORAGE = 'nonsense': is no storage URL; such are postgresql://"),
        ("results.db", "STORAGE = 'results.db': is no storage URL"),
        ("nosuch://host/database", "STORAGE = 'nosuch://host/database': is no storage URL"),
        ("nosuch://me:secret@host/database", "STORAGE = 'nosuch://me:***@host/database'"),
        ("redis://host", "is no storage URL"),
        ("grpc://", "STORAGE = 'grpc://': must be like grpc://host:13000"),
        ("grpc://host:port", "STORAGE = 'grpc://host:port': must be like"),
        ("sqlite:////nowhere/at/all.db", "sqlite:////nowhere/at/all.db: unable to open"),
        ("mysql://me:secret@host/database", "driver is not installed"),
    ],
)
def test_a_url_that_does_not_do(url, says, monkeypatch):
    assert says in message(open_storage, url, "name")
    assert "secret" not in message(open_storage, url, "name")
    monkeypatch.setenv("FMNIST_STORAGE", url)
    assert says in message(Study, "name", seeds=[0])


def test_a_database_that_is_not_there_is_waited_for(monkeypatch, capsys):
    monkeypatch.setattr("fmnist_keras.storage.OPENING_SECONDS", 1)
    pytest.importorskip("psycopg")
    text = message(open_storage, "postgres://me:secret@127.0.0.1:9/database", "name")
    assert text.startswith("postgresql://me:***@127.0.0.1:9/database does not answer (")
    assert text.endswith("once it does, the same command goes on")
    assert "trying again for 1 s" in capsys.readouterr().err


def test_a_proxy_that_is_not_there(monkeypatch):
    monkeypatch.setattr("fmnist_keras.storage.OPENING_SECONDS", 1)
    assert "does not answer" in message(open_storage, "grpc://127.0.0.1:9", "name")
