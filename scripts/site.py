"""Build a static site from a profile's reports, into site/build/html: open its
index.html, without a server.

    python scripts/site.py quick

The front page says what was asked and found, a card leads to each chapter, one page lists all
numbers and claims, another when and where each chapter was executed.
"""

import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
from bs4 import BeautifulSoup
from itables import options, to_html_datatable
from itables.javascript import generate_init_offline_itables_html
from sphinx.cmd.build import build_main

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist_keras.chapter import MIME, collect
from fmnist_keras.figures.style import VERDICTS
from fmnist_keras.settings import ROOT
from scripts.chapters import answer, card, described, image
from scripts.readme import (
    FIGURE_CELL,
    NOTE,
    architectures,
    findings,
    in_short,
    numbers_once,
    own_claims,
    verdicts,
)

SITE = ROOT / "site"
SOURCES, HTML = SITE / "build" / "sources", SITE / "build" / "html"
SET_UP = ("notebook.check_parameters(", "notebook.answer_box(")
LEDGER = {
    "numbers": ["id", "condition", "quantity", "published", "measured", "n", "distance", "verdict",
                "assumed"],
    "claims": ["id", "kind", "claim", "effect", "n", "verdict", "rests on"],
}  # fmt: skip


def main(profile: str) -> int:
    shutil.rmtree(SOURCES, ignore_errors=True)
    SOURCES.mkdir(parents=True)
    reports = sorted((ROOT / "reports" / profile).glob("*.ipynb"))
    chapters = {path.stem: nbformat.read(path, as_version=4) for path in reports}
    for name, chapter in chapters.items():
        nbformat.write(as_page(chapter), SOURCES / f"{name}.ipynb")
    (SOURCES / "headline.png").write_bytes(image(chapters["14_summary"], FIGURE_CELL))
    write("index", front_page(profile, {name: card(read) for name, read in chapters.items()}))
    write("ledger", ledger(profile))
    write("provenance", provenance(profile, chapters))
    shutil.rmtree(HTML, ignore_errors=True)
    settings = ["-q", "-W", "-c", str(SITE), "-d", str(SITE / "build" / "doctrees")]
    code = build_main([*settings, str(SOURCES), str(HTML)])
    for page in HTML.glob("*.html"):  # a page opened from disk may not preload fonts
        page.write_text(re.sub(r'<link rel="preload" as="font".*?/>', "", page.read_text()))
    return code


def write(name: str, text: str) -> None:
    (SOURCES / f"{name}.md").write_text(text, encoding="utf-8")


def as_page(notebook):
    """The report as a chapter: code folded, set-up and log lines away, the answer as a box, and an
    alternative text for each figure."""
    answered = with_bar(answer(notebook))
    injected = any("injected-parameters" in tags(cell) for cell in notebook.cells)
    for cell, alt in described(notebook):
        wanted = {"hide-input"}
        if cell.source.startswith(("import ", "from ", *SET_UP)) or (
            injected and "parameters" in tags(cell)
        ):
            wanted = {"remove-cell"}
        cell.metadata = nbformat.from_dict(
            {"tags": sorted(wanted), "mystnb": {"image": {"alt": alt}}}
        )
        for output in cell.outputs:
            output.get("data", {}).pop(MIME, None)
    if answered:
        box = nbformat.v4.new_markdown_cell(
            f":::{{admonition}} The answer\n:class: tip\n\n{answered}\n:::", id="answer"
        )
        notebook.cells.insert(1, box)
    return notebook


def with_bar(answered: str) -> str:
    """An answer whose last line, the verdicts in words and squares, is a bar."""
    *lines, last = answered.splitlines() or [""]
    title, _, verdicts = last.partition(": ")
    if not verdicts:
        return answered
    shares = [part.split(" ", 2)[1:] for part in verdicts.split(" · ")]
    return "\n".join([*lines, bar(title, {word: int(number) for number, word in shares})])


