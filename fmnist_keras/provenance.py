"""Where a run was made, and the table that tells a reader so."""

import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]


def cores() -> int:
    """The cores that this process may use: all, or as many as OMP_NUM_THREADS says."""
    return int(os.environ.get("OMP_NUM_THREADS") or 0) or os.cpu_count() or 1


def current() -> dict[str, str]:
    """Where a run was made: versions, backend, device, threads and commit."""
    import keras

    packages = ("tensorflow", "jax", "keras", "optuna", "numpy")
    installed = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    versions = [f"{name} {installed[name]}" for name in packages if name in installed]
    return {
        "versions": ", ".join([f"python {platform.python_version()}", *versions]),
        "backend": keras.backend.backend(),
        "device": f"{_device()}, {cores()} threads",
        "commit": _commit(),
    }


@functools.cache
def _device() -> str:
    import keras

    kinds = keras.distribution.list_devices()
    if any(kind.startswith(("gpu", "cuda")) for kind in kinds):
        return "GPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "CPU"


@functools.cache
def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def table(*runs: pd.DataFrame) -> pd.DataFrame:
    """How runs came to be: a row per versions × backend × device × commit, with the number of runs
    and their training time in minutes."""
    frame = pd.concat(runs).drop_duplicates(["recipe", "seed"])
    groups = frame.groupby(["versions", "backend", "device", "commit"], sort=False)
    counts = groups["seconds"].agg(runs="size", minutes=lambda seconds: round(sum(seconds) / 60, 1))
    return counts.reset_index()
