"""What a chapter shows from its beginning to its end."""

import json

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure

from fmnist_keras import chapter, expected
from fmnist_keras.runs import Results

CLAIM = {
    "id": "K-C99", "source": "K", "kind": "R", "claim": "A is better.", "effect": "+9.7 points",
    "n": 3, "outcome": "reproduced", "answer": True, "measure": "test_accuracy",
    "differences": [0.1, 0.09, 0.1], "decisive": "test accuracy: A against B", "held": 1,
    "comparisons": 1,
}  # fmt: skip
FINDING = {**CLAIM, "id": "F-02-9", "source": "ours", "kind": "ours", "claim": "So it is."}
RUNS = pd.DataFrame(
    {"recipe": "aaa", "name": "A", "seed": [0, 1], "test_accuracy": [0.8, 0.82],
     "fingerprint": "f00d", "versions": "", "backend": "tensorflow", "device": "CPU"}
)  # fmt: skip


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """All that chapter 02 displays, each with its options; one claim and one finding are its."""

    def decide(results, name, *sources):
        rows = [row for row in (CLAIM, FINDING) if not sources or row["source"] in sources]
        frame = pd.DataFrame(rows)
        frame.attrs |= {"rows": "claims", "shown": ["id", "claim", "outcome"]}
        return frame

    displayed = []
    monkeypatch.setattr(chapter.evidence, "decide", decide)
    monkeypatch.setattr(expected, "EXPECTED", tmp_path)
    monkeypatch.setattr(chapter, "display", lambda what, **how: displayed.append((what, how)))
    chapter.begin("02_baseline", {"seeds": [0, 1], "epochs": 3})
    return displayed


def test_the_answer_fills_the_place_under_the_title(shown):
    ((_, place),) = shown
    chapter.end(Results(RUNS, RUNS))
    ((box, filled),) = [(what, how) for what, how in shown[1:] if "display_id" in how]
    assert filled == {**place, "update": True}
    lines = box["text/markdown"].split("\n>\n")
    said = "> **Reproduced** (Keras study): A is better. *test accuracy, A against B"
    assert lines[0].startswith(said)
    assert lines[1].startswith("> **Holds** (our finding): So it is.")
    assert lines[2].endswith("(not of causes, nor from textbooks): 🟦 1 reproduced")


def test_the_end_shows_findings_effects_and_provenance_and_prints_the_check(shown, capsys):
    shown.clear()
    chapter.end(Results(RUNS, RUNS), RUNS, provenance=[RUNS, RUNS.assign(recipe="bbb")])
    findings, effects, _, provenance = [what for what, _ in shown]
    assert [row["id"] for row in findings[chapter.MIME]] == ["F-02-9"]
    assert "So it is." in findings["text/markdown"]
    assert isinstance(effects, Figure)
    assert list(provenance["runs"]) == [4]
    assert capsys.readouterr().out.startswith("not checked: ")


def test_a_row_shows_what_a_phone_can_hold_and_opens_the_rest(shown):
    row = {
        **CLAIM,
        "claim": "A <i> B.",
        "outcome": "open",
        "reason": "one seed",
        "rests on": "A <b>",
    }
    table = pd.DataFrame([row])
    table.attrs |= {"rows": "claims", "shown": [*row]}
    chapter.show(table)
    what, _ = shown[-1]
    page = BeautifulSoup(what["text/html"], "html.parser")
    assert [cell.text for cell in page.select("th")] == ["claim", "effect", "outcome"]
    claim, effect, outcome = page.select("td")
    assert (claim.contents[0], effect.text, outcome.text) == (
        "A <i> B.", "+9.7 points", "open: one seed",
    )  # fmt: skip
    assert claim.select_one("details summary").text == "K-C99"
    assert "rests on: A <b>" in claim.select_one("details").text
    assert json.loads(json.dumps(what[chapter.MIME])) == [{"rows": "claims", **row}]


def test_the_numbers_are_stored_where_a_file_is_named(shown, monkeypatch, tmp_path):
    file = tmp_path / "numbers.csv"
    monkeypatch.setenv("FMNIST_OPTIONS", json.dumps({"numbers": str(file)}))
    chapter.end(Results(RUNS, RUNS))
    assert list(expected.read(file)["mean"]) == [0.81]
