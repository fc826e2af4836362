"""What a chapter's notebook calls besides its experiment: begin, numbers, claims, end.

Tables stand in an executed notebook as data too; ``collect`` reads them for the summary.
"""

import html
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
from IPython.display import display

from . import evidence, expected, figures
from .evidence.claims import claims as all_claims
from .evidence.outcomes import OUTCOMES, SQUARES
from .parameters import check_namespace
from .pinned import pin
from .provenance import table as provenance_table
from .runs import Results
from .settings import ROOT, option

pd.options.display.max_colwidth = None  # versions and sentences are shown to their end
FOLDED = 12  # a longer table of readings opens with a click
BRIEF = {
    "numbers": ["condition", "quantity", "published", "measured", "outcome"],
    "readings": ["quantity", "assumed", "published", "measured", "fits"],
    "claims": ["claim", "effect", "outcome"],
    "facts": ["condition", "published", "ours", "outcome"],
}
"""What a page shows of a row at once."""
MIME = "application/vnd.fmnist-keras.table+json"

_chapter = ""


def begin(chapter: str, namespace: Mapping[str, Any]) -> None:
    """Begin ``notebooks/<chapter>.ipynb``: check the parameters in ``namespace``, its ``globals()``
    (a wrong one raises a one-line RecipeError), and display the place that the answer will fill."""
    global _chapter
    check_namespace(chapter, namespace)
    if "keras" in sys.modules:  # what a chapter computes itself depends on no keras.json either
        pin()
    _chapter = chapter
    if chapter in all_claims():
        _show_answer("*The answer stands here once the notebook has run to its end.*")


def numbers(runs: pd.DataFrame, *patterns: str | Sequence[str], readings: bool = False) -> None:
    """Show :func:`evidence.table`, published numbers beside ours, and on request all readings."""
    show(evidence.table(runs, *patterns))
    if readings:
        show(evidence.readings(runs, *patterns))


def claims(results: Results, *sources: str) -> None:
    """Show the chapter's claims of some sources (K, P, D, M, I, X), decided."""
    show(evidence.decide(results, _chapter, *sources))


def end(
    results: Results | None, *runs: pd.DataFrame, provenance: Sequence[pd.DataFrame] = ()
) -> None:
    """End the chapter: show its findings, the effects behind all its claims, its answer (in the
    place for it), the runs' provenance, and how many numbers are as expected.

    ``results``: every arm of the chapter's claims; None if it makes none. ``runs``: frames whose
    numbers are compared (default: those of ``results``). ``provenance``: frames whose provenance is
    shown (default: ``runs``).
    """
    if _chapter in all_claims():
        decided = evidence.decide(results, _chapter)
        findings = evidence.decide(results, _chapter, "ours")
        text = "\n".join(f"- {evidence.sentence(row)}" for row in findings.to_dict("records"))
        _display({"text/markdown": text, "text/plain": text}, findings)
        if effects := figures.effects(decided):
            display(effects)
            plt.close(effects)  # or the notebook shows it again at the end of the cell
        _show_answer(_answer(decided), update=True)
    runs = runs or (results.runs,)
    if trained := [frame for frame in provenance or runs if "fingerprint" in frame]:
        display(provenance_table(*trained))
    ours = expected.numbers(*runs)
    print(expected.compare(_chapter, ours))
    if path := option("numbers"):  # scripts/references.py wants them
        expected.write(ours, Path(path))


def show(table: pd.DataFrame) -> None:
    """Display a table of numbers, readings, claims or facts: of each row what a phone can hold, the
    rest after a click on its id. All columns stay in the notebook as data for :func:`collect`."""
    shown = table[table.attrs["shown"]]
    first = (brief := BRIEF[table.attrs["rows"]])[0]
    rest = [name for name in shown if name not in (*brief, "reason")]
    page = shown[brief].astype(str).map(html.escape)
    if "reason" in shown:
        page["outcome"] += [f": {html.escape(why)}" if why else "" for why in shown["reason"]]
    page[first] += [_rest(row) for row in shown[rest].to_dict("records")]
    page = page.to_html(index=False, escape=False)
    many = table.attrs["rows"] == "readings" and len(table) > FOLDED
    page = f"<details><summary>{len(table)} readings</summary>{page}</details>" if many else page
    _display({"text/html": page, "text/plain": shown.to_string(index=False)}, table)


def _rest(row: Mapping[str, Any]) -> str:
    """What opens below a row's first cell."""
    lines = [f"{name}: {value}" for name, value in row.items() if name != "id" and value != ""]
    lines = "<br>".join(map(html.escape, lines))
    return f"<details><summary>{row['id']}</summary>{lines}</details>"


def folded(title: str, table: pd.DataFrame) -> None:
    """Display a long table that opens once its title is clicked."""
    text = f"{title}\n{table.to_string(index=False)}"
    page = f"<details><summary>{title}</summary>{table.to_html(index=False)}</details>"
    display({"text/html": page, "text/plain": text}, raw=True)


def tables(notebook: Path) -> list[dict]:
    """The rows of all tables that an executed notebook shows, each with its ``notebook``."""
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return [{"notebook": notebook.stem, **row} for data in outputs for row in data.get(MIME, [])]


def collect(profile: str, rows: str) -> pd.DataFrame:
    """The rows of every table of "numbers", "readings", "claims" or "facts" that the reports of
    ``profile`` show. FileNotFoundError, which says what to run, if there are none."""
    paths = sorted((ROOT / "reports" / profile).glob("*.ipynb"))
    found = [row for path in paths for row in tables(path) if row["rows"] == rows]
    if not found:
        command = f"make all PROFILE={profile}"
        raise FileNotFoundError(f"reports/{profile} has no {rows}: run `{command}`")
    return pd.DataFrame(found)


def _display(pages: dict[str, str], table: pd.DataFrame) -> None:
    data = json.loads(table.to_json(orient="records"))  # NaN and infinity become null
    display({**pages, MIME: [{"rows": table.attrs["rows"], **row} for row in data]}, raw=True)


def _show_answer(text: str, update: bool = False) -> None:
    pages = {"text/markdown": text, "text/plain": text}
    display(pages, raw=True, display_id="answer", update=update)


def _answer(decided: pd.DataFrame) -> str:
    """The decided claims that answer the chapter's question, and a bar of the outcomes of what the
    sources say of their own results."""
    lines = [evidence.sentence(row) for row in decided[decided["answer"]].to_dict("records")]
    counts = decided.loc[decided["kind"] == "R", "outcome"].value_counts()
    bar = [f"{SQUARES[word] * n} {n} {word}" for word in OUTCOMES if (n := counts.get(word, 0))]
    counted = "What the reports claim of their own results (not of causes, nor from textbooks)"
    lines += [f"{counted}: {' · '.join(bar)}"] if bar else []
    return "\n>\n".join(f"> {line}" for line in lines)
