"""What the README says can be added, added as it says, in a copy of the project."""

import re
import shutil
import subprocess
import sys

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fmnist_keras import registry
from fmnist_keras.chapter import tables
from fmnist_keras.settings import ROOT


def blocks(heading: str) -> list[tuple[str, str]]:
    """(language, text) of each block of code under a heading of the README."""
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.split(f"### {heading}\n")[1].split("\n### ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", section, re.S)


def test_its_blocks_and_figure_are_those_of_the_reports_that_it_links_to(tmp_path):
    """Written anew, nothing changes."""
    readme = (ROOT / "README.md").read_text("utf-8")
    (profile,) = set(re.findall(r"\(reports/(\w+)", readme))
    report, figure = (f"reports/{profile}/{name}" for name in ("17_summary.ipynb", "headline.png"))
    (tmp_path / figure).parent.mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for name in ("README.md", report):
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run([sys.executable, tmp_path / "scripts" / "readme.py", profile], check=True)
    assert (tmp_path / "README.md").read_text("utf-8") == readme
    assert (tmp_path / figure).read_bytes() == (ROOT / figure).read_bytes()


@pytest.mark.slow
def test_a_study_is_three_files_that_pass_the_tests(tmp_path, monkeypatch):
    project = tmp_path / "project"
    for name in ("fmnist_keras", "scripts", "tests"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("expected"))
    shutil.copy(ROOT / "pyproject.toml", project)
    languages, texts = zip(*blocks("A study"), strict=True)
    assert languages == ("markdown", "python", "python", "yaml", "yaml")
    title, *code, claims, given = texts
    cells = [new_markdown_cell(title), *map(new_code_cell, code)]
    cells[1].metadata["tags"] = ["parameters"]
    notebook = project / "notebooks" / "20_momentum.ipynb"
    for folder in ("notebooks", "params/quick"):
        (project / folder).mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells), notebook)
    folder = project / "fmnist_keras" / "evidence" / "claims"
    (folder / "20_momentum.yaml").write_text(claims, "utf-8")
    (project / "params" / "quick" / "20_momentum.yaml").write_text(given, "utf-8")

    monkeypatch.setenv("PYTHONPATH", str(project))
    report = tmp_path / "report.ipynb"
    papermill.execute_notebook(
        notebook, report, {"train_size": 1_000}, kernel_name="python3", language="python",
        progress_bar=False,
    )  # fmt: skip
    (claim,) = (row for row in tables(report) if row["rows"] == "claims")
    assert (claim["id"], claim["outcome"]) == ("F-20-1", "reproduced")
    shown = nbformat.read(report, as_version=4).cells[3].outputs
    assert "**Holds** (our finding): After a few epochs momentum has raised" in str(shown[0])
    assert any("image/png" in output.data for output in shown)

    command = ["-m", "pytest", "-k", "20_momentum or ledger", "-p", "no:cacheprovider"]
    files = [f"tests/test_{name}.py" for name in ("notebooks", "parameters", "claims")]
    tested = subprocess.run(
        [sys.executable, *command, *files], cwd=project, capture_output=True, text=True, timeout=600
    )
    assert tested.returncode == 0, tested.stdout
    assert "4 passed" in tested.stdout


@pytest.fixture
def executed(shell, monkeypatch):
    """What the code under a heading shows at its end, run as a notebook's cell from the README."""
    monkeypatch.setattr(registry, "architectures", dict(registry.architectures))

    def run(heading: str) -> str:
        (cell,) = (text for language, text in blocks(heading) if language == "python")
        result = shell.run_cell(cell)
        result.raise_error()
        return shell.display_formatter.format(result.result)[0]["text/plain"]

    return run


@pytest.mark.slow
def test_an_architecture_is_a_cell(executed):
    shown = executed("An architecture").splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in shown[2:]}
    assert float(rows["strided_cnn"][0]) == 5 * 5 * 8 + 8 + 12 * 12 * 8 * 10 + 10
    assert float(rows["strided_cnn"][1]) > 0.5


@pytest.mark.slow
def test_a_function_is_trained_in_a_cell_once(executed, results_folder):
    shown = executed("Any function")
    assert shown.startswith("peak\n0.01    0.")
    files = {path: path.stat().st_mtime_ns for path in (results_folder / "runs").iterdir()}
    assert len(files) == 4
    assert executed("Any function") == shown
    assert {path: path.stat().st_mtime_ns for path in (results_folder / "runs").iterdir()} == files


@pytest.mark.slow
def test_a_search_is_a_cell(executed, results_folder):
    header, *trials = executed("A search").splitlines()
    assert {"learning_rate", "depth", "width", "value"} <= set(header.split())
    assert len(trials) == 6
    assert (results_folder / "searches.db").exists()
