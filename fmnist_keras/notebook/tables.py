"""What a rendered notebook hands on: its ledger tables, as data inside the report."""

import json
from pathlib import Path

import nbformat
import pandas as pd
from IPython.display import display

from ..evidence import sentence
from ..evidence.verdicts import SQUARES, WORDS

ROOT = Path(__file__).resolve().parents[2]
pd.options.display.max_colwidth = None  # versions and sentences are shown to their end
FOLDED = 12  # readings: a longer table of them opens with a click
MIME = "application/vnd.fmnist-keras.table+json"


def show(table: pd.DataFrame) -> None:
    """Display a table of numbers, readings, claims or facts, and leave all of its columns in the
    notebook as data too, for :func:`collect`."""
    shown = table[table.attrs["shown"]]
    data = json.loads(table.to_json(orient="records"))  # what is no number becomes null
    rows = [{"rows": table.attrs["rows"], **row} for row in data]
    many = table.attrs["rows"] == "readings" and len(table) > FOLDED
    page = _folded(f"{len(table)} readings", shown) if many else shown.to_html(index=False)
    pages = {"text/html": page, "text/plain": shown.to_string(index=False)}
    display({**pages, MIME: rows}, raw=True)


def folded(title: str, table: pd.DataFrame) -> None:
    """Display a long table that opens once its title is clicked."""
    text = f"{title}\n{table.to_string(index=False)}"
    display({"text/html": _folded(title, table), "text/plain": text}, raw=True)


def _folded(title: str, table: pd.DataFrame) -> str:
    return f"<details><summary>{title}</summary>{table.to_html(index=False)}</details>"


def findings(decided: pd.DataFrame) -> None:
    """Display decided claims as sentences, and leave them in the notebook as data, as
    :func:`show` does."""
    text = "\n".join(f"- {sentence(row)}" for row in decided.to_dict("records"))
    data = json.loads(decided.to_json(orient="records"))
    rows = [{"rows": "claims", **row} for row in data]
    display({"text/markdown": text, "text/plain": text, MIME: rows}, raw=True)


def answer_box() -> None:
    """Display the place, under the title, that :func:`answer` fills once the notebook has run."""
    text = "*The answer stands here once the notebook has run to its end.*"
    display({"text/markdown": text, "text/plain": text}, raw=True, display_id="answer")


def answer(*decided: pd.DataFrame) -> None:
    """Put the notebook's answer into the box under its title: the decided claims that say it, and
    how many claims of the sources about their own results got which verdict."""
    rows = pd.concat(decided)
    lines = [sentence(row) for row in rows[rows["answer"]].to_dict("records")]
    counts = rows.loc[rows["kind"] == "R", "verdict"].value_counts()
    bar = [f"{SQUARES[word] * n} {n} {word}" for word in WORDS if (n := counts.get(word, 0))]
    if bar:
        lines.append(f"The reports' claims: {' · '.join(bar)}")
    text = "\n>\n".join(f"> {line}" for line in lines)
    display({"text/markdown": text, "text/plain": text}, raw=True, display_id="answer", update=True)


def tables(notebook: Path) -> list[dict]:
    """The rows of all ledger tables in an executed notebook, each with its ``notebook``."""
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return [{"notebook": notebook.stem, **row} for data in outputs for row in data.get(MIME, [])]


def collect(profile: str, rows: str) -> pd.DataFrame:
    """The rows of every table of "numbers", "readings", "claims" or "facts" that the reports of
    ``profile`` show.

    Raises FileNotFoundError, naming the command to run, when there are none.
    """
    paths = sorted((ROOT / "reports" / profile).glob("*.ipynb"))
    found = [row for path in paths for row in tables(path) if row["rows"] == rows]
    if not found:
        raise FileNotFoundError(
            f"reports/{profile} has no {rows}: run `make all PROFILE={profile}`"
        )
    return pd.DataFrame(found)
