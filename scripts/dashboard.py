"""Serve Optuna's dashboard on the runs, at http://127.0.0.1:PORT.

    python scripts/dashboard.py 8080

The runs in a database (FMNIST_STORAGE) are shown as they come. Those in journal files, one file per
study, are copied into one storage at the start: the dashboard serves no more than one.
"""

import os
import sys
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import optuna_dashboard
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from fmnist_keras.storage import open_storage

RESULTS = Path(__file__).resolve().parents[1] / "results"


class Silent(WSGIRequestHandler):
    """Answers requests without a line about each."""

    def log_message(self, *_: object) -> None:
        pass


def snapshot() -> BaseStorage:
    """All studies of all journal files, copied; the files stay as they are."""
    memory = InMemoryStorage()
    for path in sorted(RESULTS.glob("*.journal")):
        journal = JournalStorage(JournalFileBackend(str(path)))
        for name in optuna.get_all_study_names(journal):
            optuna.copy_study(from_study_name=name, from_storage=journal, to_storage=memory)
    return memory


def main(port: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = os.environ.get("FMNIST_STORAGE", "")
    kind = "live" if url else "a snapshot of results/; start anew to see later runs"
    try:
        storage = open_storage(url, "") if url else snapshot()
    except Exception as error:
        sys.exit(f"cannot open STORAGE: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
    if not optuna.get_all_study_names(storage):
        sys.exit("no runs yet: make all trains them")
    try:
        app = optuna_dashboard.wsgi(storage)
        with make_server("127.0.0.1", port, app, handler_class=Silent) as server:
            print(f"http://127.0.0.1:{port} ({kind}); Ctrl-C ends it", flush=True)
            server.serve_forever()
    except OSError as error:
        sys.exit(f"PORT = {port}: {error.strerror}; another one: make dashboard PORT={port + 1}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
