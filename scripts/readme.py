"""Put the reports' headline (findings, table and tally) and the summary's figure into README.md."""

import base64
import re

import nbformat

from fmnist_keras.evidence import published, sentence
from fmnist_keras.evidence.verdicts import WORDS
from fmnist_keras.notebook.tables import ROOT, collect

FINDINGS = ("K-C05", "K-C22 fair", "M-C15 fair", "I-C03", "M-C36")
"""Ids of the decided claims that README shows as sentences."""
FIGURE_CELL = "14-07"  # of the summary: every number as a distance


def headline(profile: str) -> str:
    """README's first screen, as Markdown: some findings, the architectures of table 6.1 by test
    accuracy, and how many published numbers and claims got which verdict."""
    numbers, claims = collect(profile, "numbers"), collect(profile, "claims")
    by_id = claims.drop_duplicates("id").set_index("id", drop=False)
    findings = [
        f"- {sentence(by_id.loc[name])} *({name})*" for name in FINDINGS if name in by_id.index
    ]
    part = numbers[numbers["id"].str.match(r"K-T6\.1-.*-acc")].astype({"n": int})
    columns = ["condition", "published", "measured", "n", "distance", "verdict"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in part[columns].values]
    once = numbers[[published()[name].same_as is None for name in numbers["id"]]]
    own = claims[claims["kind"] == "R"]
    tallies = [
        f"{len(once)} published numbers: {_tally(once)}.",
        f"{len(own)} claims of the sources about their own results: {_tally(own)}.",
    ]
    return "\n".join([*findings, "", *lines, "", *tallies])


def _tally(rows) -> str:
    counts = rows["verdict"].value_counts()
    return ", ".join(f"{counts[word]} {word}" for word in WORDS if word in counts)


def image(notebook, cell_id: str) -> bytes:
    """The figure, PNG, that a cell of an executed notebook shows."""
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    (png,) = (o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {}))
    return base64.b64decode(png)


def update_readme(profile: str = "quick") -> None:
    """Write the headline into README.md, between its markers, and the summary's figure into
    ``reports/<profile>/headline.png``."""
    readme, folder = ROOT / "README.md", ROOT / "reports" / profile
    marked = re.compile(r"(<!-- headline -->\n).*?(<!-- end -->)", re.S)
    text = marked.sub(lambda m: f"{m[1]}{headline(profile)}\n{m[2]}", readme.read_text())
    readme.write_text(text)
    summary = nbformat.read(folder / "14_summary.ipynb", as_version=4)
    (folder / "headline.png").write_bytes(image(summary, FIGURE_CELL))


if __name__ == "__main__":
    update_readme()
