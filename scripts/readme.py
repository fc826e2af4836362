"""Put the headline of a profile's reports (findings, table and tally), the chapters with their
answers and the summary's figure into README.md.

    python scripts/readme.py quick
"""

import re
import sys
from pathlib import Path

import nbformat
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist_keras.chapter import collect
from fmnist_keras.evidence import published, sentence
from fmnist_keras.evidence.verdicts import (
    NO_READING,
    NOT_REPRODUCED,
    NOT_RUN,
    OTHER_READING,
    REPRODUCED,
    WORDS,
)
from fmnist_keras.settings import ROOT
from scripts.chapters import card, image

FINDINGS = ("D-C20", "K-C05", "K-C22 fair", "M-C15 fair", "M-C36")
"""Ids of the decided claims that README shows as sentences."""
FIGURE_CELL = "14-07"  # of the summary: every number as a distance


def headline(profile: str) -> str:
    """README's first screen, as Markdown: some findings, the architectures of table 6.1 by test
    accuracy, and how many published numbers and claims got which verdict."""
    numbers, claims = numbers_once(profile), own_claims(profile)
    tallies = [
        f"- {len(numbers)} published numbers: {_tally(numbers)}.",
        f"- {len(claims)} claims of the sources about their own results: {_tally(claims)}.",
    ]
    parts = [in_short(profile), "\n".join(tallies), findings(profile), architectures(profile)]
    return "\n\n".join([*parts, NOTE])


NOTE = (
    "*In brackets stands a 95 % confidence interval, and so does ± in the table; n is the number "
    "of seeds; assumed is what the report does not say. "
    '"Put fairly" means the same claim between equals: each at its own best learning '
    'rate, or at the same width. "Under another reading" means that a source leaves something '
    "open, a width, a rate or a stop rule, and that the number comes out with another choice "
    "than ours.*"
)
"""What the words and signs of the headline mean."""


def in_short(profile: str) -> str:
    """The answer to it all in two sentences."""
    numbers, claims = verdicts(numbers_once(profile)), verdicts(own_claims(profile))
    said = []
    for counts in (numbers, claims):
        held = counts.get(REPRODUCED, 0) + counts.get(OTHER_READING, 0)
        failed = counts.get(NOT_REPRODUCED, 0) + counts.get(NO_READING, 0)
        said += [sum(counts.values()), held, failed, sum(counts.values()) - held - failed]
    return (
        "**In short**: of {} published numbers {} come out again and {} do not, under no reading "
        "of what their report leaves open; {} stay open. Of {} claims that the reports make about "
        "their own results {} hold and {} do not; {} stay open.".format(*said)
    )


def findings(profile: str) -> str:
    """Some decided claims as sentences, in a list."""
    claims = collect(profile, "claims")
    by_id = claims.drop_duplicates("id").set_index("id", drop=False)
    found = [name for name in FINDINGS if name in by_id.index]
    return "\n".join(f"- {sentence(by_id.loc[name])}" for name in found)


def architectures(profile: str) -> str:
    """Table 6.1 of the Keras study by test accuracy, published beside measured."""
    numbers = collect(profile, "numbers")
    part = numbers[numbers["id"].str.match(r"K-T6\.1-.*-acc")].astype({"n": int})
    shortened = part["verdict"] == NOT_RUN
    part["measured"] += np.where(shortened, " (shortened)", "")
    columns = ["condition", "published", "measured", "n", "verdict", "assumed"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join(
        lines + ["| " + " | ".join(map(str, row)) + " |" for row in part[columns].values]
    )


def numbers_once(profile: str):
    """The published numbers with their verdicts; one that was printed twice stands there once."""
    numbers = collect(profile, "numbers")
    return numbers[[published()[name].same_as is None for name in numbers["id"]]]


def own_claims(profile: str):
    """The claims that the sources make about their own results, with their verdicts."""
    claims = collect(profile, "claims")
    return claims[claims["kind"] == "R"]


def verdicts(rows) -> dict[str, int]:
    """How many of the rows have each verdict, in the order of the words."""
    counts = rows["verdict"].value_counts()
    return {word: int(counts[word]) for word in WORDS if word in counts}


def _tally(rows) -> str:
    return ", ".join(f"{number} {word}" for word, number in verdicts(rows).items())


def chapters(profile: str) -> str:
    """The chapters as a Markdown table: title, question or answer, and a link to the report."""
    lines = ["| chapter | answer |", "|---|---|"]
    for path in sorted((ROOT / "reports" / profile).glob("*.ipynb")):
        title, question, answered = card(nbformat.read(path, as_version=4))
        said = [line for line in answered.splitlines()[:-1] if line] or [question]
        place = path.relative_to(ROOT)
        lines.append(f"| [{title}]({place}) | {'<br>'.join(said)} |")
    return "\n".join(lines)


def update_readme(profile: str) -> None:
    """Write headline and chapters into README.md, each between its markers, and the summary's
    figure into ``reports/<profile>/headline.png``; all links lead to the profile's reports."""
    readme, folder = ROOT / "README.md", ROOT / "reports" / profile
    text = readme.read_text()
    for name, part in {"headline": headline(profile), "chapters": chapters(profile)}.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end {name} -->)", re.S)
        text = marked.sub(lambda found, part=part: f"{found[1]}{part}{found[2]}", text)
    readme.write_text(re.sub(r"\(reports/\w+", f"(reports/{profile}", text))
    summary = nbformat.read(folder / "14_summary.ipynb", as_version=4)
    (folder / "headline.png").write_bytes(image(summary, FIGURE_CELL))


if __name__ == "__main__":
    update_readme(*sys.argv[1:])
