"""Build a static site from a profile's reports, into site/build/html: open its
index.html, without a server.

    python scripts/site.py paper

The summary is the front page, each other report a chapter. Cells say in their metadata what a page
leaves out and what stands for a figure where it cannot be seen.
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
SITE = ROOT / "site"
SOURCES, HTML = SITE / "build" / "sources", SITE / "build" / "html"
FRONT_PAGE = "17_summary"
CONTENTS = """```{toctree}
:hidden:
:caption: Chapters
:glob:

[0-9]*
```"""
SEARCHABLE = """<style>%s</style><script type="module">
import {ITable} from "data:text/javascript;base64,%s";
for (const table of document.querySelectorAll(".tag_ledger table"))
  new ITable(table, {paging: false, order: [], autoWidth: false});
</script></body>"""


def main(profile: str) -> int:
    shutil.rmtree(SITE / "build", ignore_errors=True)
    SOURCES.mkdir(parents=True)
    for path in sorted((ROOT / "reports" / profile).glob("*.ipynb")):
        page = nbformat.read(path, as_version=4)
        for cell in page.cells:  # code opens with a click
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
        if path.stem == FRONT_PAGE:
            page.cells.append(nbformat.v4.new_markdown_cell(CONTENTS))
        nbformat.write(page, SOURCES / path.name.replace(FRONT_PAGE, "index"))
    settings = ["-q", "-W", "-c", str(SITE), "-d", str(SITE / "build" / "doctrees")]
    code = build_main([*settings, str(SOURCES), str(HTML)])
    for path in HTML.glob("*.html"):
        path.write_text(readable_from_disk(path.read_text()))
    return code


def readable_from_disk(page: str) -> str:
    """A page that asks for nothing a browser refuses to read from a disk: no font ahead of time, no
    module of a file. Its ledger, if any, can be searched and sorted; its squares are not read out
    one by one."""
    page = re.sub(r'<link rel="preload" as="font".*?/>', "", page)
    page = re.sub("[🟦🟪⬜🟨🟧🟥⬛]+", r'<span aria-hidden="true">\g<0></span>', page)
    if "tag_ledger" in page:
        library = Path(options.dt_bundle)
        script = b64encode(library.read_bytes()).decode()
        style = library.with_suffix(".css").read_text()
        page = page.replace("</body>", SEARCHABLE % (style, script))
    return page


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
