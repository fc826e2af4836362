"""Build a static site from a profile's reports; site/build/html/index.html needs no server.

    python scripts/site.py paper

The summary is the front page, each other report a chapter; the summary's ledger has a page of its
own. Cells say in their metadata what a page leaves out and what stands for a figure where it cannot
be seen.
"""

import re
import shutil
import sys
from base64 import b64encode
from pathlib import Path

import nbformat
from itables import options
from sphinx.cmd.build import build_main

ROOT = Path(__file__).resolve().parents[1]
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
    shutil.rmtree(BUILD, ignore_errors=True)
    sources, html = BUILD / "sources", BUILD / "html"
    sources.mkdir(parents=True)
    for path in sorted((ROOT / "reports" / profile).glob("*.ipynb")):
        page = nbformat.read(path, as_version=4)
        for cell in page.cells:  # code opens with a click
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
        if path.stem.endswith("_summary"):
            ledger = [cell for cell in page.cells if "ledger" in cell.metadata["tags"]]
            ledger[0].source = ledger[0].source.removeprefix("#")  # a page's title
            own = nbformat.v4.new_notebook(cells=ledger, metadata=page.metadata)
            nbformat.write(own, sources / "ledger.ipynb")
            page.cells = [cell for cell in page.cells if cell not in ledger]
            page.cells.append(nbformat.v4.new_markdown_cell(CONTENTS))
            path = path.with_stem("index")
        nbformat.write(page, sources / path.name)
    settings = ["-q", "-W", "-c", ROOT / "site", "-d", BUILD / "doctrees"]
    code = build_main([*map(str, settings), str(sources), str(html)])
    for path in html.glob("*.html"):
        path.write_text(readable_from_disk(path.read_text("utf-8")), "utf-8")
    for path in (html / "_static" / "mathjax").iterdir():  # pages load tex-chtml.js and its fonts
        if path.name not in {"tex-chtml.js", "output"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return code


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
    sys.exit(main(*sys.argv[1:]))
