"""Where runs are kept: Optuna storage. What passes (a database that is restarted) is waited for;
what does not (a full disk, a damaged file) is said in one line, and nothing stored is lost."""

import errno
import functools
import json
import os
import re
import sys
from pathlib import Path

import filelock
import optuna
import sqlalchemy
import tenacity
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from .errors import StorageError

ROOT = Path(__file__).resolve().parents[1]
OPENING_SECONDS, PATIENCE_SECONDS = 20, 120
"""How long storage may be away at the start, and in the middle of the work."""
EXAMPLE = "postgresql://user:password@host/database, sqlite:///file.db or grpc://host:13000"
PASSING = re.compile(
    "start(ing)? up|shutting down|recovery mode|terminat|closed|lost|refused|reset|broken pipe"
    "|timed? ?out|deadlock|database is locked|unavailable|failed to connect",
    re.IGNORECASE,
)
"""What databases, drivers and gRPC say of a state that may pass."""
REMEDIES = {
    errno.EACCES: "make the folder writable, or name another in FMNIST_RESULTS",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free space there"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "move the file that is in the folder's place"),
}


def open_storage(url: str, name: str) -> BaseStorage:
    """Optuna storage at ``url``; when it is empty at the one that the environment variable
    FMNIST_STORAGE names, or else the journal file of the study ``name``. Raises StorageError."""
    url = url or os.environ.get("FMNIST_STORAGE", "")
    if not url:
        path = results_folder() / f"{name}.journal"
        open_it, place = functools.partial(open_journal, path), str(path)
    else:
        open_it, place = _at(url)
    storage = _guarded(open_it, place, OPENING_SECONDS)()
    for method in (method for method in dir(BaseStorage) if not method.startswith("_")):
        setattr(storage, method, _guarded(getattr(storage, method), place, PATIENCE_SECONDS))
    return storage


def results_folder() -> Path:
    """The folder of the journal files: FMNIST_RESULTS, or results/ in the project's root."""
    return Path(os.environ.get("FMNIST_RESULTS") or ROOT / "results")


# A database or a proxy


def _at(url: str):
    """A function that opens the storage at a URL, and the URL as it may be shown."""
    if url.startswith("grpc://"):
        found = re.fullmatch(r"grpc://([^:/]+)(?::(\d{1,5}))?/?", url)
        if not found:
            raise StorageError(f"STORAGE = {url!r}: must be like grpc://host:13000")
        return functools.partial(_proxy, found[1], int(found[2] or 13000)), url
    url = re.sub("^postgres://", "postgresql://", url)  # as hosting services write it
    try:
        parsed = sqlalchemy.make_url(url)
        parsed.get_dialect()
    except sqlalchemy.exc.ArgumentError:  # a URL of no known kind
        shown = re.sub("(?<=:)[^:@/]+(?=@)", "***", url)
        raise StorageError(f"STORAGE = {shown!r}: is no storage URL; such are {EXAMPLE}") from None
    return functools.partial(_database, url), parsed.render_as_string(hide_password=True)


def _database(url: str) -> BaseStorage:
    create = tenacity.retry(  # of two that create the tables at once, one fails: they are there now
        retry=tenacity.retry_if_exception_type(
            (sqlalchemy.exc.ProgrammingError, sqlalchemy.exc.IntegrityError)
        ),
        wait=tenacity.wait_random(0.1, 1),
        stop=tenacity.stop_after_attempt(5),
        reraise=True,
    )
    return create(optuna.storages.get_storage)(url)


def _proxy(host: str, port: int) -> BaseStorage:
    proxy = optuna.storages.GrpcStorageProxy(host=host, port=port)
    proxy.wait_server_ready(timeout=OPENING_SECONDS)
    return proxy


# A journal file


class _Lock:
    """A file lock that ends with the process that holds it, however that ends."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, filelock.FileLock(f"{path}.flock")

    def acquire(self) -> bool:
        try:
            self.lock.acquire(timeout=3)
        except filelock.Timeout:
            _say(f"{self.path} is locked by another process; waiting for a minute at most")
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


# Faults


def _guarded(function, place: str, seconds: float):
    """The function, called again for so long while what fails may pass; what does not pass becomes
    a StorageError."""
    patient = tenacity.retry(
        retry=tenacity.retry_if_exception(lambda error: bool(_passing(error))),
        wait=tenacity.wait_exponential(multiplier=0.25, max=5),
        stop=tenacity.stop_after_delay(seconds),
        before_sleep=functools.partial(_announce, place, seconds),
        reraise=True,
    )(function)

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            return patient(*args, **kwargs)
        except (OSError, ImportError, optuna.exceptions.StorageInternalError) as error:
            raise _explained(error, place) from None
        except Exception as error:
            if _passing(error) or isinstance(error, sqlalchemy.exc.SQLAlchemyError):
                raise _explained(error, place) from None
            raise

    return call


def _passing(error: BaseException) -> str:
    """What an error says, if it is of a state that may pass, else nothing."""
    while isinstance(error, optuna.exceptions.StorageInternalError) and error.__cause__:
        error = error.__cause__
    text = error.details() if hasattr(error, "details") else str(getattr(error, "orig", error))
    kinds = (sqlalchemy.exc.DBAPIError, ConnectionError)
    known = isinstance(error, kinds) or hasattr(error, "details")  # that of gRPC
    return _first_line(text) if known and PASSING.search(text) else ""


def _announce(place: str, seconds: float, state: tenacity.RetryCallState) -> None:
    if state.attempt_number == 1:
        reason = _passing(state.outcome.exception())
        _say(f"{place} does not answer ({reason}); trying again for {seconds:.0f} s")


def _explained(error: Exception, place: str) -> StorageError:
    """One line: which storage, what is wrong, what to do."""
    if reason := _passing(error):
        return StorageError(
            f"{place} does not answer ({reason}); once it does, the same command goes on"
        )
    if isinstance(error, ImportError):
        return StorageError(
            f"STORAGE = {place!r}: its driver is not installed; that of PostgreSQL comes with "
            "`pip install -r requirements-postgresql.txt`"
        )
    if isinstance(error, OSError):
        remedy = REMEDIES.get(error.errno, REMEDIES[errno.EACCES])
        return StorageError(
            f"{error.filename or place}: {error.strerror or error}; {remedy}, and the same command "
            "goes on: nothing stored is lost"
        )
    cause = error.__cause__ or error
    return StorageError(f"{place}: {_first_line(str(getattr(cause, 'orig', cause)))}")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _say(line: str) -> None:
    """Tell the user now: in a live notebook, or where a report's process logs."""
    print(line, file=sys.__stderr__ if os.environ.get("FMNIST_PROGRESS") else sys.stderr)
