"""Run make over studies and show how far they are and how long they will take.

    python scripts/progress.py PROFILE JOBS STUDY... -- MAKE...

The command is run with the studies' stamps as targets, the longest first. What it prints comes
from execute.py; how many runs a study has finished stands in .stamps/PROFILE/STUDY.progress; what
to expect in params/PROFILE/costs.yaml. A terminal shows a live table, anything else gets lines.
"""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STATUS_SECONDS = 60  # between two lines about the whole, where there is no live table
GRACE_SECONDS = 20  # for kernels to end by themselves after an interrupt


@dataclass
class Study:
    name: str
    runs: int | None = None  # expected; None: unknown
    seconds: float | None = None
    state: str = "up to date"
    done: int = 0
    began: float = 0
    elapsed: float = 0
    elapsed_then: float = 0  # when the latest run finished

    def look(self, profile: str) -> None:
        """Bring elapsed time and finished runs up to date."""
        if self.state != "running":
            return
        self.elapsed = time.monotonic() - self.began
        try:
            path = ROOT / ".stamps" / profile / f"{self.name}.progress"
            done = json.loads(path.read_text())["done"]
        except OSError:  # nothing has finished yet
            return
        if done != self.done:
            self.done, self.elapsed_then = done, self.elapsed

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.runs) if self.runs else 0.0

    def remaining(self, pace: float) -> float | None:
        if self.state in ("waiting", "running"):
            if self.seconds is None:
                return None
            left = (1 - self.fraction) * self.seconds * pace
            return max(0.0, left - (self.elapsed - self.elapsed_then))
        return 0.0


class Board:
    """All studies of one call, and what can be said of the whole."""

    def __init__(self, profile: str, jobs: int, studies: list[Study]) -> None:
        self.profile, self.jobs, self.studies = profile, jobs, studies
        self.began = time.monotonic()

    def pace(self) -> float:
        """Actual per expected seconds of the work done so far; a minute as expected goes before,
        so that the first few runs do not count for too much."""
        actual = expected = 60.0
        for study in self.studies:
            if study.seconds and study.state == "done":
                actual, expected = actual + study.elapsed, expected + study.seconds
            elif study.seconds and study.done:
                actual += study.elapsed_then
                expected += study.fraction * study.seconds
        return actual / expected

    def remaining(self) -> float | None:
        pace = self.pace()
        times = [study.remaining(pace) for study in self.studies]
        return None if None in times else max(max(times), sum(times) / self.jobs)

    def status(self) -> str:
        planned = self.named("waiting", "running", "done", "failed")
        expected = [study.runs for study in planned]
        parts = [
            f"{len(self.named('done'))} of {len(planned)} studies",
            f"{sum(s.done for s in planned)} of {'?' if None in expected else sum(expected)} runs",
            f"{clock(time.monotonic() - self.began)} elapsed",
            f"{clock(self.remaining())} left",
        ]
        return f"{self.profile}: {', '.join(parts)}"

    def named(self, *states: str) -> list[Study]:
        return [study for study in self.studies if study.state in states]


class Lines:
    """Plain lines, for pipes, files and terminals that cannot move the cursor."""

    def __init__(self, board: Board) -> None:
        self.board, self.shown = board, time.monotonic()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, line: str, lasting: bool = False) -> None:
        print(line, flush=True)

    def update(self) -> None:
        if time.monotonic() - self.shown >= STATUS_SECONDS:
            self.shown = time.monotonic()
            running = (f"{s.name} {s.done}/{count(s.runs)}" for s in self.board.named("running"))
            self.say(f"{self.board.status()}; running: {', '.join(running)}")


