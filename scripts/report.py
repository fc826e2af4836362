"""Execute notebooks with the parameters of a profile and store them as reports.

    python scripts/report.py quick 2 03_learning_rate …    two at a time, showing how far they are
    python scripts/report.py quick 03_learning_rate        what the former starts for each of them

The same cells and outputs give the same bytes, whatever editor saved the notebook and whoever
executes it; times/ beside the report says when and how long it ran. A report appears only once its
notebook has run to its end.
"""

import atexit
import base64
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from datetime import timedelta
from pathlib import Path
from subprocess import DEVNULL, Popen

import nbformat
import psutil
import yaml
from PIL import Image
from rich.progress import Progress, TimeElapsedColumn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist_keras.settings import ROOT, usable_cores

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
DOCUMENT = {"kernelspec": KERNEL, "language_info": {"name": "python"}}  # nothing of the machine
KEPT = {"tags", "mystnb", "format"}  # of a cell's metadata: what the site reads
SHOWN = re.compile("text/|image/|application/vnd.fmnist-keras")  # kinds of an output's data


def chapters(folder: Path) -> list[Path]:
    """The notebooks of a folder named like 02_baseline.ipynb; all others are drafts or copies."""
    named = re.compile("[0-9]{2}_[a-z0-9_]+")
    return sorted(path for path in folder.glob("*.ipynb") if named.fullmatch(path.stem))


def isolate(folder: str) -> None:
    """From now on ``python3`` is this environment's kernel, without its user's configuration of
    IPython, Jupyter and matplotlib. An empty folder takes what it writes aside."""
    from ipykernel.kernelspec import write_kernel_spec

    # No matplotlibrc of any folder counts, and a list of fonts is made before the first cell.
    defaults = "--IPKernelApp.exec_lines=__import__('matplotlib.font_manager').rcdefaults()"
    write_kernel_spec(Path(folder, "kernels", "python3"), extra_arguments=[defaults])
    for name in [*os.environ]:
        if name.startswith(("IPYTHON", "JUPYTER", "MPL", "MATPLOTLIB", "PYTHONSTARTUP")):
            del os.environ[name]
    os.environ |= dict.fromkeys(("IPYTHONDIR", "JUPYTER_PATH", "JUPYTER_RUNTIME_DIR"), folder)
    fonts = str(ROOT / ".stamps" / "matplotlib")  # a list that takes seconds to make
    os.environ |= {"MPLCONFIGDIR": fonts, "PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1"}


def execute(profile: str, name: str) -> None:
    """Write the report of a study and its times, and note that it is up to date."""
    began, stamp = time.time(), Path(".stamps", profile, name)
    import papermill

    from fmnist_keras.parameters import read

    summary = name.endswith("_summary")
    given = {"profile": profile} if summary else read(Path("params", profile, f"{name}.yaml"))
    report = Path("reports", profile, f"{name}.ipynb")
    times = report.parent / "times" / f"{name}.json"
    for path in (stamp, times):
        path.parent.mkdir(parents=True, exist_ok=True)
    options = {"report": f"{profile}/{name}"} | json.loads(os.environ.get("FMNIST_OPTIONS") or "{}")
    os.environ["FMNIST_OPTIONS"] = json.dumps(options)
    atexit.register(kill_children)
    with tempfile.TemporaryDirectory() as folder:
        isolate(folder)
        executed = papermill.execute_notebook(
            f"notebooks/{name}.ipynb", None, given, kernel_name="python3", language="python",
            cwd=ROOT, progress_bar=False, record_timing=False, coalesce_streams=True,
        )  # fmt: skip
    spent = {
        "seconds": round(time.time() - began, 1), "runs": finished(options["report"]),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began)),
        "cores": usable_cores(),
    }  # fmt: skip
    write(report, render(executed))
    write(times, json.dumps(spent, indent=1) + "\n")
    stamp.touch()
    os.utime(stamp, (began, began))  # what was edited meanwhile is newer


