"""Where runs were made, and what a report says of it."""

import functools
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pandas as pd

from .settings import ROOT, report_file


def current() -> dict[str, str | int]:
    """What decides a run's numbers besides recipe, seed and code: versions, backend, device and the
    threads that share an operation; and what does not: cores and commit."""
    from .backend import cores, keras

    packages = [keras.backend.backend(), "keras", "optuna", "numpy"]
    versions = [f"{name} {metadata.version(name)}" for name in packages]
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
    lines = file.read_text().splitlines() if file.exists() else []
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
    """How runs came to be: a row per fingerprint × versions × backend × device, with the number of
    runs, and of threads that shared an operation where that is not one for all. What differs from
    one time to the next (training time, cores, commit) goes into a file beside the report that is
    being made, if one is."""
    frame = pd.concat(runs).drop_duplicates(["recipe", "seed"])
    if path := report_file("times"):
        groups = frame.groupby(["commit", "cores"], sort=False)["seconds"]
        times = groups.agg(runs="size", seconds="sum").round(1).reset_index()
        path.write_text(json.dumps(times.to_dict("records"), indent=1))
    identity = ["fingerprint", "versions", "backend", "device"]
    threads = frame.get("threads", pd.Series(1, frame.index)).fillna(1).astype(int)
    if (threads > 1).any():
        frame["threads"] = threads.astype("string")
        identity.append("threads")
    return frame.groupby(identity, sort=False).size().rename("runs").reset_index()
