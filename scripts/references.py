"""Store anew what the checks compare with: each notebook's own numbers, in tests/expected/, and for
the smoke profile the outputs of its cells tagged nbval-check-output too.

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


def store_outputs(path: Path) -> None:
    """Execute a notebook with its own defaults and keep the outputs that nbval compares with:
    shapes, counts and coarse facts. All else belongs in the rendered reports."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as results:
        os.environ["FMNIST_RESULTS"] = results
        NotebookClient(notebook, kernel_name="python3", timeout=None).execute()
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
            command = [sys.executable, ROOT / "scripts" / "execute.py", profile, path.stem]
            subprocess.run(command, check=True)
        print(path.stem, "stored", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
