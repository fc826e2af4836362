"""The notebooks, their parameter files and the reports, held against each other."""

import ast
import contextlib
import re
from pathlib import Path

import nbformat
import papermill
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from fmnist_keras import evidence
from fmnist_keras.evidence.claims import claims
from fmnist_keras.parameters import NOTEBOOKS, read
from fmnist_keras.settings import ROOT
from scripts.report import chapters

NAMES = [path.stem for path in chapters(NOTEBOOKS)]
GIVEN = sorted(path for path in ROOT.glob("params/*/*.yaml") if path.stem != "costs")


def calls(path: Path, *functions: str) -> list[ast.Call]:
    """A notebook's calls of some functions."""
    cells = nbformat.read(path, as_version=4).cells
    transform = TransformerManager().transform_cell  # of IPython's magics
    code = [ast.parse(transform(cell.source)) for cell in cells if cell.cell_type == "code"]
    nodes = [node for part in code for node in ast.walk(part) if isinstance(node, ast.Call)]
    return [node for node in nodes if ast.unparse(node.func) in functions]


def check_shape(path: Path) -> None:
    """What every chapter has, a user's own one too."""
    cells = nbformat.read(path, as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert len(cells) <= 50
    assert cells[0].source.startswith(f"# {path.stem[:2]} · ")
    result = r"\b0\.[1-9]\d\d|\d ?(%|pp|points)(?! conf)"  # a rate may be named, a result not
    assert not re.search(result, prose), "results are printed by cells, not typed into prose"
    (begin,) = calls(path, "begin")
    assert [ast.unparse(argument) for argument in begin.args] == [f"{path.stem!r}", "globals()"]
    there = claims().get(path.stem, {}).values()
    assert any(claim.answer for claim in there) or not there
    assert len(calls(path, "end")) == 1 or not there
    shown = [ast.literal_eval(source) for call in calls(path, "claims") for source in call.args[1:]]
    assert sorted(shown) == sorted({claim.source for claim in there} - {"ours"})


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_has_the_same_shape(name):
    check_shape(NOTEBOOKS / f"{name}.ipynb")


@pytest.mark.parametrize("path", GIVEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_parameter_files_fit_their_notebook(path):
    assert read(path)


def shown_ids(name: str) -> list[str]:
    """Ids of the published numbers that a notebook's ledger tables show, by reading its calls."""
    path, ids, constants = NOTEBOOKS / f"{name}.ipynb", [], {}
    for cell in nbformat.read(path, as_version=4).cells:
        nodes = ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else []
        for node in (node for node in nodes if isinstance(node, ast.Assign)):
            with contextlib.suppress(ValueError):  # a list of ids, perhaps
                constants[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
    for node in calls(path, "numbers"):
        given = [ast.unparse(argument).removeprefix("*") for argument in node.args[1:]]
        patterns = [constants.get(text) or ast.literal_eval(text) for text in given]
        flat = [part for some in patterns for part in ([some] if type(some) is str else some)]
        ids += [row.id for row in evidence.select(flat) if not row.fact]
    for node in calls(path, "evidence.facts"):
        ids += [ast.literal_eval(key) for key in node.args[0].keys]
    return ids


def test_every_published_number_stands_in_exactly_one_table():
    shown = {name: shown_ids(name) for name in NAMES}
    places = [(number, name) for name, ids in shown.items() for number in ids]
    expected = [(row.id, row.notebook) for row in evidence.published().values()]
    assert sorted(places) == sorted(expected)


@pytest.mark.slow
def test_a_wrong_parameter_stops_the_study_before_it_trains(tmp_path, results_folder):
    notebook = str(NOTEBOOKS / "02_baseline.ipynb")
    options = {"kernel_name": "python3", "cwd": ROOT, "progress_bar": False}
    message = "epochz = 3: 02_baseline has no such parameter"
    with pytest.raises(papermill.PapermillExecutionError, match=message):
        papermill.execute_notebook(notebook, tmp_path / "report.ipynb", {"epochz": 3}, **options)
    assert not results_folder.exists()


def test_committed_reports_are_whole_and_without_errors():
    for name in chapters(ROOT / "reports" / "paper"):
        cells = nbformat.read(name, as_version=4).cells
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        assert outputs, name
        for cell in (cell for cell in cells if "mystnb" in cell.metadata):  # describes a figure
            assert any("image/png" in output.data for output in cell.outputs), (name, cell.source)
        kinds = {output.get("name", output.output_type) for output in outputs}
        assert not kinds & {"stderr", "error"}, name
