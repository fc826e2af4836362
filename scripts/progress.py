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
COLORS = {"running": "bold", "done": "green", "failed": "red", "not made": "red"}


@dataclass
class Study:
    name: str
    progress: Path
    runs: int | None = None  # expected; None: unknown
    seconds: float | None = None
    state: str = "up to date"  # or waiting, running, done, failed, not made
    done: int = 0
    began: float = 0
    elapsed: float = 0
    elapsed_then: float = 0  # when the latest run finished
    trained: float = 0  # seconds that runs took, and would have taken as expected
    expected: float = 0

    def look(self) -> None:
        """Bring elapsed time and finished runs up to date."""
        if self.state != "running":
            return
        self.elapsed = time.monotonic() - self.began
        if self.progress.exists():
            done = json.loads(self.progress.read_text())["done"]
            if done != self.done:
                self.gain(done - self.done)

    def gain(self, runs: int) -> None:
        """Count runs that have finished. Those that come ten times too fast were in storage
        already, and tell nothing about the pace."""
        took = self.elapsed - self.elapsed_then
        expected = runs * self.seconds / self.runs if self.seconds and self.runs else 0.0
        if took > expected / 10:
            self.trained, self.expected = self.trained + took, self.expected + expected
        self.done, self.elapsed_then = self.done + runs, self.elapsed

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.runs) if self.runs else 0.0

    def remaining(self, pace: float) -> float | None:
        if self.state not in ("waiting", "running"):
            return 0.0
        if self.seconds is None:
            return None
        since = self.elapsed - self.elapsed_then
        return max(0.0, (1 - self.fraction) * self.seconds * pace - since)

    def row(self, pace: float) -> list[str]:
        runs = "" if self.state == "up to date" else f"{self.done}/{known(self.runs)}"
        left = clock(self.remaining(pace)) if self.state in ("waiting", "running") else ""
        return [self.name, self.state, runs, clock(self.elapsed) if self.elapsed else "", left]


class Board:
    """The studies of one call, and what can be said of the whole."""

    def __init__(self, profile: str, jobs: int, studies: list[Study]) -> None:
        self.profile, self.jobs, self.studies = profile, jobs, studies
        self.began = time.monotonic()

    def pace(self) -> float:
        """Actual per expected seconds of the runs so far; a minute as expected goes before, so that
        the first few do not count for too much."""
        trained = sum(study.trained for study in self.studies if study.expected)
        return (60 + trained) / (60 + sum(study.expected for study in self.studies))

    def remaining(self) -> float | None:
        pace = self.pace()
        times = [study.remaining(pace) for study in self.studies]
        return None if None in times else max(max(times), sum(times) / self.jobs)

    def status(self) -> str:
        planned = [study for study in self.studies if study.state != "up to date"]
        runs = [study.runs for study in planned]
        return (
            f"{self.profile}: {len(self.named('done'))} of {len(planned)} studies, "
            f"{sum(study.done for study in planned)} of "
            f"{'?' if None in runs else sum(runs)} runs, "
            f"{clock(time.monotonic() - self.began)} elapsed, {clock(self.remaining())} left"
        )

    def named(self, state: str) -> list[str]:
        return [study.name for study in self.studies if study.state == state]


class Lines:
    """Plain lines, for pipes, files and terminals that cannot move the cursor."""

    def __init__(self, board: Board) -> None:
        self.board, self.shown = board, time.monotonic()

    def say(self, line: str, lasting: bool = False) -> None:
        print(line, flush=True)

    def update(self) -> None:
        if time.monotonic() - self.shown >= STATUS_SECONDS:
            self.shown = time.monotonic()
            self.say(f"{self.board.status()}; running: {', '.join(self.board.named('running'))}")

    def close(self) -> None:
        pass


