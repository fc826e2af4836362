"""What a rendered notebook hands on: its ledger tables, as data inside the report."""

from pathlib import Path

import nbformat
import pandas as pd
from IPython.display import display

ROOT = Path(__file__).resolve().parents[1]
MIME = "application/vnd.fmnist-keras.table+json"


def show(table: pd.DataFrame) -> None:
    """Display a ledger table and leave it in the notebook as data too, for :func:`collect`."""
    pages = {"text/html": table.to_html(index=False), "text/plain": table.to_string(index=False)}
    display({**pages, MIME: table.to_dict("records")}, raw=True)


def collect(profile: str) -> pd.DataFrame:
    """The rows of every table shown in the reports of ``profile``, with a column ``report``.

    Raises FileNotFoundError, naming the command to run, when there are no reports.
    """
    rows = []
    for path in sorted((ROOT / "reports" / profile).glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                for row in output.get("data", {}).get(MIME, []):
                    rows.append({"report": path.stem, **row})
    if not rows:
        raise FileNotFoundError(f"reports/{profile} is empty: run `make all PROFILE={profile}`")
    return pd.DataFrame(rows)
