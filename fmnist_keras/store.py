"""The store of runs: a JSON file each, and one Parquet file, a pack, of the runs that are committed
with a profile's reports::

    pandas.read_parquet("reports/paper/runs.parquet")

A row of a pack is a run: ``recipe``, ``metrics`` and ``provenance`` are JSON; every curve is a
column of lists.
"""

import contextlib
import functools
import json
import math
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from . import fingerprint, provenance
from .conditions import Job
from .errors import StorageError
from .settings import ROOT, option, results_folder

DIGITS = 9
"""Significant digits that are kept: a float32 has no more."""
AS_JSON = ["recipe", "metrics", "provenance"]
IDENTITY = ["job", "seed", "fingerprint"]


def find(job: Job) -> dict | None:
    """The stored run by this code, or with REUSE=1 by older code if there is none by this. While a
    report is made, runs that are committed with its profile come first, until ``make clean``."""
    report = option("report")
    if report and not (results_folder() / "cleaned").exists():
        row = _rows(_pack(report.partition("/")[0])).get(job.id)
        if row and (row["fingerprint"] == job.condition.fingerprint or option("reuse")):
            return _unpacked(row)
    older = _file(job).parent.glob(f"{job.name}-*.json") if option("reuse") else []
    stored = filter(None, map(_read, [_file(job), *sorted(older)]))
    return next((run for run in stored if _whole(job, run)), None)


def keep(jobs: list[Job], records: list[dict]) -> None:
    """Store the record of each job (``metrics``, ``curves``, of a worker also ``provenance``).
    Raises StorageError."""
    for job, record in zip(jobs, records, strict=True):
        if not _whole(job, record):
            epochs = sorted({len(curve) for curve in record["curves"].values()})
            raise StorageError(
                f"{job.name}: curves of {epochs} epochs, where the recipe has epochs = "
                f"{job.condition.recipe.epochs}: something else ended the training; nothing is kept"
            )
        identity = {"job": job.id, "seed": job.seed, "fingerprint": job.condition.fingerprint}
        stored = identity | {"recipe": job.condition.settings}
        stored |= json.loads(json.dumps(record), parse_float=_rounded)
        stored.setdefault("provenance", provenance.current())
        path = _file(job)
        part = path.with_suffix(f".{threading.get_native_id()}.part")
        with explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_text(json.dumps(stored), "utf-8")
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)


def _whole(job: Job, run: dict) -> bool:
    """Whether all curves have the epochs that the recipe asks for, or those up to where the run
    diverged or its patience ended. A function's run may have any."""
    recipe, metrics, curves = job.condition.recipe, run["metrics"], run["curves"]
    if not recipe:
        return True
    early = metrics["diverged"]
    if recipe.patience:
        waited = metrics["stop_epoch"] - metrics["best_epoch"] >= recipe.patience
        early = early or waited or not math.isfinite(metrics["val_loss"])
    lengths = {len(curve) for curve in curves.values()}
    return lengths == {metrics["stop_epoch"] if early else recipe.epochs}


def _file(job: Job) -> Path:
    return results_folder() / "runs" / f"{job.name}-{job.condition.fingerprint}.json"


def _read(path: Path) -> dict | None:
    """A run from its file; None if the file is missing or damaged."""
    try:
        run = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return run if isinstance(run, dict) and run.keys() >= {"curves", *IDENTITY, *AS_JSON} else None


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn an OSError into a StorageError in one line."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder}: {error.strerror}; put that right or name another folder "
            "in FMNIST_RESULTS, and the same command goes on"
        ) from None


def _rounded(number: str) -> float:
    return float(f"{float(number):.{DIGITS}g}")


def remove(checkpoint: Path) -> None:
    """Delete a file or a folder, if it is there and can be deleted."""
    with contextlib.suppress(OSError):
        shutil.rmtree(checkpoint) if checkpoint.is_dir() else checkpoint.unlink()


def archive(profile: str) -> None:
    """Write all runs of results/runs by this code into the profile's pack, beside those that it
    holds. The same runs give the same bytes."""
    pack = _pack(profile)
    stored = filter(None, map(_read, (results_folder() / "runs").glob("*.json")))
    runs = {r["job"]: r for r in stored if r["fingerprint"] in fingerprint.IMPORTED.values()}
    runs |= {job: _unpacked(row) for job, row in _rows(pack).items()}
    frame = pd.DataFrame(
        {name: run[name] for name in IDENTITY}
        | {name: json.dumps(run[name]) for name in AS_JSON}
        | run["curves"]
        for _, run in sorted(runs.items())
    )
    frame[sorted(frame)].to_parquet(pack, compression="zstd", compression_level=19, index=False)
    _rows.cache_clear()
    print(f"{len(frame):,} runs in {pack.relative_to(ROOT)}")


def _pack(profile: str) -> Path:
    return ROOT / "reports" / profile / "runs.parquet"


@functools.cache
def _rows(pack: Path) -> dict[str, dict]:
    rows = pd.read_parquet(pack).to_dict("records") if pack.exists() else []
    return {row["job"]: row for row in rows}


def _unpacked(row: dict) -> dict:
    run = {name: row[name] for name in IDENTITY}
    run |= {name: json.loads(row[name]) for name in AS_JSON}
    return run | {"curves": {n: list(v) for n, v in row.items() if n not in run and v is not None}}


if __name__ == "__main__":
    archive(*sys.argv[1:])
