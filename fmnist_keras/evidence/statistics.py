"""Intervals of repeated measurements."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of n independent values and its confidence interval, in their unit: (mean, low, high).

    Student's mean ± t·s/√n with n − 1 degrees of freedom. One value: nan bounds; none: ValueError.
    """
    sample = np.asarray(values, dtype=float)
    if not sample.size:
        raise ValueError("no values: an interval needs at least one")
    if sample.size == 1:
        return sample.item(), np.nan, np.nan
    t = stats.t.ppf((1 + level) / 2, sample.size - 1)
    mean, half = sample.mean(), t * sample.std(ddof=1) / np.sqrt(sample.size)
    return float(mean), float(mean - half), float(mean + half)


def prediction_interval(
    values: Sequence[float], rounding: float = 0, level: float = 0.95
) -> tuple[float, float]:
    """Where one further value, printed in units of ``rounding``, is expected: (low, high).

    mean ± (t·s·√(1 + 1/n) + rounding/2): one new observation from the normal population that gave
    the n values (Hahn & Meeker, Statistical Intervals). One value: (nan, nan); none: ValueError.
    """
    mean, _, top = interval(values, level)
    half = (top - mean) * np.sqrt(np.size(values) + 1) + rounding / 2
    return float(mean - half), float(mean + half)
