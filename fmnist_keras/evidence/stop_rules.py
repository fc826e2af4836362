"""Stop rules as readings: where runs that were trained to the end would have stopped by each."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

Rule = tuple[str, str] | int
"""A metric and what it has to improve on, "best" so far or the epoch "before"; or a length."""


def where_it_stops(
    curve: pd.DataFrame, rule: Rule, patience: int, min_delta: float
) -> tuple[int, int]:
    """The epoch (from 1) after which a rule stops a run, and that of its last improvement; of a
    fixed length the lowest validation loss is the best. ``curve``: epochs × metrics of one run.

    A loss has to fall, anything else to rise, by ``min_delta`` at least; after ``patience`` epochs
    in a row in which it does not, the run stops, or else at its end.
    """
    if isinstance(rule, int):
        part = curve["val_loss"].iloc[:rule]
        return len(part), int(part.argmin()) + 1
    metric, against = rule
    values = -curve[metric] if metric.endswith("loss") else curve[metric]
    reference, improved = -np.inf, 0
    for epoch, value in enumerate(values, start=1):
        better = round(value - reference, 9) >= min_delta
        improved = epoch if better else improved
        reference = value if better or against == "before" else reference
        if epoch - improved >= patience:
            return epoch, improved
    return len(values), improved


def stopped_by(
    results: Any, rules: Mapping[str, Rule], patience: int, min_delta: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What runs whose test set serves as validation set would have been, had each rule stopped
    them: runs as they stood at that epoch, with the columns ``stopping``, ``stop_epoch`` and
    ``best_epoch``, and their curves up to it. Names become "<name>, <rule>"."""
    rows, curves = [], []
    runs = results.runs.set_index(["name", "seed"], drop=False)
    for key, part in results.curves.groupby(["name", "seed"], sort=False):
        kept = [*part, "recipe", "train_images", "parameters"]  # settings and the network
        run = runs.loc[[key], runs.columns.intersection(kept)].iloc[0].to_dict()
        curve = part.pivot(index="epoch", columns="metric", values="value").drop(columns="seconds")
        for stopping, rule in rules.items():
            stop, best = where_it_stops(curve, rule, patience, min_delta)
            told = {"name": f"{key[0]}, {stopping}", "stopping": stopping}
            end = curve.loc[stop].to_dict() | {"stop_epoch": stop, "best_epoch": best}
            end |= {f"test_{quantity}": end[f"val_{quantity}"] for quantity in ("accuracy", "loss")}
            rows.append(run | end | told)
            curves.append(part[part["epoch"] <= stop].assign(**told))
    return pd.DataFrame(rows), pd.concat(curves)
