"""What an executed notebook says as a chapter: its title, its answer, its figures in words."""

import base64
import re
from collections.abc import Iterator


def answer(notebook) -> str:
    """What stands in the box under a report's title, if it has one."""
    boxes = [cell for cell in notebook.cells if cell.source == "notebook.answer_box()"]
    texts = [output.data["text/markdown"] for cell in boxes for output in cell.outputs]
    return "\n".join(re.sub("^> ?", "", line) for line in "".join(texts).splitlines())


def heading(markdown: str) -> str:
    """The last heading of a text, without its marks; nothing where there is none."""
    lines = [line for line in markdown.splitlines() if line.startswith("#")]
    return lines[-1].lstrip("# ") if lines else ""


def first_sentence(markdown: str) -> str:
    """The first sentence of a text below its heading; nothing where there is none."""
    prose = (line for line in markdown.splitlines() if re.match(r"[^#|$:-]", line))
    plain = re.sub(r"[`*]|\[([^]]*)]\([^)]*\)", r"\1", next(prose, ""))
    return re.split(r"(?<=[.?]) ", plain)[0]


def card(notebook) -> tuple[str, str, str]:
    """A chapter's title, its question and its answer."""
    first = notebook.cells[0].source
    return heading(first), first_sentence(first), answer(notebook)


def image(notebook, cell_id: str) -> bytes:
    """The figure, PNG, that a cell of an executed notebook shows."""
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    (png,) = (o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {}))
    return base64.b64decode(png)


def described(notebook) -> Iterator[tuple]:
    """Its code cells, each with an alternative text for the figures that it shows: the chapter, the
    section, and the first sentence of the text above."""
    title = section = about = heading(notebook.cells[0].source)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            section, about = heading(cell.source) or section, first_sentence(cell.source)
        elif cell.cell_type == "code":
            yield cell, ". ".join(dict.fromkeys(filter(None, [title, section, about])))
