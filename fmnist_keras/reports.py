"""What a rendered notebook hands on: its ledger tables, as data inside the report."""

import base64
import re
from pathlib import Path

import nbformat
import pandas as pd
from IPython.display import display

ROOT = Path(__file__).resolve().parents[1]
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


def headline(profile: str) -> str:
    """The README's table, as Markdown: the architectures of table 6.1 by test accuracy, and how
    many of all collected numbers got which verdict."""
    rows = collect(profile)
    part = rows[rows["id"].str.match(r"K-T6\.1-.*-acc")].astype({"n": int})
    columns = ["condition", "published", "measured", "n", "one new run", "verdict", "protocol"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in part[columns].values]
    counts = rows["verdict"].value_counts()
    total = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return "\n".join([*lines, "", f"All {len(rows)} published numbers and facts: {total}."])


def update_readme(profile: str = "quick") -> None:
    """Write the headline table into README.md, between its markers, and the summary's figure into
    ``reports/<profile>/headline.png``."""
    readme, folder = ROOT / "README.md", ROOT / "reports" / profile
    marked = re.compile(r"(<!-- headline -->\n).*?(<!-- end -->)", re.S)
    text = marked.sub(lambda m: f"{m[1]}{headline(profile)}\n{m[2]}", readme.read_text())
    readme.write_text(text)
    for cell in nbformat.read(folder / "14_summary.ipynb", as_version=4).cells:
        for output in cell.get("outputs", []):
            if picture := output.get("data", {}).get("image/png"):
                (folder / "headline.png").write_bytes(base64.b64decode(picture))
