"""A notebook's own numbers against those stored for it, as far as the spread over seeds allows."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from ..recipe import Recipe

EXPECTED = Path(__file__).resolve().parents[2] / "tests" / "expected"
NOT_COMPARED = {*Recipe.model_fields, "recipe", "seed", "seconds", "cores"}
KEYS = ["condition", "seeds", "number"]
ROUNDING_FACTOR = 5
"""A third processor may move a number this much farther than a second one was seen to."""
SHORT = 2_000
"""Updates up to which two processors, which round differently, stay close for the same seed; in
longer runs they drift apart, up to the spread over seeds."""
SHARE_OF_SPREAD = {"short": 0.1, "long": 2.0, "steep": 2.0}
LEAST = {"short": 0.003, "long": 0.003, "steep": 0.15}
"""Least tolerance, as a share of the number: rounding alone moves a short run's losses by 0.001.
Steep are short runs with batch normalization at a rate of 0.1 and more: in them rounding grows from
1e-7 to a tenth of the loss within 50 updates, in Keras' ``fit`` as in ours. Where such a run stands
at its end is chance, and not compared."""
COMPARED_WHERE_STEEP = ["running_loss", "running_accuracy", "train_images", "parameters"]


def compare_with_expected(notebook: str, *runs: pd.DataFrame) -> None:
    """Print how many numbers of these runs are as expected, and each that is not.

    A condition is a ``recipe`` at its set of seeds; its numbers are the means over seeds of all
    numeric columns that are no recipe field. Stored are those of each profile's parameters, in
    ``tests/expected/<profile>/<notebook>.csv``; with other parameters there is nothing to compare.
    With FMNIST_UPDATE_EXPECTED=<profile> the numbers are stored instead; with FMNIST_OTHER_ROUNDING
    too, the stored ones stay and their tolerances grow by what other rounding does to them.
    """
    ours = _numbers(pd.concat(runs))
    if profile := os.environ.get("FMNIST_UPDATE_EXPECTED"):
        path = EXPECTED / profile / f"{notebook}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        new = _widened(path, ours) if os.environ.get("FMNIST_OTHER_ROUNDING") else ours
        new.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    files = sorted(EXPECTED.glob(f"*/{notebook}.csv"))
    stored = pd.concat([_read(path) for path in files] or [ours.iloc[:0]])
    both = ours.merge(stored.drop_duplicates(KEYS), "left", on=KEYS, suffixes=("", "_expected"))
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


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"condition": str, "seeds": str})  # digits alone are no number


def _widened(path: Path, ours: pd.DataFrame) -> pd.DataFrame:
    """The stored numbers with tolerances that hold ``ours``, which were rounded otherwise."""
    stored = _read(path)
    both = stored.merge(ours[[*KEYS, "mean"]], "left", on=KEYS, suffixes=("", "_ours"))
    moved = ROUNDING_FACTOR * (both["mean_ours"] - both["mean"]).abs()
    return stored.assign(tolerance=np.fmax(stored["tolerance"], moved.replace(np.inf, np.nan)))


def _numbers(runs: pd.DataFrame) -> pd.DataFrame:
    """A row per condition × number: ``label``, ``mean`` over seeds and ``tolerance``."""
    numbers = [name for name in runs.select_dtypes("number") if name not in NOT_COMPARED]
    rows = []
    for condition, part in runs.drop_duplicates(["recipe", "seed"]).groupby("recipe", sort=False):
        length = _length(part)
        settings = {
            "condition": condition,
            "seeds": " ".join(map(str, sorted(part["seed"]))),
            "label": _label(part.iloc[0]),
            "share": SHARE_OF_SPREAD[length],
            "least": LEAST[length],
        }
        present = part[numbers].columns[part[numbers].notna().any()]
        for number in COMPARED_WHERE_STEEP if length == "steep" else present:
            values = part[number]
            with np.errstate(invalid="ignore"):  # a diverged run's loss may be infinite
                spread = np.nan_to_num(values.std())  # one seed: none
            rows.append({**settings, "number": number, "mean": values.mean(), "spread": spread})
    frame = pd.DataFrame(rows)
    # Two seeds may agree by chance: no condition's spread counts as less than half the usual one.
    usual = frame.groupby("number")["spread"].transform("median")
    spread = np.maximum(frame.pop("spread"), usual / 2)
    tolerance = np.maximum(frame.pop("share") * spread, frame.pop("least") * frame["mean"].abs())
    return frame.assign(tolerance=tolerance)


def _length(runs: pd.DataFrame) -> str:
    """How far rounding carries the runs of a condition: "short", "long" or "steep"."""
    if "steps" not in runs:
        return "short"
    if runs["steps"].max() > SHORT:
        return "long"
    first = runs.iloc[0]
    steep = first.get("batch_norm", "none") != "none" and first["learning_rate"] >= 0.1
    return "steep" if steep else "short"


def _label(run: pd.Series) -> str:
    """What a reader calls a condition: its name, or what its network was trained with."""
    if run.get("name"):
        return run["name"]
    if "optimizer" not in run:
        return run["recipe"]
    return f"{run['optimizer']} at {run['learning_rate']:g}, batch {run['batch_size']}"
