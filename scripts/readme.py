"""Put what the summary of a profile's reports shows into README.md: headline, chapters with their
answers, figure.

    python scripts/readme.py paper
"""

import base64
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]


def main(profile: str) -> None:
    """Write headline and chapters between their markers, and the figure into
    ``reports/<profile>/headline.png``; all links lead to the profile's reports."""
    folder, readme = ROOT / "reports" / profile, ROOT / "README.md"
    cells = nbformat.read(folder / "17_summary.ipynb", as_version=4).cells
    (figure,) = shown(cells, "headline-figure", "image/png")
    text = readme.read_text(encoding="utf-8")
    for name in ("headline", "chapters"):
        part = "\n\n".join(shown(cells, name, "text/markdown"))
        part = re.sub(r"\]\((?=\w+\.ipynb\))", f"](reports/{profile}/", part)
        marked = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end {name} -->)", re.S)
        text = marked.sub(lambda found, part=part: f"{found[1]}{part}{found[2]}", text)
    text = re.sub(r"\(reports/\w+", f"(reports/{profile}", text)
    readme.write_text(text, encoding="utf-8")
    (folder / "headline.png").write_bytes(base64.b64decode(figure))


def shown(cells, tag: str, kind: str) -> list[str]:
    """What cells of a tag show, as data of a MIME type; prose shows itself."""
    texts = []
    for cell in (cell for cell in cells if tag in cell.metadata.get("tags", [])):
        if cell.cell_type == "markdown":
            texts.append(cell.source)
        else:
            data = [output.get("data", {}) for output in cell.outputs]
            texts += [each[kind].strip() for each in data if kind in each]
    return texts


if __name__ == "__main__":
    main(*sys.argv[1:])
