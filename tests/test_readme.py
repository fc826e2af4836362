"""What the README says can be added, added as it says, in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fmnist_keras.notebook.tables import ROOT


def blocks(heading: str) -> list[tuple[str, str]]:
    """(language, text) of each block of code under a heading of the README."""
    section = (ROOT / "README.md").read_text().split(f"### {heading}\n")[1].split("\n### ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", section, re.S)


@pytest.fixture
def project(tmp_path):
    copy = tmp_path / "project"
    for name in ("fmnist_keras", "scripts"):
        shutil.copytree(ROOT / name, copy / name)
    for name in ("notebooks", "params/quick"):
        (copy / name).mkdir(parents=True)
    return copy


def test_its_blocks_and_figure_are_those_of_the_reports_that_it_links_to(tmp_path):
    """Written anew, nothing changes."""
    readme = (ROOT / "README.md").read_text()
    (profile,) = set(re.findall(r"\(reports/(\w+)", readme))
    report, figure = (f"reports/{profile}/{name}" for name in ("14_summary.ipynb", "headline.png"))
    (tmp_path / figure).parent.mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for name in ("README.md", report):
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run([sys.executable, tmp_path / "scripts" / "readme.py", profile], check=True)
    assert (tmp_path / "README.md").read_text() == readme
    assert (tmp_path / figure).read_bytes() == (ROOT / figure).read_bytes()


def test_a_study_is_three_files(project):
    claims = project / "fmnist_keras" / "evidence" / "claims"
    written = blocks("A study")
    assert [language for language, _ in written] == ["markdown", "python", "python", "yaml", "yaml"]
    title, parameters, experiment, given, claim = (text for _, text in written)
    cells = [new_markdown_cell(title), new_code_cell(parameters), new_code_cell(experiment)]
    cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(new_notebook(cells=cells), project / "notebooks" / "15_momentum.ipynb")
    (project / "params" / "quick" / "15_momentum.yaml").write_text(given)
    (claims / "15_momentum.yaml").write_text(claim)
    executed = subprocess.run(
        [sys.executable, "scripts/report.py", "quick", "1", "15_momentum"],
        cwd=project, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(project)},
    )  # fmt: skip
    assert executed.returncode == 0, executed.stdout + executed.stderr
    report = nbformat.read(project / "reports" / "quick" / "15_momentum.ipynb", as_version=4)
    shown = [str(output) for cell in report.cells for output in cell.get("outputs", [])]
    box, *rest = shown
    assert "**Holds** (our finding): After a few epochs momentum has raised" in box
    assert any("F-15-1" in output for output in rest)
    assert any("image/png" in output for output in rest)


def test_an_architecture_is_a_cell(tmp_path):
    (cell,) = (text for language, text in blocks("An architecture") if language == "python")
    notebook = new_notebook(cells=[new_code_cell(cell)])
    results = os.environ | {"FMNIST_RESULTS": str(tmp_path)}
    NotebookClient(notebook, kernel_name="python3").execute(env=results, cwd=ROOT)
    shown = notebook.cells[0].outputs[-1].data["text/plain"].splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in shown[2:]}
    assert float(rows["strided"][0]) == 5 * 5 * 8 + 8 + 12 * 12 * 8 * 10 + 10
    assert float(rows["strided"][1]) > 0.5
