"""Carry the committed runs over a change of the arithmetic that changes no number, and prove it.

    python -m benchmarks.rekey OLD_COMMIT reports/paper/runs.parquet

A run counts only with the fingerprint of the code that made it. This trains a small recipe of each
kind that the runs of the old commit's code have, CNNs also resumed from a checkpoint, with that
commit and with the code here, both on this machine. Only if all metrics and curves but the times
are equal to nine digits, the runs get the fingerprint of the code here. Runs that cannot be proven
(of other code, of an architecture from a notebook, under another key) stay as they are.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
SEEDS = [0, 3]


SIZES = {"train_size": 1_500, "val_size": 600, "test_size": 500, "epochs": 2}
"""Of the small recipes; a CNN trains on fewer images, with fewer filters."""


def kind(fields: dict) -> str:
    """What of a recipe chooses the code that runs: its words, whether each number is 0, how many
    hidden layers there are, and whether they are wide (these train one seed at a time)."""
    words = {name: value for name, value in fields.items() if name not in {"name", *SIZES}}
    for name, value in words.items():
        if isinstance(value, int | float):
            words[name] = bool(value)
    wide = max(fields["units"], default=0) > 256
    return json.dumps(words | {"units": [len(fields["units"]), wide]}, sort_keys=True)


def small(fields: dict) -> dict:
    """A recipe of the same kind that trains in seconds."""
    sizes, most = SIZES, {"batch_size": 320, "lr_step_size": 1, "patience": 1, "steps_per_epoch": 7}
    if fields["model"] != "mlp":
        sizes = SIZES | {"train_size": 320}
        most["width_multiplier"] = 0.0625 if fields["model"] == "vgg16" else 0.25
    return fields | sizes | {k: min(fields[k], limit) for k, limit in most.items() if fields[k]}


def sample(recipes: list[dict]) -> dict:
    """The fingerprints and each kind's numbers, by the checkout that PYTHONPATH names."""
    from fmnist_keras import fingerprint, training
    from fmnist_keras.recipe import Recipe

    of_recipe = getattr(fingerprint, "of_recipe", lambda recipe: fingerprint.CURRENT)
    found = {"threads": getattr(fingerprint, "threads", dict)(), "runs": {}, "prints": {}}
    for fields in recipes:
        try:
            recipe = Recipe(**fields)
        except ValueError:
            continue  # no recipe here: its runs will not be carried over
        seeds = SEEDS[:1] if recipe.convolutional else SEEDS
        runs = training.train(recipe, seeds) + (_resumed(recipe) if recipe.convolutional else [])
        found["runs"][kind(fields)] = [_rounded([run.metrics, run.curves]) for run in runs]
        found["prints"][recipe.convolutional] = of_recipe(recipe)
        print(".", end="", file=sys.stderr, flush=True)
    return found


def _resumed(recipe) -> list:
    """The run of the first seed, interrupted after an epoch."""
    from fmnist_keras import training
    from fmnist_keras.training import checkpoint

    def save_and_stop(*args, save=checkpoint.save):
        checkpoint.save = save
        save(*args)
        raise InterruptedError

    with tempfile.TemporaryDirectory() as folder:
        path, checkpoint.save = Path(folder) / "run.npz", save_and_stop
        try:
            training.train(recipe, SEEDS[:1], lambda seed: path)
        except InterruptedError:
            return training.train(recipe, SEEDS[:1], lambda seed: path)


def _rounded(value):
    if isinstance(value, dict):
        return {k: _rounded(inner) for k, inner in value.items() if k != "seconds"}
    return list(map(_rounded, value)) if isinstance(value, list) else f"{value:.9g}"


def trained_by(checkout: Path, recipes: list[dict], folder: Path) -> dict:
    """The sample as this checkout trains it, in a process of its own."""
    given = folder / "recipes.json"
    given.write_text(json.dumps(recipes), "utf-8")
    environment = os.environ | {"PYTHONPATH": str(checkout), "FMNIST_RESULTS": str(folder)}
    command = [sys.executable, __file__, "--sample", str(given)]
    done = subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def has_its_key(row: pd.Series) -> bool:
    """Whether the run would be looked for, here, under the key that it is stored by."""
    from fmnist_keras.recipe import Recipe

    try:
        return Recipe(**json.loads(row["recipe"])).key == row["job"].partition("/")[0]
    except ValueError:
        return False


def rekey(commit: str, path: Path) -> str:
    """Prove and write; return one line that says what was done. Raises SystemExit, with nothing
    written, where a number differs."""
    rows = pd.read_parquet(path)
    recipes = rows["recipe"].map(json.loads)
    kinds = recipes.map(kind)
    trained = [small(recipes[at]) for at in kinds[~kinds.duplicated()].index]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(folder / "old"), commit], check=True)
        try:
            old = trained_by(folder / "old", trained, folder)
        finally:
            subprocess.run([*git, "remove", "--force", str(folder / "old")], check=True)
        new = trained_by(ROOT, trained, folder)
    both = old["runs"].keys() & new["runs"].keys()
    if differ := sorted(name for name in both if old["runs"][name] != new["runs"][name]):
        sys.exit(f"{len(differ)} of {len(both)} kinds differ, nothing was written: {differ[0]}")
    threads = dict.fromkeys(old["prints"].values(), 1) | old["threads"]
    proven = kinds.isin(both) & rows["fingerprint"].isin(threads) & rows.apply(has_its_key, axis=1)
    for at in rows.index[proven]:
        shared_by = threads[rows.at[at, "fingerprint"]]
        if shared_by > 1:
            made = json.loads(rows.at[at, "provenance"]) | {"threads": shared_by}
            rows.at[at, "provenance"] = json.dumps(made)
        rows.at[at, "fingerprint"] = new["prints"][json.dumps(recipes[at]["model"] != "mlp")]
    rows.to_parquet(path, compression="zstd", compression_level=19, index=False)
    return f"{len(both)} kinds are equal: {proven.sum()} runs carried over, {(~proven).sum()} not"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--sample"]:
        print(json.dumps(sample(json.loads(Path(sys.argv[2]).read_text("utf-8")))))
    else:
        parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
        parser.add_argument("commit")
        parser.add_argument("path", type=Path)
        print(rekey(**vars(parser.parse_args())))
