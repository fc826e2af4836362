"""Where runs are kept: Optuna storage. What passes (a database that is restarted) is waited for;
what does not (a full disk, a damaged file) is said in one line, and nothing stored is lost."""

import contextlib
import errno
import functools
import os
import re
from pathlib import Path

import optuna
import sqlalchemy
import tenacity
from optuna.storages import BaseStorage

from . import fingerprint
from .errors import StorageError
from .journal import open_journal, say
from .recipe import Recipe

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


def checkpoint_file(recipe: Recipe, seed: int) -> Path:
    """Where a long run keeps what it has so far; only the same code goes on from there."""
    name = f"{recipe.checkpoint_key}-{seed}-{fingerprint.of_recipe(recipe)}.npz"
    return results_folder() / "checkpoints" / name


def forget_checkpoint(recipe: Recipe, seed: int) -> None:
    """Remove what a run that is stored has left there."""
    with contextlib.suppress(OSError):
        checkpoint_file(recipe, seed).unlink()


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
        say(f"{place} does not answer ({reason}); trying again for {seconds:.0f} s")


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
