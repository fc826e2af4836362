"""Several machines: what is missing goes to Dask workers, which run from checkouts of this code.

    python -m fmnist_keras.cluster                      (a scheduler and a worker, on one machine)
    python -m fmnist_keras.cluster tcp://host:8786      (a worker, on each other machine)

Whatever workers, retries and a dashboard need is Dask's. Results are kept where the notebook runs.
"""

import asyncio
import logging
import multiprocessing
import pickle
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor

from . import fingerprint, provenance, registry
from .conditions import Job, OfRecipe
from .errors import StorageError
from .runs import together
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
"""Seeds of a task. Blocks do not depend on what else is asked for, so that two notebooks that lack
the same runs ask for the same tasks."""
PORT, SECONDS = 8786, 20
"""The scheduler's port, and how long to wait for it to answer."""


def train(address: str, missing: list[Job]) -> Iterator[int]:
    """Have the workers train all of ``missing``; keep each task's runs when they come, and yield
    how many runs there are by then. Raises StorageError where the scheduler does not answer, or a
    worker refuses."""
    try:
        with distributed.Client(address, timeout=SECONDS, set_as_default=False) as client:
            tasks = {
                client.submit(
                    _work, cloudpickle.dumps((jobs, _registered(jobs))), key=name, retries=2
                ): jobs
                for name, jobs in _blocks(missing).items()
            }
            done = 0
            for task in distributed.as_completed(tasks, loop=client.loop):
                keep(tasks[task], task.result())
                yield (done := done + len(tasks[task]))
    except (OSError, distributed.CancelledError) as error:
        raise StorageError(
            f"SCHEDULER = {address!r} does not answer ({_first_line(error)}); what is finished is "
            "kept, and the same command goes on"
        ) from None
    except (ValueError, BrokenExecutor, distributed.KilledWorker) as error:
        raise StorageError(f"SCHEDULER = {address!r}: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _blocks(missing: list[Job]) -> dict[str, list[Job]]:
    """Tasks by their keys: the seeds of a stack in blocks, other runs alone."""
    tasks: dict[str, list[Job]] = {}
    for name, jobs in together(missing).items():
        mark = jobs[0].condition.fingerprint
        for job in jobs:
            tasks.setdefault(f"{name}-{job.seed // BLOCK}-{mark}", []).append(job)
    return {f"{key}-{'.'.join(str(job.seed) for job in jobs)}": jobs for key, jobs in tasks.items()}


def _registered(jobs: list[Job]) -> list[tuple[str, str, registry.Entry]]:
    """The notebook's own architectures and initializers that the runs use."""
    recipes = [job.condition.recipe for job in jobs if isinstance(job.condition, OfRecipe)]
    names = {name for recipe in recipes for name in (recipe.model, recipe.initializer)}
    return [
        (kind, name, entry)
        for kind in ("architectures", "initializers")
        for name, entry in getattr(registry, kind).items()
        if name in names and not entry.built_in
    ]


def _work(asked: bytes) -> list[dict]:
    """What a worker does: train runs of one condition and return what is kept of each."""
    jobs, registered = pickle.loads(asked)
    condition = jobs[0].condition
    if condition.fingerprint not in fingerprint.IMPORTED.values():
        raise StorageError(
            f"the worker at {socket.gethostname()} has other code or libraries (fingerprint "
            f"{fingerprint.CURRENT}, not {condition.fingerprint}): bring its checkout to the same "
            "commit and start it again"
        )
    for kind, name, entry in registered:
        getattr(registry, kind)[name] = entry
    records = condition.train([job.seed for job in jobs])
    for job in jobs:
        remove(condition.checkpoint(job.seed))
    return [{**record, "provenance": provenance.current()} for record in records]


async def _serve(address: str) -> None:
    if address:
        # Training has its own process: Dask's threads draw from the random numbers of Keras.
        pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        async with distributed.Worker(address, nthreads=1, executor=pool) as worker:
            print(f"working for {address}; Ctrl-C ends it", flush=True)
            return await worker.finished()
    async with distributed.Scheduler(port=PORT) as scheduler:
        print(
            f"SCHEDULER={scheduler.address}  dashboard: http://{socket.gethostname()}:8787/status"
        )
        await _serve(scheduler.address)


if __name__ == "__main__":
    try:
        asyncio.run(_serve("".join(sys.argv[1:])))
    except OSError as error:
        sys.exit(f"SCHEDULER = {''.join(sys.argv[1:])!r} does not answer: {error}")
    except KeyboardInterrupt:
        pass
