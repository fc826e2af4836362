"""The notebooks, their parameter files and the reports, held against each other."""

import ast
import contextlib
import re

import nbformat
import papermill
import pytest
import yaml

from fmnist_keras import evidence
from fmnist_keras.notebook.parameters import NOTEBOOKS, check_parameters, defaults
from fmnist_keras.notebook.tables import ROOT, tables

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
NAMES = [path.stem for path in PATHS]
STUDIES = [name for name in NAMES if name != "14_summary"]


def code(name: str) -> list[str]:
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_has_the_same_shape(name):
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert len(cells) <= 55
    assert cells[0].source.startswith(f"# {name[:2]} · ")
    result = r"\b0\.[1-9]\d\d|\d ?(%|pp|points)(?! conf)"  # a rate may be named, a result not
    assert not re.search(result, prose), "results are printed by cells, not typed into prose"
    assert f'check_parameters("{name}", globals())' in "\n".join(code(name))


@pytest.mark.parametrize("profile", ["quick", "paper"])
@pytest.mark.parametrize("name", STUDIES)
def test_parameter_files_fit_their_notebook(name, profile):
    given = yaml.safe_load((ROOT / "params" / profile / f"{name}.yaml").read_text())
    check_parameters(name, given)
    allowed = defaults(name)
    assert set(allowed) - set(given) <= {"storage"}, "a profile says all but where runs are kept"
    for key, value in given.items():
        types = {type(value), type(allowed[key])} - {type(None)}
        assert len(types) <= 1, f"{key}: {types}"


def shown_ids(name: str) -> list[str]:
    """Ids of the published numbers that a notebook's ledger tables show, by reading its calls."""
    ids, constants = [], {}
    for node in (node for source in code(name) for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Assign):
            with contextlib.suppress(ValueError):  # a list of ids, perhaps
                constants[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if ast.unparse(node.func) == "evidence.table":
            given = [ast.unparse(argument).removeprefix("*") for argument in node.args[1:]]
            patterns = [constants.get(text) or ast.literal_eval(text) for text in given]
            flat = [part for some in patterns for part in ([some] if type(some) is str else some)]
            ids += [row.id for row in evidence.select(flat) if not row.fact]
        if ast.unparse(node.func) == "evidence.facts":
            ids += [ast.literal_eval(key) for key in node.args[0].keys]
    return ids


def test_every_published_number_stands_in_exactly_one_table():
    shown = {name: shown_ids(name) for name in STUDIES}
    places = [(number, name) for name, ids in shown.items() for number in ids]
    expected = [(row.id, row.notebook) for row in evidence.published().values()]
    assert sorted(places) == sorted(expected)


def run(name: str, folder, **changes):
    given = yaml.safe_load((ROOT / "params" / "quick" / f"{name}.yaml").read_text())
    output = folder / f"{name}.ipynb"
    papermill.execute_notebook(
        NOTEBOOKS / f"{name}.ipynb", output, {**given, **changes}, kernel_name="python3",
        cwd=ROOT, progress_bar=False,
    )  # fmt: skip
    return {row["id"]: row for row in tables(output) if row["rows"] in {"numbers", "facts"}}


SMALL = {"seeds": [0, 1], "train_size": 5000, "test_size": 1000}


def test_baseline_runs_through_papermill(tmp_path):
    rows = run("02_baseline", tmp_path, **SMALL, epochs=4)
    accuracy = float(rows["K-F2.2-acc"]["measured"].partition(" ")[0])
    assert accuracy == pytest.approx(0.41, abs=0.12)
    assert rows["K-F2.2-acc"]["verdict"] == "not run at full protocol"
    assert rows["K-S2-steps"]["verdict"] == "not reproduced"


def test_learning_rate_runs_through_papermill(tmp_path):
    rows = run("03_learning_rate", tmp_path, **SMALL, epochs=1, final_epochs=2, trials=2)
    accuracy = {key: float(row["measured"].partition(" ")[0]) for key, row in rows.items()}
    assert accuracy["K-T3.1-0.00015"] < 0.35 < accuracy["K-T3.1-1.620"]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"epochz": 3}, "epochz = 3: 02_baseline has no such parameter"),
     ({"epochs": "1e-3"}, "epochs = '1e-3': must be an integer"),
     ({"seeds": []}, "seeds = ")],
)  # fmt: skip
def test_a_wrong_parameter_stops_the_study_before_it_trains(tmp_path, monkeypatch, change, message):
    monkeypatch.setenv("FMNIST_RESULTS", str(tmp_path / "results"))
    with pytest.raises(papermill.PapermillExecutionError, match=message):
        run("02_baseline", tmp_path, **change)
    assert not (tmp_path / "results").exists()


def test_committed_reports_are_whole_and_without_errors():
    for name in NAMES:
        cells = nbformat.read(ROOT / "reports" / "quick" / f"{name}.ipynb", as_version=4).cells
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        assert outputs, name
        kinds = {output.get("name", output.output_type) for output in outputs}
        assert not kinds & {"stderr", "error"}, name
