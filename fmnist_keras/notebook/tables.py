"""What a rendered notebook hands on: its ledger tables, as data inside the report."""

from pathlib import Path

import nbformat
import pandas as pd
from IPython.display import display

ROOT = Path(__file__).resolve().parents[2]
MIME = "application/vnd.fmnist-keras.table+json"


def show(table: pd.DataFrame) -> None:
    """Display a ledger table and leave it in the notebook as data too, for :func:`tables`."""
    pages = {"text/html": table.to_html(index=False), "text/plain": table.to_string(index=False)}
    display({**pages, MIME: table.to_dict("records")}, raw=True)


def tables(notebook: Path) -> list[dict]:
    """The rows of all ledger tables in an executed notebook, each with its ``report``."""
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return [{"report": notebook.stem, **row} for data in outputs for row in data.get(MIME, [])]


def collect(profile: str) -> pd.DataFrame:
    """The rows of every table shown in the reports of ``profile``.

    Raises FileNotFoundError, naming the command to run, when there are no reports.
    """
    paths = sorted((ROOT / "reports" / profile).glob("*.ipynb"))
    rows = [row for path in paths for row in tables(path)]
    if not rows:
        raise FileNotFoundError(f"reports/{profile} is empty: run `make all PROFILE={profile}`")
    return pd.DataFrame(rows)
