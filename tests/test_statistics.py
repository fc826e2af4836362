"""Intervals and tests agree with SciPy, statsmodels and arithmetic by hand, and err as rarely as
they promise."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from fmnist_keras.evidence import statistics as ours

VALUES = [1.0, 2.0, 3.0, 6.0]  # mean 3, variance (4 + 1 + 0 + 9) / 3


def test_intervals_by_hand():
    s, t = np.sqrt(14 / 3), 3.182446305
    assert ours.interval(VALUES) == pytest.approx((3, 3 - t * s / 2, 3 + t * s / 2))
    assert ours.half_width(s, 4) == pytest.approx(t * s * np.sqrt(1.25))


@pytest.mark.parametrize(
    ("value", "expected"),
    [((4, 5), 1.0), ((0, 1), -2.0), ((2, 4), 0.0), ((3, np.inf), 0.0), ((-np.inf, 2), -1.0)],
)
def test_distance_is_that_of_the_nearest_printed_value(value, expected):
    away, _ = ours.distance_of_new_run(value, mean=3, sd=1, n=4)
    assert away == pytest.approx(expected / np.sqrt(1.25))


def test_distance_and_interval_agree():
    half = ours.half_width(0.7, 5)
    assert ours.distance_of_new_run((half, half), 0, 0.7, 5)[1] == pytest.approx(0.05)
    assert ours.distance_of_new_run((1, 1), 0, 0.0, 5) == (np.inf, 0)


def test_conformal_p_by_counting():
    values = [1, 2, 3, 4]
    assert ours.conformal_p((9, 9), values) == pytest.approx(2 / 5)
    assert ours.conformal_p((2.5, 2.5), values) == 1
    assert ours.conformal_p((0, 0), [np.inf] * 39) == pytest.approx(0.05)
    assert ours.conformal_p((50, np.inf), [np.inf] * 3) == 1  # it may lie among them


def test_conformal_p_refutes_as_rarely_as_it_says():
    draws = np.random.default_rng(1).exponential(size=(2000, 40))  # far from normal
    p = [ours.conformal_p((new, new), known) for *known, new in draws]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.015)


def test_seeds_needed_are_enough_and_one_less_is_not():
    needed = ours.seeds_needed(sd=0.01, reach=0.021)
    assert ours.half_width(0.01, needed) <= 0.021
    assert ours.half_width(0.01, needed - 1) > 0.021
    assert ours.seeds_needed(sd=0.011, reach=0.021) is None  # 1.96 · 0.011 > 0.021


def test_p_values_agree_with_scipy_and_statsmodels():
    assert ours.p_value(VALUES, 1.5) == pytest.approx(stats.ttest_1samp(VALUES, 1.5).pvalue)
    one, two = np.array([0.81, 0.83, 0.82, 0.84]), np.array([0.815, 0.826, 0.824, 0.838])
    p, _, _ = ttost_paired(one, two, -0.01, 0.01)
    assert ours.p_value(one - two, margin=0.01) == pytest.approx(2 * p)
    _, low, high = ours.interval(one - two)
    margin = max(abs(low), abs(high))
    assert ours.p_value(one - two, margin=margin) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("values", "center", "margin", "p"),
    [([2.0, 2.0], 2.0, None, 1), ([2.0, 2.0], 1.0, None, 0), ([0.1] * 10, 0.1, None, 1),
     ([0.0, 0.0], 0.0, 0.1, 0), ([0.2, 0.2], 0.0, 0.1, 1), ([2.0], 0.0, None, np.nan),
     ([1.0, 2.0, np.inf], 0.0, None, np.nan), ([1.0, np.nan], 0.0, 0.1, np.nan)],
)  # fmt: skip
def test_p_values_of_equal_too_few_and_infinite_values(values, center, margin, p):
    assert ours.p_value(values, center, margin) == pytest.approx(p, nan_ok=True)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_holm_is_that_of_statsmodels(n):
    p_values = np.random.default_rng(n).uniform(size=n) ** 3
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(ours.holm(p_values), expected, rtol=1e-12)