class Table:
    """A table that is drawn anew in place; above it what shall stay."""

    def __init__(self, board: Board) -> None:
        from rich.live import Live

        self.board = board
        self.live = Live(self.table(), auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> "Table":
        self.live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.update()
        self.live.__exit__(*error)

    def say(self, line: str, lasting: bool = False) -> None:
        """The table tells what starts and ends; only ``lasting`` lines are printed."""
        if lasting:
            self.live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def update(self) -> None:
        self.live.update(self.table(), refresh=True)

    def table(self):
        from rich.table import Table as Grid

        colors = {"running": "bold", "done": "green", "failed": "red"}
        pace, status = self.board.pace(), self.board.status()
        grid = Grid(title=status, title_justify="left", title_style="bold", box=None)
        for heading in ("study", "state", "runs", "elapsed", "left"):
            right = heading in ("runs", "elapsed", "left")
            grid.add_column(heading, justify="right" if right else "left", no_wrap=True)
        for study in self.board.studies:
            runs = elapsed = left = ""
            if study.state != "up to date":
                runs = f"{study.done}/{count(study.runs)}"
                elapsed = clock(study.elapsed) if study.elapsed else ""
            if study.state in ("waiting", "running"):
                left = clock(study.remaining(pace))
            style = colors.get(study.state, "dim")
            grid.add_row(study.name, study.state, runs, elapsed, left, style=style)
        return grid


def count(number: int | None) -> str:
    return "?" if number is None else str(number)


def clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def expected(profile: str, names: list[str]) -> list[Study]:
    """The studies with what they are expected to cost."""
    path, costs = ROOT / "params" / profile / "costs.yaml", {}
    if path.exists():
        import yaml

        costs = yaml.safe_load(path.read_text())
    return [Study(name, **costs.get(name, {})) for name in names]


class Make:
    """The running make, and what is to be learned from its lines."""

    def __init__(self, command: list[str], board: Board, show: "Lines | Table") -> None:
        self.board, self.show, self.complaints = board, show, []
        # A session of its own: Ctrl-C reaches make from here, and make passes it on once.
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def watch(self) -> int:
        while True:
            try:
                line = self.lines.get(timeout=0.5)
            except queue.Empty:
                line = ""
            for study in self.board.studies:
                study.look(self.board.profile)
            if line is None:
                return self.process.wait()
            self.hear(line)
            self.show.update()

    def hear(self, line: str) -> None:
        studies = {study.name: study for study in self.board.studies}
        told = re.match(r"(\w+) (started|done|failed)", line)
        broken = re.match(r"make.*\*\*\* \[.*/(\w+)\] (.+)", line)
        if told and told[1] in studies:
            study, state = studies[told[1]], told[2]
            study.state = "running" if state == "started" else state
            if state == "started":
                study.began = time.monotonic()
            if state == "done":
                line += f" in {clock(study.elapsed)}"
            self.show.say(line, lasting=state == "failed")
        elif broken and broken[1] in studies and studies[broken[1]].state == "running":
            studies[broken[1]].state = "failed"  # its process could not say so itself
            self.show.say(f"{broken[1]} failed: {broken[2]}", lasting=True)
        elif line.startswith("make"):
            self.complaints.append(line)
        elif line:
            self.show.say(line, lasting=True)

    def interrupt(self) -> None:
        """Stop make and all it has started."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.reader.join(GRACE_SECONDS)
        if self.reader.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)


def interrupt(*_: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def conclude(code: int, make: Make) -> int:
    """Say what failed, if anything did; return the exit status."""
    failed = [study.name for study in make.board.named("failed")]
    unmade = [study.name for study in make.board.named("waiting")]
    if failed:
        print(
            f"failed: {', '.join(failed)}" + (f"; not made: {', '.join(unmade)}" if unmade else "")
        )
    elif code:
        print("\n".join(make.complaints))
    return min(code, 1)


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    (profile, jobs, *names), command = arguments[:split], arguments[split + 1 :]
    studies = expected(profile, names)
    longest_first = sorted(studies, key=lambda study: -(study.seconds or 0))
    command += [f".stamps/{profile}/{study.name}" for study in longest_first]
    plan = subprocess.run([*command, "--dry-run"], capture_output=True, text=True)
    if plan.returncode or "n" in os.environ.get("MAKEFLAGS", "").partition(" ")[0]:
        print(plan.stdout + plan.stderr, end="")
        return plan.returncode
    planned = re.findall(r"scripts/execute\.py \S+ (\w+)", plan.stdout)
    for study in studies:
        study.state = "waiting" if study.name in planned else study.state
    return run(Board(profile, int(jobs), studies), command) if planned else 0


def run(board: Board, command: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    make = None
    try:
        with (Table if live else Lines)(board) as show:
            make = Make(command, board, show)
            code = make.watch()
        return conclude(code, make)
    except (KeyboardInterrupt, BrokenPipeError) as stop:
        if make:
            make.interrupt()
        if isinstance(stop, KeyboardInterrupt):
            print("interrupted; make all goes on where it was", flush=True)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
