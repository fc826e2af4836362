"""What the environment decides: where results lie, and what make and its report script ask for."""

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def results_folder() -> Path:
    """The folder of runs, searches and checkpoints: FMNIST_RESULTS, or results/ in the project's
    root."""
    return Path(os.environ.get("FMNIST_RESULTS") or ROOT / "results")


def option(name: str) -> Any:
    """One of FMNIST_OPTIONS, a JSON object, or None: ``report`` (profile/chapter, while a report is
    made), ``numbers`` (a file that stores the notebook's numbers), ``reuse``, ``storage`` (an
    Optuna URL) or ``scheduler`` (a Dask address)."""
    return json.loads(os.environ.get("FMNIST_OPTIONS") or "{}").get(name)


def committed_pack() -> Path | None:
    """The file of the runs that are committed with the reports of a profile, while one of these
    reports is made; not after ``make clean``."""
    if not (report := option("report")) or (results_folder() / "cleaned").exists():
        return None
    return ROOT / "reports" / report.partition("/")[0] / "runs.parquet"


def report_file(kind: str) -> Path | None:
    """A file about the making of a report, where one is made: its "progress", or the "times" that
    its runs took."""
    if not (report := option("report")):
        return None
    profile, chapter = report.split("/")
    path = {
        "progress": ROOT / ".stamps" / profile / f"{chapter}.progress",
        "times": ROOT / "reports" / profile / "times" / f"{chapter}.runs.json",
    }[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
