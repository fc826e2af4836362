"""Store anew what the checks compare with: each notebook's own numbers, in tests/expected/, and for
the smoke profile what its cells tagged nbval-check-output print, too.

Processors round differently, and some networks amplify that: the smoke notebooks are executed with
older instructions of this processor too, and tolerances hold what these change.

Usage: python scripts/references.py smoke|quick [notebook …]
"""

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import yaml
from nbclient import NotebookClient
from nbformat.v4 import new_output
from papermill.parameterize import parameterize_notebook

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist_keras import expected
from fmnist_keras.settings import ROOT

OTHER_ROUNDING = [
    {"ONEDNN_MAX_CPU_ISA": isa, "XLA_FLAGS": f"--xla_cpu_max_isa={xla}"}
    for isa, xla in [("AVX2", "AVX2"), ("SSE41", "SSE4_2")]
]
ROUNDING_FACTOR = 5
"""A third processor may move a number this much farther than a second one was seen to."""


def main(profile: str, *names: str) -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        if profile == "smoke":
            notebook = smoke(path)
            ours = numbers(notebook)
            for instructions in OTHER_ROUNDING if ours is not None else []:
                ours = widened(ours, numbers(smoke(path, **instructions)))
        else:
            notebook = executed(path, yaml_parameters(profile, path.stem))
            ours = numbers(notebook)
        if ours is not None:
            file = ROOT / "tests" / "expected" / profile / f"{path.stem}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(expected.write(ours))
        if profile == "smoke":
            nbformat.write(with_printed_outputs(notebook, path.stem, ours), path)
        print(path.stem, "stored", flush=True)


def smoke(path: Path, **environment: str):
    """The notebook, executed with its own defaults and with nothing stored."""
    with tempfile.TemporaryDirectory() as results:
        return executed(path, {}, FMNIST_RESULTS=results, **environment)


def executed(path: Path, parameters: dict, **environment: str):
    notebook = nbformat.read(path, as_version=4)
    if parameters:
        notebook = parameterize_notebook(notebook, parameters)
    variables = os.environ | environment
    NotebookClient(notebook, kernel_name="python3", timeout=None).execute(cwd=ROOT, env=variables)
    return notebook


def yaml_parameters(profile: str, name: str) -> dict:
    """What the profile's parameter file says; without one the notebook's own defaults are meant."""
    path = ROOT / "params" / profile / f"{name}.yaml"
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def numbers(notebook) -> pd.DataFrame | None:
    """What the notebook's last cell left as data, if it compares any numbers."""
    outputs = [
        output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    ]
    texts = [data["text/csv"] for data in outputs if "text/csv" in data]
    return expected.read(io.StringIO(texts[0])) if texts else None


def widened(stored: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Numbers with tolerances that hold ``other`` ones, which were rounded otherwise."""
    both = stored.merge(other[[*expected.KEYS, "mean"]], "left", on=expected.KEYS)
    moved = ROUNDING_FACTOR * (both["mean_y"] - both["mean_x"]).abs()
    return stored.assign(tolerance=np.fmax(stored["tolerance"], moved.replace(np.inf, np.nan)))


def with_printed_outputs(notebook, name: str, stored: pd.DataFrame | None):
    """The notebook with what its checked cells print, and no other outputs: all else belongs in the
    rendered reports."""
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.metadata.pop("execution", None)
        compares = any("text/csv" in output.get("data", {}) for output in cell.outputs)
        checked = "nbval-check-output" in cell.metadata.get("tags", [])
        cell.outputs = [o for o in cell.outputs if checked and o.output_type == "stream"]
        if compares:  # with what was stored before
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                expected.compare(name, stored)
            cell.outputs = [new_output("stream", name="stdout", text=printed.getvalue())]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


if __name__ == "__main__":
    main(*sys.argv[1:])
