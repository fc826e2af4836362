"""Fetch Fashion-MNIST, unless some place has it already: by Keras' loader into Keras' cache, or
failing that as Debian's package into ours, without root. Prints where the data comes from."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fmnist_keras import data

TIME_LIMIT = 120  # seconds for one download command: enough for the 30 MB at 2 Mbit/s


def fetch() -> data.Images:
    """The data, downloaded if no place has it. Raises DataError: a bad file, or what was tried."""
    try:
        return data.load()
    except data.DataError as error:
        if "was not found" not in str(error):
            raise
    tried = ["Fashion-MNIST was not found:"]
    downloads = {"Keras": _download_with_keras, "Debian package": _download_package}
    for source, download in downloads.items():
        place = data.search_path()[source]
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".download-", dir=place) as temporary:
                files = download(Path(temporary))
                for name in data.FILES:  # moved when complete: no process ever sees half a file
                    os.replace(files / f"{name}.gz", place / f"{name}.gz")
            return data.load()
        except (OSError, subprocess.TimeoutExpired) as error:
            tried.append(f"{source}: download failed: {error}")
    tried += [f"Install Debian's {data.PACKAGE}, or set FMNIST_DATA to a folder with the files."]
    raise data.DataError("\n  ".join(tried))


def _download_with_keras(folder: Path) -> Path:
    # In a process of its own: in ours it would print, write in place and might wait for minutes.
    code = "import socket; socket.setdefaulttimeout(5); import keras; "
    code += "keras.datasets.fashion_mnist.load_data()"
    _run([sys.executable, "-c", code], folder, KERAS_HOME=str(folder))
    return folder / "datasets" / "fashion-mnist"


def _download_package(folder: Path) -> Path:
    apt = ["apt-get", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=10"]
    try:
        _run([*apt, "download", data.PACKAGE], folder)
    except OSError:
        # The system's package lists are empty or old, and only root may update them: make our own.
        (folder / "lists" / "partial").mkdir(parents=True)  # apt itself makes it only for root
        apt += ["-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]
        _run([*apt, "update"], folder)
        _run([*apt, "download", data.PACKAGE], folder)
    _run(["dpkg", "-x", *folder.glob("*.deb"), "unpacked"], folder)
    return folder / "unpacked" / data.SYSTEM_FOLDER.relative_to("/")


def _run(command: list, folder: Path, **environment: str) -> None:
    """Run a command in a folder, quietly; raise OSError with its last line if it fails."""
    done = subprocess.run(command, cwd=folder, env=os.environ | environment, timeout=TIME_LIMIT,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        raise OSError(done.stderr.strip().rpartition("\n")[2])


if __name__ == "__main__":
    try:
        print("data from:", fetch().source)
    except data.DataError as error:
        sys.exit(str(error))
