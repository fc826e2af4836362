"""What nbval leaves out when it compares a notebook with its stored outputs: all but what its cells
print. The rest drifts, or is compared with tolerance elsewhere."""

SHOWN = (
    "stderr",
    "text/plain",
    "text/html",
    "text/markdown",
    "text/csv",
    "image/png",
    "application/vnd.fmnist-keras.table+json",
    "application/papermill.record",
)


def pytest_collectstart(collector):
    if collector.fspath and collector.fspath.ext == ".ipynb":
        collector.skip_compare += SHOWN
