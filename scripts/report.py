"""Execute notebooks with the parameters of a profile and store them as reports.

    python scripts/report.py quick 2 03_learning_rate …    two at a time, showing how far they are
    python scripts/report.py quick 03_learning_rate        what the former starts for each of them

The same outputs give the same bytes; times/ beside the report says when and how long it ran. A
report appears only once its notebook has run to its end.
"""

import base64
import contextlib
import io
import json
import os
import re
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

ROOT = Path(__file__).resolve().parents[1]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
DOCUMENT = {"kernelspec": KERNEL, "language_info": {"name": "python"}}  # nothing of the machine


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
    options = json.loads(os.environ.get("FMNIST_OPTIONS") or "{}") | {"report": f"{profile}/{name}"}
    os.environ["FMNIST_OPTIONS"] = json.dumps(options)
    with no_child_left(), tempfile.TemporaryDirectory() as os.environ["JUPYTER_RUNTIME_DIR"]:
        executed = papermill.execute_notebook(
            f"notebooks/{name}.ipynb", None, given, kernel_name="python3", language="python",
            cwd=ROOT, progress_bar=False, record_timing=False, coalesce_streams=True,
        )  # fmt: skip
    spent = {
        "seconds": round(time.time() - began, 1), "runs": finished(profile, name),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began)),
        "cores": os.cpu_count(),
    }  # fmt: skip
    times.write_text(json.dumps(spent, indent=1) + "\n", "utf-8")
    part = report.with_suffix(f".{os.getpid()}.part")  # all of the report or nothing
    part.write_text(render(executed), encoding="utf-8")
    part.replace(report)
    stamp.touch()
    os.utime(stamp, (began, began))  # what was edited meanwhile is newer


def render(notebook) -> str:
    """The executed notebook as a document without traces of its execution."""
    notebook.metadata = DOCUMENT
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/plain" in data:  # an object's place in memory
                data["text/plain"] = re.sub(r" at 0x[0-9a-f]+(?=>)", "", data["text/plain"])
            if "image/png" in data:
                data["image/png"] = small(data["image/png"])
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def small(png: str) -> str:
    """A figure in 128 colors: a quarter of the bytes, to the same eye."""
    image, file = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), io.BytesIO()
    image.quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


@contextlib.contextmanager
def no_child_left():
    """Whatever ends the block, no process outlives it: not even a kernel that is still starting."""
    try:
        yield
    finally:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()  # safe: what is stored is stored whole


def finished(profile: str, name: str) -> int:
    """How many runs a study has finished or found so far."""
    path = Path(".stamps", profile, f"{name}.progress")
    return json.loads(path.read_text("utf-8"))["done"] if path.exists() else 0


def start(profile: str, name: str) -> Popen:
    """Execute a study in a session of its own, so that Ctrl-C does not reach it."""
    log = Path(".stamps", profile, f"{name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.with_suffix(".progress").unlink(missing_ok=True)
    command = [sys.executable, __file__, profile, name]
    with log.open("w", encoding="utf-8") as out:
        return Popen(command, stdin=DEVNULL, stdout=out, stderr=out, start_new_session=True)


def failure(profile: str, name: str, code: int) -> str:
    """One line on a study that has failed."""
    log = Path(".stamps", profile, f"{name}.log")
    said = re.findall(f"^{name} failed: .+", log.read_text("utf-8", errors="replace"), re.M)
    return f"{said[-1] if said else f'{name} failed: exit status {code}'} (full log: {log})"


def watch(profile: str, jobs: int, names: list[str]) -> int:
    """Execute studies, the longest first, and show how far they are; return how many failed."""
    path, shown, failed = Path("params", profile, "costs.yaml"), time.time(), []
    known = yaml.safe_load(path.read_bytes()) if path.exists() else {}
    costs = {name: known.get(name, {"runs": 0, "seconds": 60}) for name in names}
    waiting = sorted(names, key=lambda name: -costs[name]["seconds"])
    threads = str(max(1, (os.cpu_count() or 1) // min(jobs, len(names))))
    os.environ.update(OMP_NUM_THREADS=threads, TF_NUM_INTEROP_THREADS=threads)
    live, columns = sys.stdout.isatty(), (*Progress.get_default_columns(), TimeElapsedColumn())
    bars = Progress(*columns, disable=not live, refresh_per_second=2, speed_estimate_period=86_400)
    say = bars.console.out
    bars.add_task(profile, total=sum(cost["seconds"] for cost in costs.values()))
    with no_child_left(), bars:
        while waiting or bars.tasks[1:]:
            while waiting and len(bars.tasks) <= jobs:
                name = waiting.pop(0)
                fields = {"name": name, "process": start(profile, name), **costs[name]}
                bars.add_task(name, total=costs[name]["runs"] or None, **fields)
                if not live:
                    say(f"{name} started")
            for task in bars.tasks[1:]:
                name, code = task.fields["name"], task.fields["process"].poll()
                done = finished(profile, name)
                runs = f"{done} of {task.total or '?'} runs"
                bars.update(task.id, completed=done, description=f"{name}: {runs}")
                if code == 0:
                    say(f"{name} done in {timedelta(seconds=round(task.elapsed))}")
                elif code is not None:
                    failed.append(name)
                    say(failure(profile, name, code))
                if code is not None:
                    bars.remove_task(task.id)
            whole, *running = bars.tasks
            rest = [costs[name]["seconds"] for name in waiting]
            rest += [task.fields["seconds"] * (1 - task.percentage / 100) for task in running]
            text = f"{profile}: {len(names) - len(rest)} of {len(names)} studies"
            bars.update(whole.id, completed=whole.total - sum(rest), description=text)
            if not live and time.time() - shown > 60:
                shown, left = time.time(), whole.time_remaining
                left = "?" if left is None else timedelta(seconds=left)
                say("; ".join([text, f"{left} left", *(task.description for task in running)]))
            time.sleep(0.2)
    if failed:
        print("failed:", ", ".join(failed))
    return len(failed)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
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
