"""Several machines: Dask workers, which run from checkouts of this code (``make worker``), train
what is missing. Results are stored where the notebook runs.
"""

import asyncio
import logging
import multiprocessing
import os
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor

from . import fingerprint, provenance, registry
from .conditions import Job
from .errors import StorageError
from .recipe import Recipe
from .runs import stacks
from .store import keep, remove

try:
    import cloudpickle
    import distributed
except ImportError:
    raise StorageError(
        "SCHEDULER: Dask is not installed; `pip install -r requirements-dask.txt` brings it"
    ) from None

logging.getLogger("distributed").setLevel("ERROR")  # what matters is said in one line

BLOCK = 5
"""Seeds per task. Blocks do not depend on which other runs are missing, so two notebooks that lack
the same runs submit the same tasks."""
PORT, SECONDS = 8786, 20
"""The scheduler's port, and how long to wait for its answer."""
UNREACHABLE = (OSError, distributed.CancelledError)
FAILED = (ValueError, BrokenExecutor, distributed.KilledWorker)


def train(address: str, missing: list[Job]) -> Iterator[int]:
    """Have the workers train all jobs; store each task's runs when they arrive, and yield how many
    there are by then. Raises StorageError if the scheduler does not answer or a worker refuses."""
    done = 0
    try:
        with distributed.Client(address, timeout=SECONDS, set_as_default=False) as client:
            tasks = {}
            for name, jobs in _blocks(missing).items():
                condition = jobs[0].condition
                registered = _registered(condition.recipe) if condition.recipe else []
                asked = condition.fingerprint, cloudpickle.dumps((jobs, registered))
                tasks[client.submit(_work, *asked, key=name, retries=2)] = jobs
            for task in distributed.as_completed(tasks, loop=client.loop):
                keep(tasks[task], task.result())
                yield (done := done + len(tasks[task]))
    except (*UNREACHABLE, *FAILED) as error:
        reason = str(error).strip().partition("\n")[0]
        if isinstance(error, UNREACHABLE):
            reason = f"does not answer ({reason}); finished runs are kept; the same command goes on"
        raise StorageError(f"SCHEDULER = {address!r}: {reason}") from None


def _blocks(missing: list[Job]) -> dict[str, list[Job]]:
    """Tasks by their keys: the seeds of a stack in blocks, other runs alone."""
    tasks: dict[tuple[str, int], list[Job]] = {}
    for name, jobs in stacks(missing).items():
        for job in jobs:
            tasks.setdefault((name, job.seed // BLOCK), []).append(job)
    return {
        f"{name}-{jobs[0].condition.fingerprint}-{'.'.join(str(job.seed) for job in jobs)}": jobs
        for (name, _), jobs in tasks.items()
    }


def _registered(recipe: Recipe) -> list[tuple[str, str, registry.Entry]]:
    """The architecture and the initializer of a recipe, if they are a notebook's own."""
    used = ("architectures", recipe.model), ("initializers", recipe.initializer)
    entries = [(kind, name, getattr(registry, kind)[name]) for kind, name in used]
    return [(kind, name, entry) for kind, name, entry in entries if not entry.built_in]


def _work(mark: str, asked: bytes) -> list[dict]:
    """On a worker: train jobs of one condition, whose fingerprint is ``mark``; return records."""
    if mark not in fingerprint.IMPORTED.values():
        raise StorageError(
            f"the worker at {socket.gethostname()} has other code, libraries or switches "
            f"(fingerprint {fingerprint.CURRENT}, not {mark}): bring its checkout to the same "
            "commit and start it again"
        )
    jobs, registered = pickle.loads(asked)
    condition = jobs[0].condition
    for kind, name, entry in registered:
        getattr(registry, kind)[name] = entry
    records = condition.train([job.seed for job in jobs], condition.checkpoint)
    for job in jobs:
        remove(condition.checkpoint(job.seed))
    return [{**record, "provenance": provenance.current()} for record in records]


def _end_with_parent() -> None:
    """In the process that trains: end when the worker does, even by ``kill -9``."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


async def _serve(address: str) -> None:
    if address:
        # Training has its own process: Dask's threads draw from the random numbers of Keras.
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(1, spawn, initializer=_end_with_parent)
        async with distributed.Worker(address, nthreads=1, executor=pool) as worker:
            print(f"working for {address}; Ctrl-C ends it", flush=True)
            return await worker.finished()
    async with distributed.Scheduler(port=PORT) as scheduler:
        print(
            f"SCHEDULER={scheduler.address}  dashboard: http://{socket.gethostname()}:8787/status"
        )
        await _serve(scheduler.address)


if __name__ == "__main__":
    address = "".join(sys.argv[1:])
    try:
        asyncio.run(_serve(address))
    except OSError as error:
        sys.exit(f"SCHEDULER = {address!r} does not answer: {error}")
    except KeyboardInterrupt:
        pass
