"""Put a profile's headline, figure and chapters into README.md: python scripts/readme.py paper"""

import base64
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]


def main(profile: str) -> None:
    """Write headline and chapters between their markers, the figure into ``reports/<profile>/
    headline.png``, and let all links lead to the profile's reports."""
    folder, readme = ROOT / "reports" / profile, ROOT / "README.md"
    cells = nbformat.read(folder / "17_summary.ipynb", as_version=4).cells
    text = readme.read_text(encoding="utf-8")
    for name in ("headline", "chapters"):
        part = "\n\n".join(shown(cells, name, "text/markdown"))
        part = re.sub(r"\]\((?=\w+\.ipynb\))", f"](reports/{profile}/", part)
        marked = rf"(?s)(?<=<!-- {name} -->\n).*?(?=\n<!-- end {name} -->)"
        text = re.sub(marked, lambda _, part=part: part, text)
    readme.write_text(re.sub(r"\(reports/\w+", f"(reports/{profile}", text), encoding="utf-8")
    (figure,) = shown(cells, "headline-figure", "image/png")
    (folder / "headline.png").write_bytes(base64.b64decode(figure))


def shown(cells, tag: str, kind: str) -> list[str]:
    """What cells of a tag show, as data of a MIME type; prose shows itself."""
    texts = []
    for cell in (cell for cell in cells if tag in cell.metadata.get("tags", [])):
        outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
        texts += [cell.source] if cell.cell_type == "markdown" else []
        texts += [data[kind].strip() for data in outputs if kind in data]
    return texts


if __name__ == "__main__":
    main(*sys.argv[1:])
