"""A notebook's own numbers against those stored for it, as far as the spread over seeds allows."""

from pathlib import Path

import numpy as np
import pandas as pd

from .recipe import Recipe
from .settings import ROOT

EXPECTED = ROOT / "tests" / "expected"
KEYS = ["condition", "seeds", "number"]
NO_NUMBERS = {*Recipe.model_fields, "recipe", "seed", "seconds", "cores", "threads"}
FOLLOWING = {
    "objective", "train_images", "parameters", "steps", "diverged", "best_epoch", "stop_epoch",
    "train_accuracy", "restored_train_accuracy", "test_accuracy_batch_mean",
    "restored_test_accuracy_batch_mean",
}  # fmt: skip
"""Follow from the recipe or from other numbers of the run; compared where a run has no others."""
STEADY = {"running_loss", "running_accuracy"}
"""All that is compared of short runs with batch normalization at a learning rate of 0.1 and more:
there rounding grows from 1e-7 to a tenth of the loss within 50 updates, in Keras' ``fit`` as in
ours, so where such a run ends is chance; its averages over an epoch are not."""
LONG = 2_000
"""Updates up to which two processors, which round differently, stay close for the same seed; in
longer runs they drift apart, up to the spread over seeds."""
CLOSE, APART = 0.1, 2.0
"""Tolerance as a share of the spread over seeds, where runs stay close and where they drift."""
LEAST = 0.003
"""Least tolerance, as a share of the number: rounding alone moves a short run's losses by 0.001."""


def numbers(*runs: pd.DataFrame) -> pd.DataFrame:
    """A row per condition (a ``recipe`` at its seeds) × number (numeric column that is no field of
    a recipe), with a ``label`` for readers, the ``mean`` over seeds and its ``tolerance``."""
    frame = pd.concat(runs).drop_duplicates(["recipe", "seed"])
    columns = [name for name in frame.select_dtypes("number") if name not in NO_NUMBERS]
    rows = []
    for condition, part in frame.groupby("recipe", sort=False):
        run, seeds = part.iloc[0], " ".join(map(str, sorted(part["seed"])))
        label = run.get("name") or condition
        if not run.get("name") and "optimizer" in run:
            label = f"{run['optimizer']} at {run['learning_rate']:g}, batch {run['batch_size']}"
        present = [name for name in columns if part[name].notna().any()]
        compared = [name for name in present if name not in FOLLOWING] or present
        long = "steps" in part and part["steps"].max() > LONG
        normalized = run.get("batch_norm", "none") != "none"
        if steep := not long and normalized and run["learning_rate"] >= 0.1:
            compared = [name for name in compared if name in STEADY]
        share = APART if long or steep else CLOSE
        for name in compared:
            with np.errstate(invalid="ignore"):  # a diverged run's loss may be infinite
                spread = np.nan_to_num(part[name].std())  # one seed: none
            rows.append((condition, seeds, name, label, part[name].mean(), share, spread))
    found = pd.DataFrame(rows, columns=[*KEYS, "label", "mean", "share", "spread"])
    # Two seeds may agree by chance: no condition's spread counts as less than half the usual one.
    usual = found.groupby("number")["spread"].transform("median")
    spread = np.maximum(found.pop("spread"), usual / 2)
    tolerance = np.maximum(found.pop("share") * spread, LEAST * found["mean"].abs())
    return found.assign(tolerance=tolerance)


def compare(notebook: str, ours: pd.DataFrame) -> str:
    """How many of these numbers are as stored in ``tests/expected/<profile>/<notebook>.csv`` of any
    profile, and each that is not: lines to print. Other parameters have nothing stored."""
    files = sorted(EXPECTED.glob(f"*/{notebook}.csv"))
    stored = pd.concat(map(read, files)) if files else ours.iloc[:0]
    stored = stored[[*KEYS, "mean", "tolerance"]].drop_duplicates(KEYS)
    both = ours.merge(stored, "left", on=KEYS, suffixes=("", "_expected"))
    known = both[both["mean_expected"].notna()]
    close = (known["mean"] - known["mean_expected"]).abs() <= known["tolerance_expected"]
    off = known[~(close | (known["mean"] == known["mean_expected"]))]
    if known.empty:
        return "not checked: numbers as expected are stored for other parameters only"
    lines = [f"{len(known) - len(off)} of {len(ours)} numbers as expected"]
    if len(known) < len(ours):
        missing = len(ours) - len(known)
        lines.append(f"{missing} are not stored: other parameters, or another protocol")
    for row in off.to_dict("records"):
        wanted = f"{row['mean_expected']:.5g} ± {row['tolerance_expected']:.2g}"
        lines.append(f"{row['label']}: {row['number']} {row['mean']:.5g}, expected {wanted}")
    return "\n".join(lines)


def write(ours: pd.DataFrame, path: Path) -> None:
    columns = [*KEYS, "mean", "tolerance"]
    ours.to_csv(path, columns=columns, index=False, float_format="%.6g", lineterminator="\n")


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"condition": str, "seeds": str})  # digits alone are no number
