"""How far a notebook is with its runs, shown where somebody looks."""

import json
import os
import time
from pathlib import Path

from IPython import get_ipython
from IPython.display import clear_output


class Progress:
    """Shows how many of a call's runs are done: in a live notebook as a line that goes once all
    are; under ``make``, which names a file in FMNIST_PROGRESS, as the count of the whole process;
    nowhere else, so that a saved notebook does not depend on what was trained when."""

    finished = 0

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.before = name, total, Progress.finished
        self.file, self.started = os.environ.get("FMNIST_PROGRESS"), time.monotonic()
        self.live = get_ipython() is not None and not self.file
        self.shown = None

    def show(self, done: int) -> None:
        if done == self.shown:
            return
        self.shown, Progress.finished = done, self.before + done
        if self.file:
            partial = Path(f"{self.file}.partial")
            partial.write_text(json.dumps({"done": Progress.finished}))
            partial.replace(self.file)
        elif self.live and done < self.total:
            clear_output(wait=True)
            minutes = (time.monotonic() - self.started) / 60
            print(f"{self.name}: {done} of {self.total} runs, {minutes:.1f} min", flush=True)

    def close(self) -> None:
        if self.live:
            clear_output()
