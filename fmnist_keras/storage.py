"""Where runs are kept: Optuna storage, safe against killed processes, and who works on what."""

import os
import socket
import threading
import time
from pathlib import Path

import optuna
import psutil
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial

ROOT = Path(__file__).resolve().parents[1]
BEAT_SECONDS, SILENT_SECONDS = 30, 300
"""A heartbeat every 30 s; another machine takes over what was silent for 5 minutes."""


def open_storage(url: str, name: str) -> BaseStorage:
    """Optuna storage at ``url``; when it is empty at the one that the environment variable
    FMNIST_STORAGE names, or else the journal file of the study ``name``."""
    url = url or os.environ.get("FMNIST_STORAGE", "")
    if url.startswith("grpc://"):
        host, _, port = url.removeprefix("grpc://").partition(":")
        return optuna.storages.GrpcStorageProxy(host=host, port=int(port or 13000))
    if url:
        return optuna.storages.get_storage(url)
    folder = Path(os.environ.get("FMNIST_RESULTS", ROOT / "results"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.journal"
    _drop_partial_line(path)
    return JournalStorage(JournalFileBackend(str(path)))


def _drop_partial_line(path: Path) -> None:
    """Drop a last line that a killed process left half written: it would spoil the next one."""
    if not path.exists():
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        text = path.read_bytes()
        if not text.endswith(b"\n"):
            os.truncate(path, text.rfind(b"\n") + 1)
    finally:
        lock.release()


class Heartbeat:
    """Marks trials as ours, again and again while the block runs, so that others let them be.
    Optuna's own heartbeat covers neither journal files nor trials outside ``optimize()``."""

    def __init__(self, storage: BaseStorage, trial_ids: list[int]) -> None:
        self.storage, self.trial_ids = storage, trial_ids
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def _mark(self) -> None:
        me = psutil.Process()
        worker = {"host": socket.gethostname(), "pid": me.pid, "born": me.create_time()}
        for trial_id in self.trial_ids:
            self.storage.set_trial_user_attr(trial_id, "worker", {**worker, "at": time.time()})

    def _beat(self) -> None:
        while not self.done.wait(BEAT_SECONDS):
            self._mark()

    def __enter__(self) -> None:
        self._mark()
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()


def alive(trial: FrozenTrial) -> bool:
    """Whether the worker whose heartbeat a running trial shows still works."""
    worker = trial.user_attrs.get("worker")
    if worker is None:  # claimed, no heartbeat yet: give it a moment
        return time.time() - trial.datetime_start.timestamp() < 10
    if worker["host"] != socket.gethostname():
        return time.time() - worker["at"] < SILENT_SECONDS
    try:
        process = psutil.Process(worker["pid"])
        return process.create_time() == worker["born"] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
