"""The environment: what it may say, and what it may not decide."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmnist_keras import settings
from fmnist_keras.settings import ROOT, in_checkout, switches, usable_cores

SAYS = """
import os
from fmnist_keras import data, settings
print(data.search_path()["FMNIST_DATA"])
print(settings.results_folder())
print(os.environ["FMNIST_RESULTS"])
"""


def python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("given", ["some/folder", "./some/../some/folder", "~/folder", "/folder"])
def test_a_folder_is_the_same_wherever_one_works(tmp_path, monkeypatch, given):
    monkeypatch.setenv("HOME", "/home/a")
    folder = {"~": "/home/a/folder", "/": "/folder"}.get(given[0], str(ROOT / given))
    for cwd in (ROOT, ROOT / "notebooks", tmp_path):
        done = python(SAYS, cwd, FMNIST_DATA=given, FMNIST_RESULTS=given)
        assert done.stdout.splitlines() == [str(Path(folder))] * 3, done.stderr
    assert str(in_checkout(given)) == str(Path(folder))


@pytest.mark.parametrize("backend", ["jax", "torch", "nonsense", "TensorFlow"])
@pytest.mark.parametrize("module", ["fmnist_keras", "fmnist_keras.recipe"])
def test_another_backend_is_one_line(tmp_path, backend, module):
    done = python(f"import {module}", tmp_path, KERAS_BACKEND=backend)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"UserError: KERAS_BACKEND = {backend!r}: studies run on TensorFlow")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("name", "value", "counts"),
    [
        ("XLA_FLAGS", "--xla_cpu_enable_fast_math=true", True),
        ("TF_XLA_FLAGS", "--tf_xla_auto_jit=2", True),
        ("TF_ENABLE_ONEDNN_OPTS", "0", True),
        ("TF_DETERMINISTIC_OPS", "1", True),
        ("TF_NUM_INTRAOP_THREADS", "4", True),
        ("ONEDNN_MAX_CPU_ISA", "AVX2", True),
        ("DNNL_DEFAULT_FPMATH_MODE", "BF16", True),
        ("NVIDIA_TF32_OVERRIDE", "0", True),
        ("TF_XLA_FLAGS", "", False),
        ("TF_NUM_INTRAOP_THREADS", "1", False),
        ("TF_NUM_INTEROP_THREADS", "4", False),
        ("TF_CPP_MIN_LOG_LEVEL", "0", False),
        ("ONEDNN_VERBOSE", "1", False),
        ("OMP_NUM_THREADS", "3", False),
        ("TF_CLI_CONFIG_FILE", "terraformrc", False),
        ("TF_VAR_region", "eu", False),
        ("TF_DATA_DIR", "terraform", False),
    ],
)
def test_switches(monkeypatch, name, value, counts):
    monkeypatch.setenv(name, value)
    assert (name in switches()) == counts


V1 = "4:memory:/a\n2:cpu,cpuacct:/docker/a\n0::/\n"


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "250000 100000"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/\n", {"cpu.max": "1600000 100000"}, 8),
        ("0::/slice/unit\n", {"slice/cpu.max": "300000 100000", "slice/unit/cpu.max": "max"}, 3),
        (V1, {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        (V1, {"cpu/docker/a/cpu.cfs_quota_us": "9", "cpu/docker/a/cpu.cfs_period_us": "3"}, 3),
        (None, {}, 8),
    ],
)
def test_a_containers_quota_counts_before_its_cores(tmp_path, monkeypatch, own, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(settings, "PROCESS", tmp_path / "process")
    monkeypatch.setattr(settings, "CGROUPS", tmp_path / "groups")
    if own:
        (tmp_path / "process").write_text(own, "utf-8")
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", "utf-8")
    assert usable_cores() == cores
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
