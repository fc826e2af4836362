"""Optuna's journal file, kept whole: a lock that ends with its process, and a length to compare."""

import json
import os
import sys
from pathlib import Path

import filelock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from .errors import StorageError


class _Lock:
    """A file lock that ends with the process that holds it, however that ends."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, filelock.FileLock(f"{path}.flock")

    def acquire(self) -> bool:
        try:
            self.lock.acquire(timeout=3)
        except filelock.Timeout:
            say(f"{self.path} is locked by another process; waiting for a minute at most")
            try:
                self.lock.acquire(timeout=57)
            except filelock.Timeout:
                raise StorageError(
                    f"{self.path}: another process has locked it for a minute; if it is stopped "
                    "(Ctrl-Z), let it go on or end it, and run the same command again"
                ) from None
        return True

    def release(self) -> None:
        self.lock.release()


class Journal(JournalFileBackend):
    """Optuna's journal file. How long it was after the last entry stands in a file beside it, so
    that one which was cut since is recognized."""

    def __init__(self, path: Path) -> None:
        self.path, self.length = path, path.with_name(f"{path.name}.length")
        self.lock = _Lock(path)
        super().__init__(str(path), lock_obj=self.lock)

    def append_logs(self, logs: list[dict]) -> None:
        try:
            super().append_logs(logs)
        except OSError:  # a full disk takes half a line
            self.drop_partial_line()
            raise
        self.length.write_text(str(self.path.stat().st_size))

    def drop_partial_line(self) -> None:
        """Drop a last line that was left half written: it would spoil the next one."""
        self.lock.acquire()
        try:
            whole = self.path.read_bytes().rfind(b"\n") + 1
            if whole < self.path.stat().st_size:
                os.truncate(self.path, whole)
        finally:
            self.lock.release()

    def check(self) -> None:
        """Raise StorageError where the file is not as it was written."""
        remedy = "`make repair` keeps every run that is whole in it and says what it drops"
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.endswith(b"\n") and entry(line) is None:
                    raise StorageError(f"{self.path}, line {number}: is damaged; {remedy}")
        expected = self.length.read_text() if self.length.exists() else ""
        size = self.path.stat().st_size
        if expected.isdecimal() and size < int(expected):
            raise StorageError(
                f"{self.path}: was cut: it holds {size:,} of {int(expected):,} bytes; put a whole "
                f"copy in its place, or {remedy}"
            )


def entry(line: bytes) -> dict | None:
    """What a journal's line says, or None where it is not one that Optuna wrote."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(content, dict) and isinstance(content.get("op_code"), int)
    return content if known and isinstance(content.get("worker_id"), str) else None


def open_journal(path: Path) -> JournalStorage:
    """Storage in the journal file at ``path``, which is created if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.with_name(f"{path.name}.length").unlink(missing_ok=True)  # of one that was deleted
    journal = Journal(path)
    journal.check()
    journal.drop_partial_line()
    try:
        return JournalStorage(journal)
    except (KeyError, ValueError, TypeError, AssertionError, NotImplementedError) as error:
        raise StorageError(
            f"{path}: its entries contradict each other ({type(error).__name__}: {error}); "
            "`make repair` keeps every run that is whole in it and says what it drops"
        ) from None


def say(line: str) -> None:
    """Tell the user now: in a live notebook, or where a report's process logs."""
    print(line, file=sys.__stderr__ if os.environ.get("FMNIST_PROGRESS") else sys.stderr)