class Table:
    """A table that is drawn anew in place; above it what shall stay."""

    def __init__(self, board: Board) -> None:
        from rich.live import Live

        self.board = board
        self.live = Live(self.table(), auto_refresh=False, vertical_overflow="crop")
        self.live.start()

    def say(self, line: str, lasting: bool = False) -> None:
        if lasting:  # of anything else the table tells
            self.live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def update(self) -> None:
        self.live.update(self.table(), refresh=True)

    def close(self) -> None:
        self.update()
        self.live.stop()

    def table(self):
        from rich.console import Group
        from rich.table import Table as Grid
        from rich.text import Text

        grid, pace = Grid(box=None, header_style="dim"), self.board.pace()
        for heading in ("study", "state", "runs", "elapsed", "left"):
            justify = "left" if heading in ("study", "state") else "right"
            grid.add_column(heading, justify=justify, no_wrap=True)
        for study in self.board.studies:
            grid.add_row(*study.row(pace), style=COLORS.get(study.state, "dim"))
        return Group(Text(self.board.status(), style="bold"), grid)


def known(number: int | None) -> str:
    return "?" if number is None else str(number)


def clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Make:
    """The running make, and what is to be learned from its lines."""

    def __init__(self, command: list[str], board: Board) -> None:
        self.board, self.complaints = board, []
        # A session of its own: Ctrl-C reaches it from here, once, and nothing else of the terminal.
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def watch(self, show: Lines | Table) -> int:
        """Show how it goes until make ends; return its exit status."""
        line = ""
        while line is not None:
            for study in self.board.studies:
                study.look()
            self.hear(line, show)
            show.update()
            try:
                line = self.lines.get(timeout=0.5)
            except queue.Empty:
                line = ""
        for study in self.board.studies:
            study.state = "not made" if study.state == "waiting" else study.state
        return self.process.wait()

    def hear(self, line: str, show: Lines | Table) -> None:
        running = self.board.named("running")
        told = re.match(r"(\w+) (started|done|failed)", line)
        broken = re.match(r"make.*\*\*\* \[.*/(\w+)\] (.+)", line)
        if told:
            study = next(study for study in self.board.studies if study.name == told[1])
            study.state = "running" if told[2] == "started" else told[2]
            if told[2] == "started":
                study.began = time.monotonic()
            ending = f" in {clock(study.elapsed)}" if told[2] == "done" else ""
            show.say(line + ending, lasting=told[2] == "failed")
        elif broken and broken[1] in running:  # its process could not say so itself
            self.hear(f"{broken[1]} failed: {broken[2]}", show)
        elif line.startswith("make"):
            self.complaints.append(line)
        elif line:
            show.say(line, lasting=True)

    def stop(self) -> None:
        """End make and all that it has started."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.reader.join(GRACE_SECONDS)
        if self.reader.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)


def interrupt(*_: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def run(board: Board, command: list[str]) -> int:
    """Run make and show it; end with what failed. Returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    make, show = Make(command, board), (Table if live else Lines)(board)
    try:
        code = make.watch(show)
        show.close()
    except KeyboardInterrupt:
        make.stop()
        show.close()
        print("interrupted; make all goes on where it was", flush=True)
        return 130
    except BrokenPipeError:  # whoever read our lines has gone
        make.stop()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 130
    if failed := board.named("failed"):
        unmade = board.named("not made")
        print("failed:", ", ".join(failed) + (f"; not made: {', '.join(unmade)}" if unmade else ""))
    elif code:
        print("\n".join(make.complaints))
    return min(code, 1)


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    (profile, jobs, *names), command = arguments[:split], arguments[split + 1 :]
    path, costs = ROOT / "params" / profile / "costs.yaml", {}
    if path.exists():
        import yaml

        costs = yaml.safe_load(path.read_text())
    stamps = Path(".stamps", profile)
    studies = [
        Study(name, ROOT / stamps / f"{name}.progress", **costs.get(name, {})) for name in names
    ]
    longest_first = sorted(studies, key=lambda study: -(study.seconds or 0))
    command += [str(stamps / study.name) for study in longest_first]
    plan = subprocess.run([*command, "--dry-run"], capture_output=True, text=True)
    if plan.returncode or "n" in os.environ.get("MAKEFLAGS", "").partition(" ")[0]:
        print(plan.stdout + plan.stderr, end="")
        return plan.returncode
    planned = re.findall(r"scripts/execute\.py \S+ (\w+)", plan.stdout)
    for study in studies:
        study.state = "waiting" if study.name in planned else study.state
    return run(Board(profile, int(jobs), studies), command) if planned else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
