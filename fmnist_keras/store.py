"""Where runs are kept: a JSON file each, written whole and never changed, and one Parquet file, a
pack, for those that are committed with a profile's reports::

    pandas.read_parquet("reports/paper/runs.parquet")

A row of a pack is a run: ``recipe``, ``metrics`` and ``provenance`` are JSON; every curve is a
column of lists.
"""

import contextlib
import errno
import functools
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from . import fingerprint, provenance
from .conditions import Job
from .errors import StorageError
from .settings import ROOT, committed_pack, option, results_folder

DIGITS = 9
"""Significant digits that are kept: a float32 has no more."""
AS_JSON = ("recipe", "metrics", "provenance")
IDENTITY = ("job", "seed", "fingerprint")
KEPT = {"curves", *IDENTITY, *AS_JSON}
REMEDIES = {
    errno.EACCES: "make the folder writable, or name another in FMNIST_RESULTS",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free space there"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "move the file that is in the folder's place"),
}


def find(job: Job) -> dict | None:
    """What is kept of a run: by this code, or with REUSE=1 by older code if need be."""
    row = _packed(pack).get(job.id) if (pack := committed_pack()) else None
    if row and (row["fingerprint"] == job.condition.fingerprint or option("reuse")):
        return _unpacked(row)
    folder = results_folder() / "runs"
    if kept := _read(folder / f"{job.name}-{job.condition.fingerprint}.json"):
        return kept
    older = folder.glob(f"{job.name}-*.json") if option("reuse") else []
    return next(filter(None, map(_read, sorted(older))), None)


def _read(path: Path) -> dict | None:
    """What a file keeps of a run; None where there is no whole one."""
    try:
        kept = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and kept.keys() >= KEPT else None


def keep(jobs: list[Job], records: list[dict]) -> None:
    """Keep some runs, each complete in itself. Raises StorageError."""
    folder = results_folder() / "runs"
    for job, record in zip(jobs, records, strict=True):
        identity = {"job": job.id, "seed": job.seed, "fingerprint": job.condition.fingerprint}
        kept = identity | {"recipe": job.condition.settings} | _rounded(record)
        kept.setdefault("provenance", provenance.current())
        path = folder / f"{job.name}-{job.condition.fingerprint}.json"
        part = path.with_suffix(f".{os.getpid()}.part")
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                part.write_text(json.dumps(kept), "utf-8")
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """What the operating system refuses, in one line."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno, REMEDIES[errno.EACCES])
        raise StorageError(
            f"{error.filename or folder}: {error.strerror}; {remedy}, and the same command goes on"
        ) from None


def _rounded(value: Any) -> Any:
    """The value with all floats in it to the digits that mean something."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def remove(checkpoint: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(checkpoint) if checkpoint.is_dir() else checkpoint.unlink()


# Packs


def archive(profile: str) -> None:
    """Write all runs of results/runs by this code into the profile's pack, beside those that it
    holds. The same runs give the same bytes."""
    pack = ROOT / "reports" / profile / "runs.parquet"
    kept = {}
    for run in map(_read, sorted((results_folder() / "runs").glob("*.json"))):
        if run and run["fingerprint"] in fingerprint.IMPORTED.values():
            kept[run["job"]] = run
    kept |= {job: _unpacked(row) for job, row in _packed(pack).items()}
    rows = []
    for _, run in sorted(kept.items()):
        identity = {name: run[name] for name in IDENTITY}
        texts = {name: json.dumps(run[name]) for name in AS_JSON}
        rows.append(identity | texts | run["curves"])
    frame = pd.DataFrame(rows)
    frame = frame[sorted(frame)]
    frame.to_parquet(pack, compression="zstd", compression_level=19, index=False)
    _packed.cache_clear()
    print(f"{len(rows):,} runs in {pack.relative_to(ROOT)}")


@functools.cache
def _packed(pack: Path) -> dict[str, dict]:
    """The rows of a pack by job; none where there is no file."""
    rows = pd.read_parquet(pack).to_dict("records") if pack.exists() else []
    return {row["job"]: row for row in rows}


def _unpacked(row: dict) -> dict:
    """What a pack's row keeps of a run; each curve is a column of lists."""
    kept = {name: row[name] for name in IDENTITY}
    kept |= {name: json.loads(row[name]) for name in AS_JSON}
    curves = {n: list(v) for n, v in row.items() if n not in kept and v is not None}
    return kept | {"curves": curves}


if __name__ == "__main__":
    archive(*sys.argv[1:])
