"""Settings from the environment."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def results_folder() -> Path:
    """The folder of runs, searches and checkpoints: FMNIST_RESULTS, by default results/ in ROOT."""
    return Path(os.environ.get("FMNIST_RESULTS") or ROOT / "results")


def option(name: str) -> Any:
    """One of FMNIST_OPTIONS, the JSON object that make passes on, or None: ``report``
    ("profile/chapter", while a report is made), ``numbers`` (a file that stores the notebook's
    numbers), ``reuse``, ``storage`` (an Optuna URL) or ``scheduler`` (a Dask address)."""
    return json.loads(os.environ.get("FMNIST_OPTIONS") or "{}").get(name)


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Processors that this process may use: those of its affinity, where the system has that, but
    no more than the CPU quota of its container (cgroup v2 or v1) allows; at least one."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        with contextlib.suppress(OSError, ValueError):  # no such file, or no quota: "max"
            text = " ".join((cgroup / name).read_text(encoding="ascii") for name in names)
            quota, period = map(int, text.split())
            if quota > 0:
                cores = min(cores, quota // period)
    return max(1, cores)
