"""Intervals and tests of repeated measurements. n values are independent, one per seed."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

MOST_SEEDS = 1_000  # more are not asked for


def limit(n: int | np.ndarray) -> float | np.ndarray:
    """How many standard errors away one of 20 new runs lies at least (Student, n − 1)."""
    return stats.t.ppf(0.975, n - 1)


def half_width(sd: float, n: int | np.ndarray, of_new_run: bool = True) -> float | np.ndarray:
    """Half the 95 % prediction interval of one further value, t·s·√(1 + 1/n) with n − 1 degrees of
    freedom (Hahn & Meeker, Statistical Intervals); or else that of the confidence interval of the
    mean, t·s/√n. nan for one value."""
    return limit(n) * sd * np.sqrt(of_new_run + 1 / n)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the values and its 95 % confidence interval: (mean, low, high); nan for one value."""
    sample = np.asarray(values, dtype=float)
    sd = sample.std(ddof=1) if sample.size > 1 else np.nan
    mean, half = sample.mean(), half_width(sd, sample.size, of_new_run=False)
    return float(mean), float(mean - half), float(mean + half)


def seeds_needed(sd: float, reach: float, of_new_run: bool = True) -> int | None:
    """The fewest seeds of standard deviation ``sd`` at which the 95 % interval, of a new run or of
    the mean, reaches less than ``reach`` to either side; None where no number does."""
    n = np.arange(2 if of_new_run else 3, MOST_SEEDS + 1)
    enough = n[half_width(sd, n, of_new_run) < reach]
    return int(enough[0]) if enough.size else None


def distance_of_new_run(
    value: tuple[float, float], mean: float, sd: float, n: int
) -> tuple[float, float]:
    """How far one further value lies from the n, in units of its standard error, (value − mean) /
    (s·√(1 + 1/n)), and its two-sided p (Student, n − 1). ``value``: a range (low, high) of what it
    may be; its nearest point counts."""
    gap = max(value[0] - mean, 0.0) + min(value[1] - mean, 0.0)
    with np.errstate(divide="ignore"):  # values that are all alike: infinitely far
        away = float(gap and np.divide(gap, sd * np.sqrt(1 + 1 / n)))
    return away, float(2 * stats.t.sf(abs(away), n - 1))


def conformal_p(value: tuple[float, float], values: Sequence[float]) -> float:
    """Two-sided p of a further value, in the range (low, high), by ranks alone: no shape of the
    distribution is assumed, and ``values`` may be infinite. At least 2 / (n + 1)."""
    sample = np.asarray(values, dtype=float)
    below, above = np.sum(sample <= value[1]), np.sum(sample >= value[0])
    return float(min(1.0, 2 * (1 + min(below, above)) / (sample.size + 1)))


def p_value(values: Sequence[float], center: float = 0.0, margin: float | None = None) -> float:
    """Two-sided p of the values' mean being ``center``. With a margin: twice the p of the two
    one-sided tests that the mean lies within center ± margin (TOST), which is below 0.05 where the
    95 % confidence interval lies within. nan for one value, or where one is not finite."""
    sample = np.asarray(values, dtype=float) - center
    if sample.size < 2 or not np.isfinite(sample).all():
        return np.nan
    gap = abs(sample.mean()) if margin is None else margin - abs(sample.mean())
    error = sample.std(ddof=1) / np.sqrt(sample.size) if np.ptp(sample) else 1e-300
    return float(min(1.0, 2 * stats.t.sf(gap / error, sample.size - 1)))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """The p-values adjusted for their number by Holm's method; nan stays and does not count."""
    adjusted = np.asarray(p_values, dtype=float).copy()
    # statsmodels' multipletests collects garbage at each call: seconds in a kernel that trained.
    order = np.argsort(adjusted)[: np.count_nonzero(~np.isnan(adjusted))]  # nan comes last
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(adjusted[order] * factors))
    return adjusted


def false_outcomes(
    readings: int, n: int, numbers: int = 25, draws: int = 4_000,
    seed_sd: float = 0.004, apart: float = 0.01, tolerance: float = 0.02,
) -> tuple[float, float]:  # fmt: skip
    """How often the rules of :mod:`.readings` err, simulated: the shares of published numbers that
    are refused although one of the readings gave them, and that pass although they lie the
    tolerance away from what our first reading gives.

    ``readings`` whose true means differ by ``apart`` (SD), each run with ``n`` seeds that differ by
    ``seed_sd``; ``numbers``: how many the source has. The defaults are typical of accuracies here.
    """
    random = np.random.default_rng([readings, n])
    means = random.normal(0, apart, (draws, readings))
    noise = random.normal(0, seed_sd, draws)
    given, off = random.permuted(means, axis=1)[:, 0] + noise, means[:, 0] + tolerance + noise
    if n < 2:
        return 0.0, 0.0  # one seed says nothing: all numbers are open
    sample = random.normal(means[..., None], seed_sd, (draws, readings, n))
    mean, sd = sample.mean(axis=2), sample.std(axis=2, ddof=1)

    def p(value: np.ndarray) -> np.ndarray:
        away = np.abs(value[:, None] - mean) / (sd * np.sqrt(1 + 1 / n))
        return 2 * stats.t.sf(away, n - 1)

    refused = p(given).max(axis=1) * numbers < 0.05
    passes = (p(off) >= 0.05) & (half_width(sd, n) <= tolerance)
    return float(refused.mean()), float(passes.any(axis=1).mean())
