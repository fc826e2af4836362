"""What make and its report script do, in a small project of notebooks that train nothing."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from fmnist_keras.settings import ROOT
from scripts.report import render

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
        for name in ("scripts", "fmnist_keras"):
            shutil.copytree(ROOT / name, folder / name)
        (folder / "scripts" / "site.py").write_text("")  # test_site.py has real reports for it
        shutil.copy(ROOT / "Makefile", folder)
        for name in ("notebooks", "params/quick", "benchmarks", ".venv", ".stamps"):
            (folder / name).mkdir(parents=True)
        for part in Path(sys.prefix).iterdir():
            if part.name != "ready":
                (folder / ".venv" / part.name).symlink_to(part)
        for name in ("requirements.txt", "pyproject.toml", ".venv/ready", ".stamps/data"):
            (folder / name).touch()

    def notebook(self, name: str, source: str) -> None:
        cells = [new_code_cell("epochs = 3\nprofile = ''", id="a"), new_code_cell(source, id="b")]
        cells[0].metadata["tags"] = ["parameters"]
        if "plot(" in source:
            cells[1].metadata["mystnb"] = {"image": {"alt": "what it shows"}}
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
        "assert '\"report\": \"quick/' in os.environ['FMNIST_OPTIONS']\n"
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
     ("plot = print\nplot(1)",
      "ValueError: cell 2 shows no figure but describes one in metadata: plot(1)"),
     ("import os; os.kill(os.getppid(), 9)", "exit status -9")],
)  # fmt: skip
def test_a_failure_is_one_line_and_a_log_and_leaves_the_old_report(project, source, words):
    project.reports.mkdir(parents=True)
    (project.reports / "02_baseline.ipynb").write_text("old", "utf-8")
    project.notebook("02_baseline", source)
    code, lines = project.execute("02_baseline")
    (log,) = project.folder.glob(".stamps/quick/*/02_baseline.log")
    line = f"02_baseline failed: {words} (full log: {log.relative_to(project.folder)})"
    assert (code, lines) == (1, ["02_baseline started", line, "failed: 02_baseline"])
    assert ("Traceback" in log.read_text()) == ("Error" in words)
    assert (project.reports / "02_baseline.ipynb").read_text() == "old"
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
    project.notebook("01_data", "1 / (epochs - 1)")
    project.notebook("02_baseline", "import os; os.kill(os.getppid(), 9)")  # the whole execution
    project.notebook("03_learning_rate", "1")
    project.notebook("17_summary", "print(profile)")
    project.parameters("01_data", "epochs: 1")
    project.parameters("costs", "03_learning_rate: {runs: 0, seconds: 90}")
    code, lines = project.run("make", "all", "JOBS=1")
    division = "ZeroDivisionError: division by zero (full log: "
    assert (code, len(lines)) == (2, 8), "one line is make's own"
    assert lines[0] == "03_learning_rate started", "the longest comes first"
    assert lines[1].startswith("03_learning_rate done in 0:")
    assert lines[3].startswith(f"01_data failed: {division}")
    assert lines[5].startswith("02_baseline failed: exit status -9")
    assert lines[6] == "failed: 01_data, 02_baseline"
    project.parameters("01_data", "epochs: 2")
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
    tty = dict.fromkeys(("stdin", "stdout", "stderr"), slave) | {"start_new_session": True}
    tty["preexec_fn"] = lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    process = project.start("make", "baseline", **tty)
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


HOSTILE = {
    "home/.ipython/profile_default/startup/00.py": "mine = Epochs = 1",
    "home/.ipython/profile_default/ipython_kernel_config.py": (
        "c.InlineBackend.figure_formats = {'svg'}\nc.InteractiveShellApp.exec_lines = ['mine = 1']"
    ),
    "home/.config/matplotlib/matplotlibrc": "lines.linewidth: 9",
    "home/.local/share/jupyter/kernels/python3/kernel.json": '{"argv": ["false"]}',
    "jupyter/kernels/python3/kernel.json": '{"argv": ["false"]}',
    "start.py": "mine = 1",
    "modules/papermill.py": "mine",
    "matplotlibrc": "lines.markersize: 99",
}


@pytest.mark.slow
def test_nothing_of_its_users_configuration_reaches_a_report(project):
    project.notebook(
        "02_baseline",
        "import matplotlib.pyplot as plt\n"
        "print({'mine', 'Epochs'} & globals().keys())\n"
        "plt.plot([1, 3, 2], 'o-');",
    )
    report = project.reports / "02_baseline.ipynb"
    assert project.run("make", "baseline")[0] == 0
    plain = report.read_bytes()
    assert b"image/png" in plain
    assert b"set()" in plain
    for name, text in HOSTILE.items():
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text(text)
    here = str(project.folder)
    project.env |= {"HOME": f"{here}/home", "JUPYTER_PATH": f"{here}/jupyter", "MPLBACKEND": "Agg"}
    project.env |= {"PYTHONSTARTUP": f"{here}/start.py", "PYTHONPATH": f"{here}/modules"}
    (project.folder / ".stamps" / "quick" / "02_baseline").unlink()
    code, lines = project.run("make", "baseline")
    assert (code, len(lines)) == (0, 3), lines
    assert report.read_bytes() == plain


def test_a_report_is_the_same_whatever_saved_its_notebook():
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    png += "rkJggg=="

    def report(number: int, **metadata) -> str:
        data = {"text/plain": "<object at 0x7f00>", "image/png": png}
        widget = {"application/vnd.jupyter.widget-view+json": {"model_id": str(number)}}
        shown = new_output("display_data", data=data | widget, metadata={"isolated": bool(number)})
        printed = new_output("stream", text=f"<f at 0x{number}>")
        cells = [new_code_cell("1", metadata={"tags": ["x"]} | metadata), new_code_cell("1")]
        cells[0].outputs = [shown, printed]
        return render(new_notebook(cells=cells, metadata={"colab": {"provenance": [number]}}))

    colab = {"id": "aB3", "colab": {"user": "A. Person"}, "outputId": "2", "executionInfo": {}}
    code = {"vscode": {"languageId": "python"}, "execution": {"iopub.status.busy": "now"}}
    assert report(0) == report(1, **colab) == report(2, **code, collapsed=True, jupyter={})
    cells = nbformat.reads(report(0), as_version=4).cells
    assert cells[0].id != cells[1].id
    assert cells[0].metadata == {"tags": ["x"]}
    assert cells[0].outputs[0].data.keys() == {"text/plain", "image/png"}


@pytest.mark.slow
def test_two_makes_at_once_keep_their_own_reasons(project):
    project.notebook("02_baseline", "import os, time\ntime.sleep(3)\nraise OSError(os.getpid())")
    makes = [project.start("make", "baseline") for _ in range(2)]
    reasons = set()
    for make in makes:
        (line,) = [x for x in make.communicate(timeout=300)[0].splitlines() if "full log" in x]
        reason, log = re.fullmatch(
            r"(02_baseline failed: OSError: \d+) \(full log: (.*)\)", line
        ).groups()
        assert reason in (project.folder / log).read_text()
        reasons.add(reason)
    assert len(reasons) == 2


def test_only_a_name_of_a_chapter_is_a_study(project):
    project.notebook("02_baseline", "1")
    others = ["Untitled", "02_baseline-Copy1", "03_my copy", "3_x", "04_Upper", "draft", "05-x"]
    for name in others:
        project.notebook(name, "1")
    (project.folder / "notebooks" / ".ipynb_checkpoints").mkdir()
    code, lines = project.run("make", "help")
    assert code == 0
    assert lines[-1].split() == ["one", "study:", "baseline"]
    assert {line.partition(": ")[2] for line in lines if "passed over" in line} == {
        f"{name}.ipynb" for name in others
    }
    _, lines = project.run("make", "-n", "all")
    assert any(line.endswith("report.py quick 2 02_baseline && :") for line in lines)


@pytest.mark.slow
def test_a_checkout_may_be_copied_and_moved(project):
    """Each imports its own code, also where a path holds a space and an apostrophe."""
    shutil.rmtree(project.folder / ".venv")
    _, lines = project.run("make", "-n", ".venv/ready")
    (place,) = re.findall(r"^for packages.*?done", "\n".join(lines), re.M | re.S)
    project.run(sys.executable, "-m", "venv", "--without-pip", ".venv")
    project.run("sh", "-c", place)
    copy, moved = (project.folder.with_name(name) for name in ("it's a copy", "moved to"))
    command = [
        ".venv/bin/python",
        "-c",
        "import os; os.chdir('/'); import fmnist_keras as f; print(f.__file__)",
    ]
    for folder, how in ((copy, shutil.copytree), (moved, shutil.move)):
        how(project.folder, folder, **({"symlinks": True} if how == shutil.copytree else {}))
        told = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, env={"PATH": "/bin"}
        )
        assert told.stdout.strip() == str(folder / "fmnist_keras" / "__init__.py")
    scripts = (
        r"\$\(BIN\)/(?!python )|\.venv\S*/bin/(?!python )"  # they hold the path in their first line
    )
    assert not re.findall(scripts, (ROOT / "Makefile").read_text())


def test_lab_opens_a_second_time_and_keeps_what_was_edited(project):
    project.notebook("00_one_run_by_hand", "1")
    (project.folder / "jupyterlab.py").write_text("")  # in place of the program
    copy = project.folder / "lab" / "00_one_run_by_hand.ipynb"
    for text in ("edited", "edited again"):
        assert project.run("make", "lab")[0] == 0
        assert copy.read_text() != text
        copy.write_text(text)
        assert project.run("make", "lab")[0] == 0
        assert copy.read_text() == text
        copy.unlink()


def test_lint_reads_the_projects_code_alone(tmp_path):
    """Also where no git says what else there is."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("site/build/x.py", "lab/x.py", "results/x.py", "reports/quick/x.py",
                 "notebooks/Untitled.ipynb", "notebooks/02_baseline-Copy1.ipynb"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        bad = new_notebook(cells=[new_code_cell("import  os")])
        (tmp_path / name).write_text(nbformat.writes(bad) if "ipynb" in name else "import  os")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "."]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    (tmp_path / "notebooks" / "Untitled.ipynb").rename(tmp_path / "notebooks" / "03_bad.ipynb")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 1
