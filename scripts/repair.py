"""Save what is whole in damaged journal files, and say what was dropped.

    python scripts/repair.py [JOURNAL …]        (without one: all in the results folder)

A stored run is one entry, complete in itself, so each whole one is kept whatever is damaged around
it. Searches follow from their runs: they are made again, without training. The damaged file stays
beside the new one, with ".damaged" behind its name. No worker may be at it meanwhile.
"""

import os
import sys
from pathlib import Path

import optuna
from optuna.trial import create_trial

from fmnist_keras.errors import StorageError
from fmnist_keras.journal import entry, open_journal
from fmnist_keras.storage import results_folder


def runs_in(path: Path) -> tuple[dict[str, dict], list[int]]:
    """The whole runs by their jobs, the first of each, and the numbers of the damaged lines."""
    runs, damaged = {}, []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            content = entry(line)
            if content is None or not line.endswith(b"\n"):
                damaged.append(number)
                continue
            result = (content.get("user_attr") or {}).get("result")
            if isinstance(result, dict) and "job" in result:
                runs.setdefault(result["job"], result)
    return runs, damaged


def repair(path: Path) -> str:
    """Replace a damaged journal by one with its whole runs; return what was done, in one line."""
    try:
        open_journal(path)
        return "is whole"
    except StorageError:
        runs, damaged = runs_in(path)
    new = path.with_name(f"{path.stem}.repaired")
    new.unlink(missing_ok=True)
    study = optuna.create_study(
        study_name=path.stem, storage=open_journal(new), direction="maximize"
    )
    for result in runs.values():
        attributes = {name: result[name] for name in ("job", "recipe", "seed", "fingerprint")}
        value = result["metrics"]["objective"]
        study.add_trial(create_trial(value=value, user_attrs={**attributes, "result": result}))
    os.replace(path, path.with_name(f"{path.name}.damaged"))
    os.replace(f"{new}.length", f"{path}.length")
    os.replace(new, path)
    Path(f"{new}.flock").unlink()
    dropped = ", ".join(map(str, damaged[:10])) + (" …" if len(damaged) > 10 else "")
    return f"{len(runs)} runs kept; dropped: {f'line {dropped}' if damaged else 'nothing whole'}"


def main(*paths: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for path in map(Path, paths or sorted(results_folder().glob("*.journal"))):
        print(f"{path}: {repair(path)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
