"""Execute notebooks with the parameters of a profile and store them as reports.

    python scripts/report.py quick 2 03_learning_rate …    two at a time, showing how far they are
    python scripts/report.py quick 03_learning_rate        what the former starts for each of them

A report is a reproducible document: the same outputs give the same bytes. How long it took and when
stands in times/ beside it. It appears only once its notebook has run through.
"""

import base64
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import timedelta
from pathlib import Path

import psutil
import yaml
from rich.progress import Progress, TimeElapsedColumn

ROOT = Path(__file__).resolve().parents[1]


def execute(profile: str, name: str) -> None:
    """Write the report of a study and its times, and note that it is up to date."""
    began, stamp = time.time(), Path(".stamps", profile, name)
    import papermill

    given = {"profile": profile} if name.endswith("_summary") else parameters(profile, name)
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
    spent = {"seconds": round(time.time() - began, 1), "runs": finished(profile, name)}
    spent["started"] = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began))
    times.write_text(json.dumps(spent | {"cores": os.cpu_count()}, indent=1) + "\n")
    part = report.with_suffix(f".{os.getpid()}.part")  # all of the report or nothing
    part.write_text(render(executed), encoding="utf-8")
    part.replace(report)
    stamp.touch()
    os.utime(stamp, (began, began))  # what was edited meanwhile is newer


def parameters(profile: str, name: str) -> dict:
    """What the profile's parameter file says; without one the notebook's own defaults are meant."""
    path = Path("params", profile, f"{name}.yaml")
    if not path.exists():
        return {}
    from fmnist_keras.errors import RecipeError
    from fmnist_keras.parameters import check_parameters

    def distinct(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict:
        names = [key.value for key, _ in node.value]
        if len(set(names)) < len(names):  # the last would count, silently
            raise RecipeError(f"a name stands twice: {', '.join(names)}")
        return loader.construct_mapping(node, deep=True)

    yaml.SafeLoader.add_constructor("tag:yaml.org,2002:map", distinct)
    try:
        given = yaml.safe_load(path.read_bytes())
        if not isinstance(given, dict):
            raise RecipeError("must consist of lines `name: value`")
        check_parameters(name, given)
    except (yaml.YAMLError, RecipeError) as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from error
    return given


def render(notebook) -> str:
    """The executed notebook as a document without traces of its execution."""
    import nbformat

    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
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
    from PIL import Image

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
    with contextlib.suppress(FileNotFoundError):
        return json.loads(Path(".stamps", profile, f"{name}.progress").read_text())["done"]
    return 0


def start(profile: str, name: str) -> subprocess.Popen:
    """Execute a study in a session of its own, so that Ctrl-C does not reach it."""
    log = Path(".stamps", profile, f"{name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.with_suffix(".progress").unlink(missing_ok=True)
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, __file__, profile, name],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


def watch(profile: str, jobs: int, names: list[str]) -> int:
    """Execute studies, the longest first, and show how far they are; return how many failed."""
    path, shown, failed = Path("params", profile, "costs.yaml"), time.time(), []
    known = yaml.safe_load(path.read_text()) if path.exists() else {}
    costs = {name: {"runs": None, "seconds": 60} | known.get(name, {}) for name in names}
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
                about = {"name": name, "process": start(profile, name)} | costs[name]
                bars.add_task(name, total=about["runs"] or None, **about)
                if not live:
                    say(f"{name} started")
            for task in bars.tasks[1:]:
                name, code = task.fields["name"], task.fields["process"].poll()
                log = Path(".stamps", profile, f"{name}.log")
                done = finished(profile, name)
                runs = f"{done} of {task.total or '?'} runs"
                bars.update(task.id, completed=done, description=f"{name}: {runs}")
                if code == 0:
                    say(f"{name} done in {timedelta(seconds=round(task.elapsed))}")
                elif code is not None:
                    failed.append(name)
                    said = re.findall(f"^{name} failed: .+", log.read_text(errors="replace"), re.M)
                    line = said[-1] if said else f"{name} failed: exit status {code}"
                    say(f"{line} (full log: {log})")
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
