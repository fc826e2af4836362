"""How far a notebook is with its runs, shown where somebody looks."""

import json
import os
import time

from IPython import get_ipython
from IPython.display import display

from .settings import report_file

BAR = '<progress value="{done}" max="{total}" style="width: 20em"></progress> {text}'


def is_interactive() -> bool:
    """Whether somebody looks at this notebook while it runs. Front ends such as JupyterLab name the
    cell in their request; papermill, nbclient and nbval do not, and may hang over widgets."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and "cellId" in kernel.get_parent().get("metadata", {})


class Progress:
    """Shows how many of a call's runs are done: in a live notebook as a bar that goes once all
    are; while a report is made, in its progress file as the count of the whole process; nowhere
    else, so that a saved notebook does not depend on what was trained when."""

    finished = 0

    def __init__(self, total: int) -> None:
        self.total, self.before, self.started = total, Progress.finished, time.monotonic()
        self.file, self.live = report_file("progress"), is_interactive()
        self.bar = self.shown = None

    def show(self, done: int) -> None:
        if done == self.shown:
            return
        self.shown, Progress.finished = done, self.before + done
        if self.file:
            partial = self.file.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps({"done": Progress.finished}))
            partial.replace(self.file)
        elif self.live and done < self.total:
            self._draw(done)
        elif self.bar:
            self.bar.update({"text/plain": ""}, raw=True)

    def _draw(self, done: int) -> None:
        seconds = time.monotonic() - self.started
        left = f", {seconds * (self.total - done) / done / 60:.1f} min left" if done else ""
        text = f"{done} of {self.total} runs{left}"
        page = BAR.format(done=done, total=self.total, text=text)
        shown = {"text/plain": text, "text/html": page}
        if self.bar:
            self.bar.update(shown, raw=True)
        else:
            self.bar = display(shown, raw=True, display_id=True)
