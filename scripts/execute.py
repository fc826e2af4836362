"""Execute one notebook with the parameters of a profile and store the report.

    python scripts/execute.py quick 03_learning_rate

A report is a reproducible document: the same outputs give the same bytes. What differs from one
execution to the next (how long it took, when and where) goes into a file in times/ instead. The
report appears only once its notebook has run through; until then an older one stays as it is.
"""

import json
import os
import re
import signal
import socket
import sys
import tempfile
import time
import traceback
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
VOLATILE = ("papermill", "execution", "ExecuteTime")  # metadata that tell of one execution


class Refused(Exception):
    """What is wrong with the input; the message names the file."""


def main(profile: str, study: str) -> int:
    os.chdir(ROOT)
    progress = ROOT / ".stamps" / profile / f"{study}.progress"
    log = progress.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    progress.unlink(missing_ok=True)  # a killed process may have left it
    terminal = divert_output(log)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        print(f"{study} started", file=terminal)
        execute(profile, study, progress)
    except KeyboardInterrupt:
        log.unlink()
        print(f"{study} interrupted", file=terminal)
        return 130
    except Exception as error:
        traceback.print_exc()
        note = f"full log: {log.relative_to(ROOT)}"
        print(f"{study} failed: {reason(error)} ({note})", file=terminal)
        return 1
    finally:
        progress.unlink(missing_ok=True)
    log.unlink()
    print(f"{study} done", file=terminal)
    return 0


def divert_output(log: Path):
    """Send all that this process and its kernel print to ``log``; return the terminal."""
    terminal = os.fdopen(os.dup(1), "w", buffering=1)
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return terminal


def interrupt(*_: object) -> None:
    """Stop once, however often the user presses Ctrl-C: the kernel needs a moment to clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def execute(profile: str, study: str, progress: Path) -> None:
    notebook, given = ROOT / "notebooks" / f"{study}.ipynb", parameters(profile, study)
    if not notebook.exists():
        raise Refused(f"notebooks/{study}.ipynb does not exist")
    report = ROOT / "reports" / profile / f"{study}.ipynb"
    times = report.parent / "times" / f"{study}.json"
    times.parent.mkdir(parents=True, exist_ok=True)
    options = json.loads(os.environ.get("FMNIST_OPTIONS") or "{}")
    os.environ["FMNIST_OPTIONS"] = json.dumps(options | {"report": f"{profile}/{study}"})
    began = time.time()
    executed = run(notebook, given)
    spent = {
        "seconds": round(time.time() - began, 1),
        "runs": json.loads(progress.read_text())["done"] if progress.exists() else None,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began)),
        "host": socket.gethostname(),
        "cores": os.cpu_count(),
    }
    write(times, json.dumps(spent, indent=1) + "\n")
    write(report, render(executed))


def parameters(profile: str, study: str) -> dict:
    """What the profile's parameter file says; without one the notebook's own defaults are meant."""
    path = ROOT / "params" / profile / f"{study}.yaml"
    given = {"profile": profile} if study == "14_summary" else {}
    if not path.exists():
        return given
    import yaml

    from fmnist_keras.errors import RecipeError
    from fmnist_keras.parameters import check_parameters

    name = path.relative_to(ROOT)
    try:
        content = yaml.load(path.read_bytes(), distinct_keys(yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        what = error.problem if isinstance(error, yaml.constructor.ConstructorError) else ""
        raise Refused(f"{name}{place}: {what or 'is not valid YAML'}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise Refused(f"{name}: must consist of lines `name: value`")
    try:
        check_parameters(study, content)
    except RecipeError as error:
        raise Refused(f"{name}: {error}") from None
    return given | content


def distinct_keys(loader: type) -> type:
    """A YAML loader that refuses a name which stands there twice: the last would count silently."""
    from yaml.constructor import ConstructorError

    class DistinctKeys(loader):
        def construct_mapping(self, node, deep=False):
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise ConstructorError(None, None, f"{key.value} stands twice", key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return DistinctKeys


def run(notebook: Path, given: dict):
    """The executed notebook. No kernel and no connection file outlives this, whatever happens."""
    import psutil

    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["JUPYTER_RUNTIME_DIR"] = folder
            import papermill

            return papermill.execute_notebook(
                notebook, None, given, kernel_name="python3", language="python", cwd=ROOT,
                progress_bar=False,
            )  # fmt: skip
    finally:  # papermill stops the kernel itself, but not one that was still starting
        for process in psutil.Process().children(recursive=True):
            process.kill()


def render(notebook) -> str:
    """The executed notebook as a document without traces of its execution."""
    import nbformat

    from scripts.chapters import described

    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook.metadata = nbformat.from_dict(metadata)
    for cell in notebook.cells:
        for key in VOLATILE:
            cell.metadata.pop(key, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
    for cell, alt in described(notebook):
        cell.outputs = whole_streams(cell.outputs)
        for output in cell.outputs:
            if "text/plain" in output.get("data", {}):  # an object's place in memory
                text = output.data["text/plain"]
                output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+(?=>)", "", text)
            if "image/png" in output.get("data", {}):
                output.metadata["image/png"] = {"alt": alt}
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def whole_streams(outputs: list) -> list:
    """Text reaches us in pieces cut by chance; join those of a stream with nothing shown between,
    standard output first."""
    merged = []
    for is_stream, group in groupby(outputs, lambda output: output.output_type == "stream"):
        if not is_stream:
            merged += group
            continue
        by_name = sorted(group, key=lambda output: output.name, reverse=True)
        for _, pieces in groupby(by_name, lambda output: output.name):
            first, *rest = pieces
            first.text += "".join(piece.text for piece in rest)
            merged.append(first)
    return merged


def write(path: Path, text: str) -> None:
    """All of the file or nothing."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def reason(error: Exception) -> str:
    """An exception, or the one that a notebook's cell raised, in one line."""
    name = getattr(error, "ename", type(error).__name__)
    if name == "DeadKernelError":
        return "its kernel died, perhaps for want of memory"
    if isinstance(error, OSError) and error.filename:
        where = f"{error.filename}: {error.strerror}"
        return f"{where}; free space or make it writable, and the same command goes on"
    text = getattr(error, "evalue", str(error)).strip().partition("\n")[0]
    return text if isinstance(error, Refused) else f"{name}: {text}".removesuffix(": ")


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except OSError as error:  # not even the log could be opened
        sys.exit(f"{sys.argv[-1]} failed: {reason(error)}")
