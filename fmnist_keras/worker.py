"""Who works on a run, and whether they still do.

A worker of this machine is asked for at the operating system. Of any other only its heartbeat is
known, and no two clocks are compared: whoever waits for a run counts, by a clock of his own, how
long its heartbeat has not moved.
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from pathlib import Path

import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from .errors import StorageError

BEAT_SECONDS, SILENT_SECONDS = 30, 300
"""A heartbeat every 30 s; others take over what was silent for 5 minutes."""


def _machine() -> str:
    """What no other machine or container has, until the next start: process ids mean something
    here alone. A host name would not do, since copies of a machine share it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return f"{uuid.getnode():x}"


MACHINE = _machine()
_working: set[str] = set()  # the claims that this process is at


class Worker:
    """One claim on some trials, with a heartbeat while the block runs. Optuna's own heartbeat
    covers neither journal files nor trials outside ``optimize()``.

    ``identity`` is stored with each trial from its creation on; ``trial_ids`` are those that the
    heartbeat marks. One that others have taken over is left to them.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self.storage, self.trial_ids = storage, []
        self.claim = uuid.uuid4().hex
        self.identity = {"machine": MACHINE, "host": socket.gethostname(), "pid": os.getpid()}
        self.identity["claim"] = self.claim
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def made(self, trial: FrozenTrial) -> bool:
        """Whether this worker created the trial."""
        return trial.user_attrs.get("worker", {}).get("claim") == self.claim

    def _beat(self) -> None:
        number = 0
        while not self.done.wait(BEAT_SECONDS):
            number += 1
            for trial_id in self.trial_ids:
                # One that was taken over, or storage that is away, the training itself will notice.
                with contextlib.suppress(UpdateFinishedTrialError, StorageError):
                    self.storage.set_trial_user_attr(trial_id, "beat", number)

    def __enter__(self) -> "Worker":
        _working.add(self.claim)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        _working.discard(self.claim)


class Watch:
    """Follows the heartbeats of others' trials."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[object, float]] = {}

    def alive(self, trial: FrozenTrial) -> bool:
        """Whether the worker of a running trial still works on it."""
        worker = trial.user_attrs.get("worker", {})
        if worker.get("machine") == MACHINE and not _exists(worker):
            return False
        beat, now = trial.user_attrs.get("beat"), time.monotonic()
        if trial.number not in self.seen or self.seen[trial.number][0] != beat:
            self.seen[trial.number] = beat, now
        return now - self.seen[trial.number][1] < SILENT_SECONDS


def _exists(worker: dict) -> bool:
    """Whether a worker of this machine is still there."""
    if worker["pid"] == os.getpid():
        return worker["claim"] in _working
    try:
        return psutil.Process(worker["pid"]).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
