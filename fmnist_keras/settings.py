"""Settings from the environment."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROCESS, CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

TENSORFLOW = (
    "AUTO|CONV|CPU|CUDNN|DATA_EXPERIMENT|DETERMINISTIC|DISABLE|EAGER|ENABLE|FORWARD|FP16|"
    "FUNCTION|JIT|MATMUL|MKL|MLIR|NUM_INTRAOP|ONEDNN|OPTIONALS|OVERRIDE|SET_ONEDNN|USE_(?!LEGACY)|XLA"
)
"""What follows TF_ in the names of TensorFlow's own switches; Terraform's begin with TF_, too."""
DECISIVE = (
    rf"TF_({TENSORFLOW})|TENSORFLOW_USE|XLA_FLAGS|(ONEDNN|DNNL|MKLDNN)_(?!VERBOSE|JIT)|NPY_|"
    "NVIDIA_TF32|CUBLAS_WORKSPACE|OPENBLAS_CORETYPE"
)
PLAIN = {"TF_NUM_INTRAOP_THREADS": "1"}


def switches() -> dict[str, str]:
    """The environment variables by which TensorFlow, XLA, oneDNN or NumPy may compute other
    numbers, where they are set. Each family counts as a whole: a switch too many costs a run."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if re.match(DECISIVE, name) and value not in ("", PLAIN.get(name))
    }


def in_checkout(path: str | Path) -> Path:
    """The path, from the checkout's root if it is relative: the working directory has no say."""
    return ROOT / Path(path).expanduser()


def results_folder() -> Path:
    """The folder of runs, searches and checkpoints: FMNIST_RESULTS, by default results/ in ROOT."""
    return in_checkout(os.environ.get("FMNIST_RESULTS") or "results")


def option(name: str) -> Any:
    """One of FMNIST_OPTIONS, the JSON object that make passes on, or None: ``report``
    ("profile/…/chapter", while a report is made), ``numbers`` (a file that stores the notebook's
    numbers), ``reuse``, ``storage`` (an Optuna URL) or ``scheduler`` (a Dask address)."""
    return json.loads(os.environ.get("FMNIST_OPTIONS") or "{}").get(name)


def usable_cores() -> int:
    """The number of cores that this process may use, at least 1: those of its affinity, or as many
    whole ones as the CPU quota of its container comes to (cgroup version 1 or 2)."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([cores, *_quotas()]))


def _quotas() -> Iterator[int]:
    """Whole cores that each of this process's control groups may use, as far as it has a quota."""
    lines = PROCESS.read_text("utf-8").splitlines() if PROCESS.exists() else []
    for _, controllers, place in (line.split(":", 2) for line in lines):
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUPS / "cpu" if controllers else CGROUPS
        inner = root / place.strip("/")  # not there where the container sees its own group as root
        for folder in (inner, *inner.parents):
            if folder == root.parent:
                break
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
            try:
                quota, period = " ".join((folder / n).read_text("utf-8") for n in names).split()
                if int(period) > 0 and quota not in ("max", "-1"):
                    yield int(quota) // int(period)
            except (OSError, ValueError):
                continue
