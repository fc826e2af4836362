"""The progress of a notebook's runs."""

import json
import os
import time

from IPython import get_ipython
from IPython.display import display

from .settings import ROOT, option

BAR = '<progress value="{}" max="{}" style="width: 20em"></progress> {}'


def is_interactive() -> bool:
    """Whether a user works in this notebook. Front ends such as JupyterLab name the cell in their
    request; papermill, nbclient and nbval do not, and may hang over widgets."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and "cellId" in kernel.get_parent().get("metadata", {})


class Progress:
    """Shows how many runs of a call are done. In a live notebook this is a bar that disappears at
    the end. While a report is made, the count of the whole process is in its progress file. There
    is no output anywhere else, so a saved notebook does not depend on what was trained when."""

    finished = 0

    def __init__(self, total: int) -> None:
        self.total, self.before, self.started = total, Progress.finished, time.monotonic()
        self.bar = None

    def show(self, done: int) -> None:
        Progress.finished = self.before + done
        if report := option("report"):
            file = ROOT / ".stamps" / f"{report}.progress"
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps({"done": Progress.finished}), "utf-8")
            partial.replace(file)
        elif done == self.total and self.bar:
            self.bar.update({"text/plain": ""}, raw=True)
        elif done < self.total and is_interactive():
            seconds = time.monotonic() - self.started
            left = f", {seconds * (self.total - done) / done / 60:.1f} min left" if done else ""
            text = f"{done} of {self.total} runs{left}"
            page = {"text/plain": text, "text/html": BAR.format(done, self.total, text)}
            if self.bar:
                self.bar.update(page, raw=True)
            else:
                self.bar = display(page, raw=True, display_id=True)
