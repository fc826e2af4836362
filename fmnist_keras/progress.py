"""How far a notebook is with its runs, shown where somebody looks."""

import json
import os
import time
from pathlib import Path

from IPython import get_ipython
from IPython.display import display

BAR = '<progress value="{done}" max="{total}" style="width: 20em"></progress> {text}'


def watched() -> bool:
    """Whether somebody looks at this notebook while it runs. Front ends such as JupyterLab name the
    cell in their request; papermill, nbclient and nbval do not, and may hang over widgets."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and "cellId" in kernel.get_parent().get("metadata", {})


class Progress:
    """Shows how many of a call's runs are done: in a live notebook as a bar that goes once all
    are; under ``make``, which names a file in FMNIST_PROGRESS, as the count of the whole process;
    nowhere else, so that a saved notebook does not depend on what was trained when."""

    finished = 0

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.before = name, total, Progress.finished
        self.file, self.started = os.environ.get("FMNIST_PROGRESS"), time.monotonic()
        self.live = watched()
        self.bar = self.shown = None

    def show(self, done: int) -> None:
        if done == self.shown:
            return
        self.shown, Progress.finished = done, self.before + done
        if self.file:
            partial = Path(f"{self.file}.partial")
            partial.write_text(json.dumps({"done": Progress.finished}))
            partial.replace(self.file)
        elif self.live and done < self.total:
            self._draw(done)

    def close(self) -> None:
        if self.bar:
            self.bar.update({"text/plain": ""}, raw=True)

    def _draw(self, done: int) -> None:
        seconds = time.monotonic() - self.started
        left = f", {seconds * (self.total - done) / done / 60:.1f} min left" if done else ""
        text = f"{self.name}: {done} of {self.total} runs{left}"
        shown = {
            "text/plain": text,
            "text/html": BAR.format(done=done, total=self.total, text=text),
        }
        if self.bar:
            self.bar.update(shown, raw=True)
        else:
            self.bar = display(shown, raw=True, display_id=True)
