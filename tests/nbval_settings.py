"""What nbval leaves out when it compares a notebook with its stored outputs: what drifts."""


def pytest_collectstart(collector):
    if collector.fspath and collector.fspath.ext == ".ipynb":
        collector.skip_compare += (
            "stderr",
            "text/html",
            "image/png",
            "application/papermill.record",
        )