def write(path: Path, text: str) -> None:
    """Write all of a file or nothing, whoever else writes or reads it meanwhile."""
    part = path.with_suffix(f".{os.urandom(4).hex()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def render(notebook) -> str:
    """The executed notebook as a document without traces of its execution, author or editor.
    ValueError if a cell shows no figure though its metadata describe one."""
    notebook.metadata, sources = DOCUMENT, []
    for number, cell in enumerate(notebook.cells, 1):
        sources.append(cell.source)
        content = f"{sources.count(cell.source)} {cell.source}"
        cell.id = hashlib.sha256(content.encode()).hexdigest()[:12]
        cell.metadata = {key: value for key, value in cell.metadata.items() if key in KEPT}
        kinds = set()
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = shown("text/plain", output.text)
            if "data" in output:
                data = {kind: value for kind, value in output.data.items() if SHOWN.match(kind)}
                output.data = {kind: shown(kind, value) for kind, value in data.items()}
                output.metadata = {k: v for k, v in output.metadata.items() if k in data}
                kinds |= {kind.partition("/")[0] for kind in data}
        if {"image", "figure"} & cell.metadata.get("mystnb", {}).keys() and "image" not in kinds:
            end = cell.source.strip()[-60:].rpartition("\n")[2]
            raise ValueError(f"cell {number} shows no figure but describes one in metadata: {end}")
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def shown(kind: str, value):
    """Text without objects' places in memory; a figure in 128 colors: a quarter of the bytes, to
    the same eye."""
    if kind.startswith("text/"):
        return re.sub(" at 0x[0-9a-f]+(?=>|&gt;)", "", value)
    if kind != "image/png":
        return value
    image, file = Image.open(io.BytesIO(base64.b64decode(value))).convert("RGB"), io.BytesIO()
    image.quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def kill_children() -> None:
    """No process outlives this one, not even a kernel that is still starting. What is stored is
    stored whole."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def finished(report: str) -> int:
    """How many runs a study has finished or found so far."""
    path = Path(".stamps", f"{report}.progress")
    return json.loads(path.read_text("utf-8"))["done"] if path.exists() else 0


def start(report: str) -> Popen:
    """Execute a study in a session of its own, so that Ctrl-C does not reach it."""
    options = json.loads(os.environ.get("FMNIST_OPTIONS") or "{}") | {"report": report}
    os.environ["FMNIST_OPTIONS"] = json.dumps(options)
    command = [sys.executable, __file__, *report.split("/")[::2]]
    with Path(".stamps", f"{report}.log").open("w", encoding="utf-8") as out:
        return Popen(command, stdin=DEVNULL, stdout=out, stderr=out, start_new_session=True)


def failure(report: str, code: int) -> str:
    """One line on a study that has failed."""
    log, name = Path(".stamps", f"{report}.log"), report.rpartition("/")[2]
    said = re.findall(f"^{name} failed: .+", log.read_text("utf-8", "replace"), re.M)
    return f"{said[-1] if said else f'{name} failed: exit status {code}'} (full log: {log})"


def watch(profile: str, jobs: int, names: list[str]) -> int:
    """Execute studies, the longest first, and show how far they are; return how many failed."""
    path, reported, failed = Path("params", profile, "costs.yaml"), time.time(), []
    known = yaml.safe_load(path.read_bytes()) if path.exists() else {}
    costs = {name: known.get(name, {"runs": 0, "seconds": 60}) for name in names}
    waiting = sorted(names, key=lambda name: -costs[name]["seconds"])
    threads = str(max(1, usable_cores() // min(jobs, len(names))))
    os.environ.update(OMP_NUM_THREADS=threads, TF_NUM_INTEROP_THREADS=threads)
    Path(".stamps", profile).mkdir(parents=True, exist_ok=True)
    here = tempfile.mkdtemp(prefix="logs-", dir=f".stamps/{profile}")  # another make has other ones
    atexit.register(shutil.rmtree, here)
    atexit.register(kill_children)  # before that
    live, columns = sys.stdout.isatty(), (*Progress.get_default_columns(), TimeElapsedColumn())
    bars = Progress(*columns, disable=not live, refresh_per_second=2, speed_estimate_period=86_400)
    say = bars.console.out
    bars.add_task(profile, total=sum(cost["seconds"] for cost in costs.values()))
    with bars:
        while waiting or bars.tasks[1:]:
            while waiting and len(bars.tasks) <= jobs:
                name = waiting.pop(0)
                report = f"{profile}/{Path(here).name}/{name}"
                fields = {"report": report, "process": start(report), **costs[name]}
                bars.add_task(name, total=costs[name]["runs"] or None, **fields)
                if not live:
                    say(f"{name} started")
            for task in bars.tasks[1:]:
                report, code = task.fields["report"], task.fields["process"].poll()
                name, done = report.rpartition("/")[2], finished(report)
                runs = f"{done} of {task.total or '?'} runs"
                bars.update(task.id, completed=done, description=f"{name}: {runs}")
                if code == 0:
                    say(f"{name} done in {timedelta(seconds=round(task.elapsed))}")
                elif code is not None:
                    failed.append(name)
                    say(failure(report, code))
                    atexit.unregister(shutil.rmtree)  # who failed can be read about
                if code is not None:
                    bars.remove_task(task.id)
            whole, *running = bars.tasks
            rest = [costs[name]["seconds"] for name in waiting]
            rest += [task.fields["seconds"] * (1 - task.percentage / 100) for task in running]
            text = f"{profile}: {len(names) - len(rest)} of {len(names)} studies"
            bars.update(whole.id, completed=whole.total - sum(rest), description=text)
            if not live and time.time() - reported > 60:
                reported, left = time.time(), whole.time_remaining
                left = "?" if left is None else timedelta(seconds=left)
                say("; ".join([text, f"{left} left", *(task.description for task in running)]))
            time.sleep(0.2)
    if failed:
        print("failed:", ", ".join(failed))
    return len(failed)


if __name__ == "__main__":
    os.chdir(ROOT)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants
            signal.signal(number, signal.default_int_handler)
    profile, *given = sys.argv[1:]
    several = len(given) > 1
    try:
        sys.exit(watch(profile, int(given[0]), given[1:]) if several else execute(profile, *given))
    except KeyboardInterrupt:
        sys.exit("interrupted; make all goes on where it was")
    except Exception as error:  # perhaps one that a cell raised
        if not several:
            traceback.print_exc()
        kind, text = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", error)
        line = str(text).strip().partition("\n")[0]
        sys.exit(f"{given[-1]} failed: {kind}: {line}")
