"""Build a static site from a profile's reports; site/build/html/index.html needs no server.

    python scripts/site.py paper

The summary is the front page, each other report a chapter; the summary's ledger and what follows it
have a page of their own. Cells say in their metadata what a page leaves out and what stands
for a figure where it cannot be seen.
"""

import contextlib
import io
import re
import shutil
import sys
from base64 import b64encode
from pathlib import Path

import nbformat
from filelock import FileLock
from itables import options
from nbformat.v4 import new_markdown_cell, new_notebook
from sphinx.cmd.build import build_main

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.report import DOCUMENT, ROOT, chapters

BUILD = ROOT / "site" / "build"
CONTENTS = """[All numbers, claims and facts](ledger.ipynb)

```{toctree}
:hidden:
:caption: Chapters
:glob:

[0-9]*
ledger
```"""
SEARCHABLE = """<style>%s</style><script type="module">
import {ITable} from "data:text/javascript;base64,%s";
for (const table of document.querySelectorAll(".tag_ledger table"))
  new ITable(table, {paging: false, order: [], autoWidth: false});
</script></body>"""


def main(profile: str) -> int:
    """Build the site. What Sphinx warns of is said, cell by cell, and stops nothing."""
    reports, sources, html = ROOT / "reports" / profile, BUILD / "sources", BUILD / "html"
    shutil.rmtree(BUILD, ignore_errors=True)
    sources.mkdir(parents=True)
    for path in chapters(reports):
        write_pages(path, sources)
    settings = ["-q", "-c", ROOT / "site", "-d", BUILD / "doctrees", sources, html]
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = build_main([*map(str, settings)])
    page = re.compile(re.escape(f"{sources}/") + r"(\w+)\.ipynb(?::(\d*))?")  # line 30002: cell 3
    for line in dict.fromkeys(said.getvalue().splitlines()):
        name, place = page.match(line).groups() if page.match(line) else ("", "")
        name = "17_summary" if name in ("index", "ledger") else name
        cell = f", cell {int(place) // 10_000}" if place and int(place) > 10_000 else ""
        print(page.sub(f"reports/{profile}/{name}.ipynb{cell}", line), file=sys.stderr)
    for path in html.glob("*.html"):
        path.write_text(readable_from_disk(path.read_text("utf-8")), "utf-8")
    for path in (html / "_static" / "mathjax").glob("*"):  # pages load tex-chtml.js and its fonts
        if path.name not in {"tex-chtml.js", "output"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return code


def write_pages(path: Path, sources: Path) -> None:
    """Write a report as pages for Sphinx: the summary as front page and ledger, any other as it
    is. Code opens with a click, a pasted image stands in the text, and a page has a title."""
    cells = nbformat.read(path, as_version=4).cells
    lines = {cell.id: 10_000 * number for number, cell in enumerate(cells, 1)}  # for warnings
    for cell in cells:
        cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), "hide-input"})
        for name, image in cell.pop("attachments", {}).items():
            ((kind, data),) = image.items()
            cell.source = cell.source.replace(f"attachment:{name}", f"data:{kind};base64,{data}")
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    if not re.search("^ {0,3}#{1,6} ", prose, re.M):
        cells.insert(0, new_markdown_cell(f"# {path.stem[:2]} · {path.stem[3:].replace('_', ' ')}"))
    pages = {path.stem: cells}
    if path.stem.endswith("_summary"):
        tags = [cell.metadata["tags"] for cell in cells]
        at = next(place for place, some in enumerate(tags) if "ledger" in some)
        ledger, front = cells[at:], cells[:at]
        ledger[0].source = ledger[0].source.removeprefix("#")  # a page's title
        front = [cell for cell in front if "injected-parameters" not in cell.metadata["tags"]]
        pages = {"ledger": ledger, "index": [*front, new_markdown_cell(CONTENTS)]}
    for name, part in pages.items():
        metadata = DOCUMENT | {"source_map": [lines.get(cell.id, 0) for cell in part]}
        metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}  # magics too
        nbformat.write(new_notebook(cells=part, metadata=metadata), sources / f"{name}.ipynb")


def readable_from_disk(page: str) -> str:
    """A page without what a browser refuses to read from a disk: a font ahead of time, a module of
    a file. Its ledger, if any, can be searched; no squares are read out one by one."""
    page = re.sub(r'<link rel="preload" as="font".*?/>', "", page)
    page = re.sub("[🟦🟪⬜🟧]+", r'<span aria-hidden="true">\g<0></span>', page)
    if "tag_ledger" in page:
        library = Path(options.dt_bundle)
        style, script = library.with_suffix(".css").read_text("utf-8"), library.read_bytes()
        page = page.replace("</body>", SEARCHABLE % (style, b64encode(script).decode()))
    return page


if __name__ == "__main__":
    with FileLock(BUILD.with_suffix(".lock")):  # one build at a time
        sys.exit(main(*sys.argv[1:]))
