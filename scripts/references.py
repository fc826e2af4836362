"""Store anew what the checks compare with: each notebook's own numbers, in tests/expected/, and in
the smoke profile also what its cells tagged nbval-check-output print.

    python scripts/references.py smoke|quick [notebook …]

Processors round differently, and some networks amplify that. So the smoke notebooks also run with
older instructions of this processor; the tolerances allow for what these change.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from nbclient import NotebookClient
from nbformat.v4 import new_output
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist_keras import expected
from fmnist_keras.parameters import NOTEBOOKS, read
from fmnist_keras.settings import ROOT
from scripts.report import DOCUMENT, chapters, isolate, write

OLDER = [("AVX2", "AVX2"), ("SSE41", "SSE4_2")]  # instructions, as oneDNN and XLA call them
PASSED_OVER = {"smoke/14_readings", "quick/14_readings", "quick/15_inside_the_network"}
"""Not stored: their recipes are mostly those of other chapters, and 15's are stored for smoke."""
ROUNDING_FACTOR = 5  # a third processor may move a number that much farther than a second one does


def main(profile: str, *names: str) -> None:
    for path in chapters(NOTEBOOKS):
        if names and path.stem not in names:
            continue
        passed_over = f"{profile}/{path.stem}" in PASSED_OVER
        if passed_over and profile != "smoke":
            continue
        notebook, ours = executed(path, profile)
        ours = None if passed_over else ours
        if ours is not None:
            for onednn, xla in OLDER if profile == "smoke" else []:
                older = {"ONEDNN_MAX_CPU_ISA": onednn, "XLA_FLAGS": f"--xla_cpu_max_isa={xla}"}
                ours = widened(ours, executed(path, profile, **older)[1])
            expected.write(ours, expected.EXPECTED / profile / f"{path.stem}.csv")
        if profile == "smoke":
            keep_what_is_printed(notebook, path.stem, ours)
            write(path, nbformat.writes(notebook).rstrip("\n") + "\n")
        print(path.stem, "stored", flush=True)


def executed(path: Path, profile: str, **environment: str):
    """The executed notebook and the numbers that it compares, if any; smoke finds no stored run."""
    notebook, environment = nbformat.read(path, as_version=4), os.environ | environment
    if given := read(ROOT / "params" / profile / f"{path.stem}.yaml"):
        notebook = parameterize_notebook(load_notebook_node(str(path)), given)
    with tempfile.TemporaryDirectory() as folder:
        numbers = Path(folder, "numbers.csv")
        options = json.loads(environment.get("FMNIST_OPTIONS") or "{}") | {"numbers": str(numbers)}
        environment["FMNIST_OPTIONS"] = json.dumps(options)
        if profile == "smoke":
            environment["FMNIST_RESULTS"] = folder
        client = NotebookClient(notebook, kernel_name="python3", record_timing=False)
        client.execute(cwd=ROOT, env=environment)
        return notebook, expected.read(numbers) if numbers.exists() else None


def widened(stored: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Numbers with tolerances that hold ``other`` ones, which were rounded otherwise."""
    both = stored.merge(other[[*expected.KEYS, "mean"]], "left", on=expected.KEYS)
    moved = ROUNDING_FACTOR * (both["mean_y"] - both["mean_x"]).abs()
    return stored.assign(tolerance=np.fmax(stored["tolerance"], moved.replace(np.inf, np.nan)))


def keep_what_is_printed(notebook, name: str, stored: pd.DataFrame | None) -> None:
    """Remove all outputs but what checked cells print: the rest belongs in the reports."""
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        checked = "nbval-check-output" in cell.metadata.get("tags", [])
        streams = [output for output in cell.outputs if output.output_type == "stream"]
        cell.outputs = streams if checked else []
        if stored is not None and any("numbers as expected" in s.text for s in streams):
            text = expected.compare(name, stored) + "\n"  # with what is stored now
            cell.outputs = [new_output("stream", name="stdout", text=text)]
    notebook.metadata = DOCUMENT


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        isolate(folder)
        main(*sys.argv[1:])
