"""Open the Optuna dashboard on the runs, at http://127.0.0.1:PORT.

    python scripts/dashboard.py 8080

Runs in a database are shown as they come. Those in journal files, one per study, are copied into
one storage when the dashboard starts, as it serves only one.
"""

import os
import sys
from pathlib import Path

import optuna
import optuna_dashboard

from fmnist_keras.storage import open_storage

ROOT = Path(__file__).resolve().parents[1]


def snapshot(folder: Path) -> optuna.storages.BaseStorage:
    """All studies in the folder's journal files, copied; the files stay as they are."""
    both = optuna.storages.InMemoryStorage()
    for path in sorted(folder.glob("*.journal")):
        journal = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(path))
        )
        for name in optuna.get_all_study_names(journal):
            optuna.copy_study(from_study_name=name, from_storage=journal, to_storage=both)
    return both


def main(port: int) -> int:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = os.environ.get("FMNIST_STORAGE", "")
    storage = open_storage(url, "") if url else snapshot(ROOT / "results")
    if not optuna.get_all_study_names(storage):
        print("there are no runs yet: make all")
        return 1
    kind = "live" if url else "a snapshot of results/ as it is now; start anew for later runs"
    print(f"http://127.0.0.1:{port}: {kind}; Ctrl-C ends it", flush=True)
    try:
        optuna_dashboard.run_server(storage, host="127.0.0.1", port=port)
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"port {port}: {error.strerror}; choose another one: make dashboard PORT={port + 1}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