def bar(title: str, counts: dict[str, int]) -> str:
    """A bar of colored shares, and the same in words."""
    shares = "".join(
        f'<span style="flex: {number}; background: {VERDICTS[word][0]}"></span>'
        for word, number in counts.items()
    )
    words = ", ".join(
        f'<span class="verdict" style="--color: {VERDICTS[word][0]}">{number} {word}</span>'
        for word, number in counts.items()
    )
    return (
        f'<div class="verdict-bar" aria-hidden="true">{shares}</div>'
        f'<div class="verdict-words">{title}: {words}</div>'
    )


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def front_page(profile: str, cards: dict[str, tuple[str, str, str]]) -> str:
    grid = "\n".join(
        f":::{{grid-item-card}} {title}\n:link: {name}\n:link-type: doc\n"
        f"{with_bar(answered) or question}\n:::"
        for name, (title, question, answered) in cards.items()
    )
    chapters = "\n".join(cards)
    return f"""# What five Fashion-MNIST reports said, and what holds

Five published reports tuned small neural networks on Fashion-MNIST and quoted one run per number:
a Keras study (learning rate, optimizer, batch size, seven architectures), a PyTorch assignment, a
DNN homework and an MLP report (width, depth, dropout, penalties, early stopping, normalization,
initialization), and an imputation report (a network that restores a missing column of pixels).
Could one new run give each of their numbers? Do their claims hold from seed to seed? Here their
experiments are run again, each at several seeds (profile `{profile}`).

{in_short(profile)}

{tally(profile)}

## Five findings

{findings(profile)}

{NOTE}

A number is reproduced if it lies within what one new run may give: the 95 % prediction interval of
our seeds. A claim is reproduced if the difference that it speaks of has the claimed sign and an
interval on that side of zero, and not reproduced if the interval lies on the other side, or is too
close to zero to matter: within a point of accuracy, or a tenth of a loss, unless the claim itself
says otherwise. What neither shows is undecided.

## The seven architectures

{architectures(profile)}

## Every number as a distance

One mark is one published number. Its distance from our mean is measured in standard errors of one
new run; between the dashed lines lies what a new run may give in 95 of 100 cases. The letter in
front is the report (K: Keras study, P: PyTorch assignment, D: DNN homework, M: MLP report,
I: imputation report), and the [list of all numbers](ledger) says in words what each is.

[![Every published number as a distance from ours, colored by verdict](headline.png)](14_summary)

## Chapters

::::{{grid}} 1 1 2 2
:gutter: 3
{grid}
::::

```{{toctree}}
:hidden:
:caption: Chapters

{chapters}
```

```{{toctree}}
:hidden:
:caption: All of it

ledger
provenance
```
"""


def tally(profile: str) -> str:
    """The verdicts of all numbers and claims that count, as two bars."""
    counted = {"published numbers": numbers_once(profile), "claims": own_claims(profile)}
    return "\n".join(
        bar(f"<b>{len(rows)} {what}</b>", verdicts(rows)) for what, rows in counted.items()
    )


def ledger(profile: str) -> str:
    """All numbers and claims, searchable and sortable."""
    library = generate_init_offline_itables_html(options.dt_bundle)
    parts = [f"# All numbers and claims\n\n```{{raw}} html\n{library}\n```\n"]
    for rows, columns in LEDGER.items():
        table = collect(profile, rows)[columns].fillna("")
        page = to_html_datatable(
            table,
            connected=False,
            showIndex=False,
            table_id=f"all-{rows}",
            paging=False,
            maxBytes=0,
        )
        parts.append(f"## {rows.capitalize()}\n\n```{{raw}} html\n{page}\n```\n")
    return "\n".join(parts)


def provenance(profile: str, chapters: dict) -> str:
    """How the runs of each chapter came to be, as its report says; and when, for how long and at
    which commit, as far as this machine knows."""
    made, executed = [], []
    for name, notebook in chapters.items():
        made += [
            {"chapter": name, "runs": row["runs"], "threads": row.get("threads", 1),
             "fingerprint": row["fingerprint"], "device": row["device"],
             "versions": f"{row['versions']}; on {row['backend']}"}
            for row in made_by(notebook)
        ]  # fmt: skip
        times = ROOT / "reports" / profile / "times" / f"{name}.json"
        trained = times.with_suffix(".runs.json")
        if times.exists():
            known = json.loads(times.read_text())
            parts = json.loads(trained.read_text()) if trained.exists() else []
            seconds = sum(part["seconds"] for part in parts)
            commits = ", ".join(dict.fromkeys(part["commit"] for part in parts))
            executed.append(
                {"chapter": name, "executed": known["started"][:16].replace("T", " "),
                 "seconds": known["seconds"], "cores": known["cores"],
                 "training, seconds of a core": round(seconds) or "–",
                 "trained at commit": commits or "–"}
            )  # fmt: skip
    made = pd.DataFrame(made, columns=MADE)
    alike = [name for name in ("device", "versions") if made[name].nunique() == 1]
    said = [f"The {name} of all runs: {made[name].iloc[0]}." for name in alike]
    parts = ["# When and where", "## How the runs came to be", *said]
    parts.append(as_markdown(made.drop(columns=alike)))
    if executed:
        parts += ["## When the chapters were executed", WHEN, as_markdown(pd.DataFrame(executed))]
    return "\n\n".join(parts)


MADE = ["chapter", "runs", "threads", "fingerprint", "device", "versions"]
WHEN = """Executing a chapter again trains only what is not stored, so it may take seconds; the
training behind it is counted apart."""


def made_by(notebook) -> list[dict[str, str]]:
    """The rows of a report's table of provenance, by column."""
    cells = [cell for cell in notebook.cells if cell.source.startswith("provenance.table(")]
    pages = [output.data["text/html"] for cell in cells for output in cell.outputs]
    rows = []
    for page in (BeautifulSoup(page, "html.parser") for page in pages):
        columns = [cell.text for cell in page.select("thead th")][1:]
        body = ([cell.text for cell in row.select("td")] for row in page.select("tbody tr"))
        rows += [dict(zip(columns, texts, strict=True)) for texts in body]
    return rows


def as_markdown(table: pd.DataFrame) -> str:
    table = table.astype(str)
    lines = ["| " + " | ".join(table) + " |", "|---" * table.shape[1] + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in table.to_numpy())])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
