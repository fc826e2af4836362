"""Put the reports' headline table and figure into README.md."""

import base64
import re

import nbformat

from fmnist_keras.notebook.tables import ROOT, collect


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


if __name__ == "__main__":
    update_readme()
