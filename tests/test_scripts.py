"""What make and its scripts do, in a small project of notebooks that train nothing."""

import contextlib
import importlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook

from scripts.mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[1]
# What `make test` itself may have set.
OURS = {"MAKEFLAGS", "MAKELEVEL", "PROFILE", "STORAGE", "JOBS", "PORT", "FMNIST_STORAGE"}
WAIT = """
import os, time
open("pid", "w").write(str(os.getpid()))
try:
    time.sleep(60)
except KeyboardInterrupt:
    open("freed", "w").close()
    raise
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder, self.reports = folder, folder / "reports" / "quick"
        self.env = {key: value for key, value in os.environ.items() if key not in OURS}
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        (folder / "scripts" / "site.py").write_text("")  # test_site.py has real reports for it
        shutil.copy(ROOT / "Makefile", folder)
        for name in ("notebooks", "params/quick", "fmnist_keras", "benchmarks", ".venv", ".stamps"):
            (folder / name).mkdir(parents=True)
        for part in Path(sys.prefix).iterdir():
            if part.name != "ready":
                (folder / ".venv" / part.name).symlink_to(part)
        for name in ("requirements.txt", "pyproject.toml", ".venv/ready", ".stamps/data"):
            (folder / name).touch()

    def notebook(self, name: str, source: str) -> None:
        cells = [new_code_cell("epochs = 3\nprofile = ''", id="a"), new_code_cell(source, id="b")]
        cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(new_notebook(cells=cells), self.folder / "notebooks" / f"{name}.ipynb")

    def parameters(self, name: str, text: str) -> None:
        (self.folder / "params" / "quick" / f"{name}.yaml").write_text(text)

    def start(self, *command: str, **settings) -> subprocess.Popen:
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | settings
        return subprocess.Popen(command, cwd=self.folder, env=self.env, **settings)

    def run(self, *command: str) -> tuple[int, list[str]]:
        process = self.start(*command)
        lines = process.communicate(timeout=120)[0].splitlines()
        return process.returncode, lines

    def execute(self, name: str) -> tuple[int, list[str]]:
        return self.run(sys.executable, "scripts/execute.py", "quick", name)

    def kernel(self) -> psutil.Process:
        """The kernel that runs WAIT, as soon as it does."""
        while not (self.folder / "pid").exists() or not (self.folder / "pid").read_text():
            time.sleep(0.05)
        return psutil.Process(int((self.folder / "pid").read_text()))

    def files(self) -> set[str]:
        found = [*self.folder.glob("reports/**/*"), *self.folder.glob(".stamps/quick/*")]
        return {path.name for path in found if path.is_file()}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


def test_the_same_outputs_give_the_same_bytes(project):
    project.notebook(
        "02_baseline",
        "import random, sys, time\n"
        "for i in range(4):\n"
        "    print(epochs, flush=True); time.sleep(random.random() / 2)\n"
        "    print('warned', file=sys.stderr, flush=True)\n"
        "object()",  # shown with its place in memory
    )
    project.parameters("02_baseline", "epochs: 7")
    report, reports = project.reports / "02_baseline.ipynb", []
    for _ in range(2):
        assert project.execute("02_baseline") == (0, ["02_baseline started", "02_baseline done"])
        reports.append(report.read_bytes())
    assert reports[0] == reports[1]
    *outputs, shown = nbformat.read(report, as_version=4).cells[-1].outputs
    assert shown.data["text/plain"] == "<object>"
    assert [(output.name, output.text) for output in outputs] == [
        ("stdout", "7\n" * 4), ("stderr", "warned\n" * 4),
    ]  # fmt: skip
    assert project.files() == {"02_baseline.ipynb", "02_baseline.json"}


def test_a_failure_is_one_line_and_a_log_and_leaves_the_old_report(project):
    project.reports.mkdir(parents=True)
    (project.reports / "02_baseline.ipynb").write_text("old")
    source = "class RecipeError(Exception): pass\nraise RecipeError(f'epochs = {epochs}:\\nbad')"
    project.notebook("02_baseline", source)
    log = ".stamps/quick/02_baseline.log"
    line = f"02_baseline failed: RecipeError: epochs = 3: (full log: {log})"
    assert project.execute("02_baseline") == (1, ["02_baseline started", line])
    assert "Traceback" in (project.folder / log).read_text()
    assert (project.reports / "02_baseline.ipynb").read_text() == "old"
    assert project.files() == {"02_baseline.ipynb", "02_baseline.log"}


@pytest.mark.parametrize(
    ("source", "parameters", "words"),
    [("import os; os.kill(os.getpid(), 9)", "epochs: 1", "its kernel died"),
     ("1", "- 1", "params/quick/02_baseline.yaml: must consist of lines `name: value`"),
     ("1", "epochs: 0", "params/quick/02_baseline.yaml: epochs = 0: must be greater than or equal"),
     ("1", "epoch: 1", "params/quick/02_baseline.yaml: epoch = 1: 02_baseline has no such"),
     ("1", "EPOCHS: 1", "params/quick/02_baseline.yaml: EPOCHS = 1: 02_baseline has no such"),
     ("1", "_epochs: 1", "params/quick/02_baseline.yaml: _epochs = 1: 02_baseline has no such"),
     ("1", "1: 1", "params/quick/02_baseline.yaml: must consist of lines `name: value`"),
     ("1", "epochs: 1\nepochs: 2", "params/quick/02_baseline.yaml, line 2: epochs stands twice"),
     ("1", "a: 1\nb: ]", "params/quick/02_baseline.yaml, line 2: is not valid YAML"),
     (None, "epochs: 1", "notebooks/02_baseline.ipynb does not exist")],
)  # fmt: skip
def test_what_is_no_exception_is_one_line_too(project, source, parameters, words):
    project.parameters("02_baseline", parameters)
    if source:
        project.notebook("02_baseline", source)
    code, lines = project.execute("02_baseline")
    assert (code, len(lines)) == (1, 2)
    assert lines[1].startswith(f"02_baseline failed: {words}")


@pytest.mark.parametrize("occupied", ["reports", ".stamps/quick"])
def test_a_file_in_the_place_of_a_folder_is_one_line(project, occupied):
    project.notebook("02_baseline", "1")
    (project.folder / occupied).write_text("")
    code, lines = project.execute("02_baseline")
    assert code == 1
    assert lines[-1].startswith("02_baseline failed: ")
    assert f"{project.folder / occupied}" in lines[-1]
    assert "and the same command goes on" in lines[-1]
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("by", ["switch", "environment"])
def test_the_storage_is_what_was_typed(project, by):
    url = "sqlite:///pa$$word$x%20.db"
    project.notebook(
        "02_baseline", "import os; open('seen', 'w').write(os.environ['FMNIST_STORAGE'])"
    )
    if by == "environment":
        project.env["FMNIST_STORAGE"] = url
    code, _ = project.run("make", "baseline", *[f"STORAGE={url}"] * (by == "switch"))
    assert code == 0
    assert (project.folder / "seen").read_text() == url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_kernel_and_leaves_nothing(project, number):
    project.notebook("02_baseline", WAIT)
    process = project.start(sys.executable, "scripts/execute.py", "quick", "02_baseline")
    kernel = project.kernel()
    process.send_signal(number)
    output = process.communicate(timeout=30)[0]
    assert (process.returncode, output) == (130, "02_baseline started\n02_baseline interrupted\n")
    assert not kernel.is_running()
    assert (project.folder / "freed").exists(), "the cell could clean up"
    assert project.files() == set()


def test_make_all_goes_on_after_a_failure_and_repeats_nothing_that_is_done(project):
    project.notebook("01_data", "1 / (images_shown - 1)")
    project.notebook("02_baseline", "import os; os.kill(os.getppid(), 9)")  # the whole execution
    project.notebook("03_learning_rate", "1")
    project.notebook("14_summary", "print(profile)")
    project.parameters("01_data", "images_shown: 1")
    code, lines = project.run("make", "all", "JOBS=1")
    division = "ZeroDivisionError: division by zero (full log: .stamps/quick/01_data.log)"
    assert (code, len(lines)) == (2, 8), "one line is make's own"
    assert lines[1] == f"01_data failed: {division}"
    assert lines[3:5] == ["02_baseline failed: Killed", "03_learning_rate started"]
    assert lines[5].startswith("03_learning_rate done in 0:")
    assert lines[6] == "failed: 01_data, 02_baseline; not made: 14_summary"
    project.parameters("01_data", "images_shown: 2")
    project.notebook("02_baseline", "1")
    _, lines = project.run("make", "all")
    assert {line.split()[0] for line in lines[:-1]} == {"01_data", "02_baseline", "14_summary"}
    assert '"quick\\n"' in (project.reports / "14_summary.ipynb").read_text()
    site = project.folder / ".stamps" / "site-quick"
    assert site.exists()
    assert project.run("make", "all") == (0, lines[-1:])
    built = site.stat().st_mtime_ns
    (project.folder / "scripts" / "site.py").touch()
    assert project.run("make", "all") == (0, lines[-1:])
    assert site.stat().st_mtime_ns > built


def test_control_c_at_the_terminal_says_one_line_and_leaves_no_process(project):
    project.notebook("02_baseline", WAIT)
    project.env["TERM"] = "xterm"
    master, slave = pty.openpty()
    tty = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
    process = project.start("setsid", "--ctty", "make", "baseline", **tty)
    os.close(slave)
    kernel = project.kernel()
    time.sleep(1)  # for a frame that shows it running
    os.write(master, b"\x03")
    assert process.wait(30) != 0
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while piece := os.read(master, 4096):
            shown += piece
    assert b"running" in shown
    assert shown.count(b"interrupted; make all goes on where it was") == 1
    assert b"Traceback" not in shown
    assert not kernel.is_running()
    assert project.files() == set()


def test_the_longest_study_starts_first(project):
    for name in ("01_data", "02_baseline", "03_learning_rate", "14_summary"):
        project.notebook(name, "1")
    order = ["02_baseline", "03_learning_rate", "01_data", "14_summary"]
    costs = "".join(f"{name}: {{runs: 1, seconds: {9 - i}}}\n" for i, name in enumerate(order))
    for text, expected in ((costs, order), ("{}", sorted(order))):
        project.parameters("costs", text)
        _, lines = project.run("make", "-n", "all")
        assert [line.split()[-1] for line in lines if "execute.py" in line] == expected


@pytest.mark.parametrize(
    ("switch", "words"),
    [("PROFILE=quik", "PROFILE = quik: must be smoke, quick or paper"),
     ("JOBS=0", "JOBS = 0: must be a positive integer"),
     ("JOBS=two", "JOBS = two: must be a positive integer"),
     ("PORT=http", "PORT = http: must be an integer from 1 to 65535"),
     ("PROFIL=paper", "PROFIL: no such switch; known: PROFILE, STORAGE")],
)  # fmt: skip
def test_a_wrong_switch_is_refused_in_one_line(project, switch, words):
    code, lines = project.run("make", "all", switch)
    assert (code, len(lines)) == (2, 1)
    assert words in lines[0]


@pytest.mark.parametrize(
    ("goals", "profile"),
    [(["readme"], "paper"), (["archive"], "paper"), (["readme", "PROFILE=quick"], "quick"),
     (["all"], "quick"), (["all", "readme"], "quick")],
)  # fmt: skip
def test_what_readme_shows_is_the_paper_profile_and_all_executes_quick(project, goals, profile):
    _, lines = project.run("make", "-n", *goals)
    scripts = [line for line in lines if re.search(r"scripts/(readme|archive|progress)\.py", line)]
    assert scripts
    assert all(re.search(rf"\.py {profile}\b", line) for line in scripts)


@pytest.mark.parametrize("name", ["STORAGE", "FMNIST_STORAGE"])
def test_storage_in_the_environment_arrives_as_it_is(project, name):
    project.env[name] = "postgresql://me:pa$word@host/db"
    (project.folder / "show.mk").write_text("include Makefile\nx:\n\t@printenv FMNIST_STORAGE\n")
    assert project.run("make", "-f", "show.mk", "x") == (0, [project.env[name]])


def test_remaining_time_follows_the_pace_so_far(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    progress = importlib.import_module("progress")
    half = progress.Study("half", tmp_path, 10, 600, "running", elapsed=600)
    half.gain(5)
    found = progress.Study("found", tmp_path, 10, 300, "waiting", elapsed=1)
    found.gain(5)  # in storage: says nothing about the pace
    found.elapsed = found.elapsed_then = 0
    board = progress.Board("quick", 2, [half, found])
    assert board.pace() == pytest.approx(660 / 360)
    assert board.remaining() == pytest.approx(300 * 660 / 360)
    board.jobs = 1
    assert board.remaining() == pytest.approx(450 * 660 / 360)
    found.seconds = None
    assert board.remaining() is None


def test_costs_are_those_of_the_last_executions(project):
    report = "open(os.environ['FMNIST_PROGRESS'], 'w').write('{\"done\": 4}')"
    times = "open(os.environ['FMNIST_TIMES'], 'w').write('[]')"
    project.notebook("02_baseline", f"import os\n{report}\n{times}")
    project.execute("02_baseline")
    assert project.run(sys.executable, "scripts/costs.py", "quick")[0] == 0
    costs = yaml.safe_load((project.folder / "params/quick/costs.yaml").read_text())
    seconds = json.loads((project.reports / "times/02_baseline.json").read_text())["seconds"]
    assert costs == {"02_baseline": {"runs": 4, "seconds": round(seconds)}}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_every_mutant_still_finds_its_line(mutant):
    assert (ROOT / "fmnist_keras" / mutant.file).read_text().count(mutant.line) == 1
