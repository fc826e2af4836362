"""nbval compares only what a notebook's cells print: all else drifts, or is compared with tolerance
elsewhere."""

DRIFTS = (
    "stderr", "text/plain", "text/html", "text/markdown", "image/png",
    "application/vnd.fmnist-keras.table+json",
)  # fmt: skip


def pytest_collectstart(collector):
    if collector.fspath and collector.fspath.ext == ".ipynb":
        collector.skip_compare += DRIFTS
