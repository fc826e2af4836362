"""A notebook's own numbers against those stored for it, as far as the spread over seeds allows."""

from pathlib import Path
from typing import TextIO

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
"""Follow from the recipe, or from the other numbers of the same run; compared where a run has no
others."""
STEADY = {"running_loss", "running_accuracy"}
"""Averages over an epoch: all that is compared of short runs with batch normalization at a rate of
0.1 and more. In them rounding grows from 1e-7 to a tenth of the loss within 50 updates, in Keras'
``fit`` as in ours, and where such a run stands at its end is chance."""
LONG = 2_000
"""Updates up to which two processors, which round differently, stay close for the same seed; in
longer runs they drift apart, up to the spread over seeds."""
CLOSE, APART = 0.1, 2.0
"""Tolerance as a share of the spread over seeds, where runs stay close and where they drift."""
LEAST = 0.003
"""Least tolerance, as a share of the number: rounding alone moves a short run's losses by 0.001."""


def numbers(*runs: pd.DataFrame) -> pd.DataFrame:
    """A row per condition × number of these runs, with ``seeds``, a ``label`` for readers, the
    ``mean`` over seeds and its ``tolerance``.

    A condition is a ``recipe`` at its set of seeds; its numbers are the numeric columns that are no
    recipe field and do not follow from others.
    """
    frame = pd.concat(runs).drop_duplicates(["recipe", "seed"])
    columns = [name for name in frame.select_dtypes("number") if name not in NO_NUMBERS]
    rows = []
    for condition, part in frame.groupby("recipe", sort=False):
        seeds = " ".join(map(str, sorted(part["seed"])))
        present = {name for name in columns if part[name].notna().any()}
        compared = present - FOLLOWING or present
        long = "steps" in part and part["steps"].max() > LONG
        steep = not long and _is_steep(part.iloc[0])
        for number in sorted(compared & STEADY if steep else compared, key=columns.index):
            values = part[number]
            with np.errstate(invalid="ignore"):  # a diverged run's loss may be infinite
                spread = np.nan_to_num(values.std())  # one seed: none
            label, share = _label(part.iloc[0]), APART if long or steep else CLOSE
            rows.append((condition, seeds, number, label, values.mean(), share, spread))
    found = pd.DataFrame(rows, columns=[*KEYS, "label", "mean", "share", "spread"])
    # Two seeds may agree by chance: no condition's spread counts as less than half the usual one.
    usual = found.groupby("number")["spread"].transform("median")
    spread = np.maximum(found.pop("spread"), usual / 2)
    tolerance = np.maximum(found.pop("share") * spread, LEAST * found["mean"].abs())
    return found.assign(tolerance=tolerance)


def compare(notebook: str, ours: pd.DataFrame) -> None:
    """Print how many of these numbers are as expected, and each that is not. Stored are those of
    some profiles' parameters, in ``tests/expected/<profile>/<notebook>.csv``; with other parameters
    there is nothing to compare."""
    files = sorted(EXPECTED.glob(f"*/{notebook}.csv"))
    stored = pd.concat([read(path) for path in files] or [ours.iloc[:0]])
    stored = stored[[*KEYS, "mean", "tolerance"]].drop_duplicates(KEYS)
    both = ours.merge(stored, "left", on=KEYS, suffixes=("", "_expected"))
    known = both[both["mean_expected"].notna()]
    close = (known["mean"] - known["mean_expected"]).abs() <= known["tolerance_expected"]
    off = known[~(close | (known["mean"] == known["mean_expected"]))]
    print(f"{len(known) - len(off)} of {len(ours)} numbers as expected")
    if len(known) < len(ours):
        print(f"{len(ours) - len(known)} are not stored: other parameters, or another protocol")
    for row in off.to_dict("records"):
        print(
            f"{row['label']}: {row['number']} {row['mean']:.5g}, expected "
            f"{row['mean_expected']:.5g} ± {row['tolerance_expected']:.2g}"
        )


def write(ours: pd.DataFrame) -> str:
    """The numbers as they are stored: text in CSV."""
    columns = [*KEYS, "mean", "tolerance"]
    return ours.to_csv(columns=columns, index=False, float_format="%.6g", lineterminator="\n")


def read(file: Path | TextIO) -> pd.DataFrame:
    """Stored numbers."""
    return pd.read_csv(file, dtype={"condition": str, "seeds": str})  # digits alone are no number


def _is_steep(run: pd.Series) -> bool:
    return run.get("batch_norm", "none") != "none" and run["learning_rate"] >= 0.1


def _label(run: pd.Series) -> str:
    """What a reader calls a condition: its name, or what its network was trained with."""
    if run.get("name"):
        return run["name"]
    if "optimizer" not in run:
        return run["recipe"]
    return f"{run['optimizer']} at {run['learning_rate']:g}, batch {run['batch_size']}"
