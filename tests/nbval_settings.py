"""nbval executes chapters alone, without their user's configuration, and compares only what cells
print: all else drifts, or is compared with tolerance elsewhere."""

import tempfile

from scripts.report import chapters, isolate

DRIFTS = (
    "stderr", "text/plain", "text/html", "text/markdown", "image/png",
    "application/vnd.fmnist-keras.table+json",
)  # fmt: skip

FOLDER = tempfile.TemporaryDirectory()  # until the tests end
isolate(FOLDER.name)


def pytest_ignore_collect(collection_path):
    """Whether to pass over a notebook; None leaves it to pytest."""
    is_notebook = collection_path.suffix == ".ipynb"
    return (is_notebook and collection_path not in chapters(collection_path.parent)) or None


def pytest_collectstart(collector):
    if collector.fspath and collector.fspath.ext == ".ipynb":
        collector.skip_compare += DRIFTS
