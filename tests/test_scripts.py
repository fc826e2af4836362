"""What make and its report script do, in a small project of notebooks that train nothing."""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
OURS = {"MAKEFLAGS", "MAKELEVEL", "PROFILE", "STORAGE", "REUSE", "SCHEDULER", "JOBS", "PORT",
        "FMNIST_OPTIONS"}  # fmt: skip
"""What `make test` itself may have set."""
WAIT = """
import os, time
open("pid", "w").write(str(os.getpid()))
time.sleep(60)
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder, self.reports, self.started = folder, folder / "reports" / "quick", []
        self.env = {key: value for key, value in os.environ.items() if key not in OURS}
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        (folder / "scripts" / "site.py").write_bytes(b"")  # test_site.py has real reports for it
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
        (self.folder / "params" / "quick" / f"{name}.yaml").write_text(text, "utf-8")

    def start(self, *command: str, **settings) -> subprocess.Popen:
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | settings
        self.started.append(subprocess.Popen(command, cwd=self.folder, env=self.env, **settings))
        return self.started[-1]

    def run(self, *command: str) -> tuple[int, list[str]]:
        process = self.start(*command)
        lines = process.communicate(timeout=300)[0].splitlines()
        return process.returncode, lines

    def execute(self, name: str) -> tuple[int, list[str]]:
        return self.run(sys.executable, "scripts/report.py", "quick", "1", name)

    def kernel(self) -> psutil.Process:
        """The kernel that runs WAIT, as soon as it does."""
        for _ in range(600):
            with contextlib.suppress(FileNotFoundError, ValueError):
                return psutil.Process(int((self.folder / "pid").read_text("utf-8")))
            time.sleep(0.1)
        raise TimeoutError("no kernel ran the notebook within a minute")

    def files(self) -> set[str]:
        """What is in reports, and the stamps of what is up to date."""
        found = [*self.folder.glob("reports/**/*"), *self.folder.glob(".stamps/quick/*")]
        return {path.name for path in found if path.is_file() and path.suffix != ".log"}


@pytest.fixture
def project(tmp_path):
    yield (project := Project(tmp_path / "project"))
    for process in project.started:  # whatever a failed test has left
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()


@pytest.mark.slow
def test_the_same_outputs_give_the_same_bytes(project):
    project.notebook(
        "02_baseline",
        "import os, random, sys, time\n"
        "assert '\"report\": \"quick/02_baseline\"' in os.environ['FMNIST_OPTIONS']\n"
        "for i in range(4):\n"
        "    print(epochs, flush=True); time.sleep(random.random() / 2)\n"
        "    print('warned', file=sys.stderr, flush=True)\n"
        "object()",  # shown with its place in memory
    )
    project.parameters("02_baseline", "epochs: 7")
    report, reports = project.reports / "02_baseline.ipynb", []
    for _ in range(2):
        code, lines = project.execute("02_baseline")
        assert (code, lines[0]) == (0, "02_baseline started")
        assert re.fullmatch(r"02_baseline done in 0:\d\d:\d\d", *lines[1:])
        reports.append(report.read_bytes())
    assert reports[0] == reports[1]
    *outputs, shown = nbformat.read(report, as_version=4).cells[-1].outputs
    assert shown.data["text/plain"] == "<object>"
    assert [(output.name, output.text) for output in outputs] == [
        ("stdout", "7\n" * 4), ("stderr", "warned\n" * 4),
    ]  # fmt: skip
    assert project.files() == {"02_baseline.ipynb", "02_baseline.json", "02_baseline"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "words"),
    [("class RecipeError(Exception): pass\nraise RecipeError(f'epochs = {epochs}:\\nbad')",
      "RecipeError: epochs = 3:"),
     ("import os; os.kill(os.getpid(), 9)", "DeadKernelError: Kernel died"),
     ("import os; os.kill(os.getppid(), 9)", "exit status -9")],
)  # fmt: skip
def test_a_failure_is_one_line_and_a_log_and_leaves_the_old_report(project, source, words):
    project.reports.mkdir(parents=True)
    (project.reports / "02_baseline.ipynb").write_text("old", "utf-8")
    project.notebook("02_baseline", source)
    log = ".stamps/quick/02_baseline.log"
    code, lines = project.execute("02_baseline")
    line = f"02_baseline failed: {words} (full log: {log})"
    assert (code, lines) == (1, ["02_baseline started", line, "failed: 02_baseline"])
    assert ("Traceback" in (project.folder / log).read_text("utf-8")) == ("Error" in words)
    assert (project.reports / "02_baseline.ipynb").read_text("utf-8") == "old"
    assert project.files() == {"02_baseline.ipynb"}


@pytest.mark.slow
@pytest.mark.parametrize("occupied", ["reports", ".stamps/quick"])
def test_a_file_in_the_place_of_a_folder_is_one_line(project, occupied):
    project.notebook("02_baseline", "1")
    (project.folder / occupied).write_text("", "utf-8")
    code, lines = project.execute("02_baseline")
    assert code == 1
    (line,) = [line for line in lines if line.startswith("02_baseline failed: ")]
    assert occupied in line
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("by", ["switch", "environment"])
def test_the_storage_is_what_was_typed(project, by):
    url = """sqlite:///pa$$w'o"r\\d$x%20#.db"""
    project.notebook("02_baseline", "1")
    program = "import os; print(os.environ['FMNIST_OPTIONS'])"
    (project.folder / "scripts" / "report.py").write_text(program, "utf-8")
    if by == "environment":
        project.env["STORAGE"] = url
    _, lines = project.run("make", "baseline", *[f"STORAGE={url}"] * (by == "switch"), "REUSE=1")
    assert json.loads(lines[0]) == {"reuse": True, "storage": url}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_says_one_line_and_leaves_nothing(project, number):
    project.notebook("02_baseline", WAIT)
    process = project.start(sys.executable, "scripts/report.py", "quick", "1", "02_baseline")
    kernel = project.kernel()
    process.send_signal(number)
    output = process.communicate(timeout=120)[0]
    assert output.splitlines() == [
        "02_baseline started", "interrupted; make all goes on where it was",
    ]  # fmt: skip
    assert process.returncode == 1
    kernel.wait(10)
    assert project.files() == set()


