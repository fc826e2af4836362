"""Where runs were made."""

import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pandas as pd

from .settings import ROOT, switches


def current() -> dict[str, str | int]:
    """Versions, switches, backend, device and threads per operation, which decide a run's numbers
    beside recipe, seed and code; cores and commit, which do not."""
    from .backend import cores, keras

    packages = [keras.backend.backend(), "keras", "optuna", "numpy"]
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    versions += [f"{name}={value}" for name, value in switches().items()]
    return {
        "versions": ", ".join([f"python {platform.python_version()}", *versions]),
        "backend": keras.backend.backend(),
        "device": _device(),
        "threads": int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or cores(),
        "cores": cores(),
        "commit": _commit(),
    }


@functools.cache
def _device() -> str:
    import keras

    if keras.distribution.list_devices("gpu"):
        return "GPU"
    file = Path("/proc/cpuinfo")
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "CPU"


@functools.cache
def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def table(*runs: pd.DataFrame) -> pd.DataFrame:
    """A row per fingerprint × versions × backend × device with its number of ``runs``. A column
    ``threads`` (per operation) is there only where some runs had more than one."""
    frame = pd.concat(runs).drop_duplicates(["recipe", "seed"])
    identity = ["fingerprint", "versions", "backend", "device"]
    threads = frame.get("threads", pd.Series(1, frame.index)).fillna(1).astype(int)
    if (threads > 1).any():
        frame = frame.assign(threads=threads.astype("string"))
        identity.append("threads")
    return frame.groupby(identity, sort=False).size().rename("runs").reset_index()
