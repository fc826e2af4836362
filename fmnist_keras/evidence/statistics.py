"""Intervals and tests of repeated measurements. n values are independent, one per seed."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

MOST_SEEDS = 1_000
"""More seeds than this are not asked for."""


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


def half_width_of_new_run(sd: float, n: int, level: float = 0.95) -> float:
    """Half the prediction interval of one further value, t·s·√(1 + 1/n), with n − 1 degrees of
    freedom (Hahn & Meeker, Statistical Intervals). nan for one value."""
    return float(stats.t.ppf((1 + level) / 2, n - 1) * sd * np.sqrt(1 + 1 / n)) if n > 1 else np.nan


def distance(value: tuple[float, float], mean: float, sd: float, n: int) -> float:
    """How far one further value lies from the n, in units of its standard error: (value − mean) /
    (s·√(1 + 1/n)). ``value``: a range (low, high) of what it may be; its nearest point counts."""
    gap = max(value[0] - mean, 0.0) + min(value[1] - mean, 0.0)
    with np.errstate(divide="ignore"):  # values that are all alike: infinitely far
        return float(gap and np.divide(gap, sd * np.sqrt(1 + 1 / n)))


def p_of_distance(standardized: float, n: int) -> float:
    """Two-sided p of a further value at that distance from n values (Student, n − 1)."""
    return float(2 * stats.t.sf(abs(standardized), n - 1)) if n > 1 else np.nan


def conformal_p(value: tuple[float, float], values: Sequence[float]) -> float:
    """Two-sided p of a further value, in the range (low, high), by ranks alone: no shape of the
    distribution is assumed, and ``values`` may be infinite. At least 2 / (n + 1)."""
    sample, n = np.asarray(values, dtype=float), len(values)
    below, above = np.sum(sample <= value[1]), np.sum(sample >= value[0])
    return float(min(1.0, 2 * (1 + min(below, above)) / (n + 1)))


def seeds_needed(sd: float, tolerance: float, level: float = 0.95) -> int | None:
    """The fewest seeds at which a new run's prediction interval reaches no farther than
    ``tolerance`` to either side, if the standard deviation is ``sd``; None where no number does."""
    if stats.norm.ppf((1 + level) / 2) * sd >= tolerance:
        return None
    n = 2
    while n <= MOST_SEEDS and half_width_of_new_run(sd, n, level) > tolerance:
        n += 1
    return n if n <= MOST_SEEDS else None


def t_test(values: Sequence[float], center: float = 0.0) -> float:
    """Two-sided p of the n values' mean being ``center``; where all are equal, 0 or 1."""
    sample = np.asarray(values, dtype=float)
    if sample.size < 2:
        return np.nan
    if np.ptp(sample) == 0:
        return float(sample[0] == center)
    return float(stats.ttest_1samp(sample, center).pvalue)


def equivalence_p(values: Sequence[float], margin: float) -> float:
    """Twice the p of the two one-sided tests that the mean lies within ±margin (TOST): below 0.05
    where the 95 % confidence interval lies within, as for all other tests here."""
    sample = np.asarray(values, dtype=float)
    if sample.size < 2:
        return np.nan
    if np.ptp(sample) == 0:
        return float(abs(sample[0]) >= margin)
    above = stats.ttest_1samp(sample, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(sample, margin, alternative="less").pvalue
    return float(min(1.0, 2 * max(above, below)))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """The p-values adjusted for their number by Holm's method; nan stays nan and does not count."""
    adjusted = np.asarray(p_values, dtype=float).copy()
    # Not by statsmodels' multipletests: it collects garbage at each call, seconds in a kernel that
    # has trained; a test compares the two.
    order = np.argsort(adjusted)[: np.count_nonzero(~np.isnan(adjusted))]  # nan comes last
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(adjusted[order] * factors))
    return adjusted