@pytest.mark.slow
def test_make_all_goes_on_after_a_failure_and_repeats_nothing_that_is_done(project):
    project.notebook("01_data", "1 / (images_shown - 1)")
    project.notebook("02_baseline", "import os; os.kill(os.getppid(), 9)")  # the whole execution
    project.notebook("03_learning_rate", "1")
    project.notebook("17_summary", "print(profile)")
    project.notebook("draft", "1")  # not of the form NN_name: no chapter
    project.parameters("01_data", "images_shown: 1")
    project.parameters("costs", "03_learning_rate: {runs: 0, seconds: 90}")
    code, lines = project.run("make", "all", "JOBS=1")
    division = "ZeroDivisionError: division by zero (full log: .stamps/quick/01_data.log)"
    assert (code, len(lines)) == (2, 8), "one line is make's own"
    assert lines[0] == "03_learning_rate started", "the longest comes first"
    assert lines[1].startswith("03_learning_rate done in 0:")
    assert lines[3] == f"01_data failed: {division}"
    assert lines[5].startswith("02_baseline failed: exit status -9")
    assert lines[6] == "failed: 01_data, 02_baseline"
    project.parameters("01_data", "images_shown: 2")
    project.notebook("02_baseline", "1")
    _, lines = project.run("make", "all")
    assert {line.split()[0] for line in lines[:-1]} == {"01_data", "02_baseline", "17_summary"}
    assert '"quick\\n"' in (project.reports / "17_summary.ipynb").read_text("utf-8")
    site = project.folder / ".stamps" / "site-quick"
    assert site.exists()
    assert project.run("make", "all") == (0, lines[-1:])
    built = site.stat().st_mtime_ns
    (project.folder / "scripts" / "site.py").touch()
    assert project.run("make", "all") == (0, lines[-1:])
    assert site.stat().st_mtime_ns > built


@pytest.mark.slow
def test_what_was_edited_while_it_ran_runs_again(project):
    edit = "import os, time; time.sleep(.1); os.utime('notebooks/02_baseline.ipynb')"
    project.notebook("02_baseline", edit)
    assert project.run("make", "baseline")[0] == 0
    assert "report.py quick 2 02_baseline" in "\n".join(project.run("make", "-n", "baseline")[1])


@pytest.mark.slow
def test_control_c_at_the_terminal_says_one_line_and_leaves_no_process(project):
    project.notebook("02_baseline", WAIT)
    project.env["TERM"] = "xterm"
    master, slave = pty.openpty()
    tty = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
    process = project.start("setsid", "--ctty", "make", "baseline", **tty)
    os.close(slave)
    shown, kernel, deadline = b"", None, time.monotonic() + 60
    with contextlib.suppress(OSError):  # the end of a terminal
        while select.select([master], [], [], 10)[0] and time.monotonic() < deadline:
            shown += os.read(master, 4096)
            if kernel is None and (project.folder / "pid").exists() and b" runs " in shown:
                kernel = project.kernel()
                os.write(master, b"\x03")
    assert process.wait(30) != 0
    assert b"02_baseline: 0 of ? runs" in shown
    assert shown.count(b"interrupted; make all goes on where it was") == 1
    assert b"Traceback" not in shown
    kernel.wait(10)
    assert project.files() == set()


@pytest.mark.parametrize(
    ("switch", "words"),
    [("PROFILE=quik", "PROFILE = quik: must be smoke, quick or paper"),
     ("JOBS=0", "JOBS = 0: must be a positive integer"),
     ("JOBS=two", "JOBS = two: must be a positive integer"),
     ("PORT=http", "PORT = http: must be an integer from 1 to 65535"),
     ("REUSE=yes", "REUSE = yes: must be 1 or nothing"),
     ("SCHEDULER=host", "SCHEDULER = host: must be like tcp://host:8786"),
     ("PROFIL=paper", "PROFIL: no such switch; known: PROFILE, STORAGE")],
)  # fmt: skip
def test_a_wrong_switch_is_refused_in_one_line(project, switch, words):
    code, lines = project.run("make", "all", switch)
    assert (code, len(lines)) == (2, 1)
    assert words in lines[0]


@pytest.mark.parametrize(
    ("goals", "profile"),
    [(["readme"], "paper"), (["archive"], "paper"), (["all", "readme"], "quick")],
)
def test_what_readme_shows_is_the_paper_profile_and_all_executes_quick(project, goals, profile):
    project.notebook("02_baseline", "1")
    _, lines = project.run("make", "-n", *goals)
    programs = r"(?:scripts/readme\.py|scripts/report\.py|fmnist_keras\.store) (\w+)"
    assert set(re.findall(programs, "\n".join(lines))) == {profile}
