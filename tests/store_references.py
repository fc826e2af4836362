"""Execute notebooks with their own defaults and store the outputs that the tests compare with.

Only cells tagged nbval-check-output keep their outputs: shapes, counts and coarse facts. All else
belongs in the rendered reports.
"""

import os
import sys
import tempfile

import nbformat
from nbclient import NotebookClient

for path in sys.argv[1:]:
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
    print(path, "stored")
