"""Store anew what the checks compare with: each notebook's own numbers, in tests/expected/, and for
the smoke profile the outputs of its cells tagged nbval-check-output too.

Processors round differently, and some networks amplify that: the smoke notebooks are executed with
older instructions of this processor too, and tolerances hold what these change.

Usage: python scripts/references.py smoke|quick|paper [notebook …]
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]


OTHER_ROUNDING = [
    {"ONEDNN_MAX_CPU_ISA": isa, "XLA_FLAGS": f"--xla_cpu_max_isa={xla}"}
    for isa, xla in [("AVX2", "AVX2"), ("SSE41", "SSE4_2")]
]


def executed(path: Path, **environment: str):
    """The notebook, executed with its own defaults and with nothing stored."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as results:
        variables = os.environ | environment | {"FMNIST_RESULTS": results}
        NotebookClient(notebook, kernel_name="python3", timeout=None).execute(env=variables)
    return notebook


def store_outputs(path: Path) -> None:
    """Keep the outputs that nbval compares with: shapes, counts and coarse facts. All else belongs
    in the rendered reports."""
    notebook = executed(path)
    for instructions in OTHER_ROUNDING:
        executed(path, FMNIST_OTHER_ROUNDING="1", **instructions)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code" and "nbval-check-output" not in cell.metadata.get("tags", []):
            cell.outputs = []
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path)


def main(profile: str, *names: str) -> None:
    os.environ["FMNIST_UPDATE_EXPECTED"] = profile
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        if profile == "smoke":
            store_outputs(path)
        else:
            command = [sys.executable, ROOT / "scripts" / "report.py", profile, "1", path.stem]
            subprocess.run(command, check=True)
        print(path.stem, "stored", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
