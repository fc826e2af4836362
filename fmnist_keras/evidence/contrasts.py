"""Contrasts: what a claim's comparison of two arms comes down to, one difference per seed."""

import re
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .statistics import equivalence_p, interval, t_test

MARGIN_ACCURACY, MARGIN_LOSS = 0.01, 0.1
"""Differences that make none, where a claim does not say: a point of accuracy, a tenth of a loss.
"""


@dataclass(frozen=True)
class Contrast:
    """One arm against another, or against a number."""

    measure: str
    label: str
    kind: str  # above, below or equal
    differences: np.ndarray  # by seed, in the measure's unit
    margin: float | None
    by: float = 0.0

    @property
    def p(self) -> float:
        if not np.isfinite(self.differences).all():
            return np.nan
        if self.kind == "equal":
            return equivalence_p(self.differences, self.margin)
        return t_test(self.differences, self.by)

    def outcome(self, p: float) -> str:
        """ "holds", "fails" or "open", with ``p`` adjusted for the claim's number of contrasts."""
        if len(self.differences) < 2 or not np.isfinite(self.differences).all():
            return "open"
        mean, low, high = interval(self.differences - self.by)
        if self.kind == "equal":
            if p < 0.05:
                return "holds"
            return "fails" if low > self.margin or high < -self.margin else "open"
        side = mean if self.kind == "above" else -mean
        if p < 0.05:
            return "holds" if side > 0 else "fails"
        small = self.margin and not self.by and -self.margin < low and high < self.margin
        return "fails" if small else "open"

    @property
    def seeds_needed(self) -> int | None:
        """About how many seeds would decide it, were spread and mean as they are."""
        if len(self.differences) < 2:
            return None
        mean, sd = float(np.mean(self.differences)) - self.by, np.std(self.differences, ddof=1)
        aim = abs(self.margin - abs(mean)) if self.kind == "equal" else abs(mean)
        if not aim or not np.isfinite(sd):
            return None
        for n in range(3, 1_000):
            if stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n) < aim:
                return n
        return None

    @property
    def effect(self) -> str:
        """Mean difference and its 95 % interval, as a reader sees it."""
        if undefined := np.count_nonzero(~np.isfinite(self.differences)):
            return f"undefined in {undefined} of {len(self.differences)} seeds"
        unit = _unit(self.measure)
        values = self.differences * (100 if in_points(self.measure) else 1)
        mean, low, high = interval(values)
        if len(values) > 1 and np.ptp(values) == 0:
            return f"{_signed(mean, _digits(mean)) if mean else 0}{unit} with every seed"
        digits = 2 if in_points(self.measure) else _digits(mean)
        while digits < 6 and _alike(round(low, digits), round(high, digits)):
            digits += 1
        mean, low, high = (_signed(value, digits) for value in (mean, low, high))
        return f"{mean}{unit}" + (f" ({low} to {high})" if len(values) > 1 else "")


def _alike(low: float, high: float) -> bool:
    """Whether the ends of an interval, rounded, are the same, or one of them is zero."""
    return low == high or 0 in {low, high}


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def in_points(measure: str) -> bool:
    """Whether the measure is a difference of accuracies, shown in percentage points."""
    return "accuracy" in measure and "epochs" not in measure and "_at(" not in measure


UNITS = {
    r"epochs_to\([^)]*\)|(low|high)est_at\(.*|\w+_epoch": " epochs",
    r"psnr": " dB",
    r"(?!.*(/|ratio|increases|directness|_at\()).*loss.*": " of loss",
}
"""What a measure's differences are counted in, where that is not clear from its claim."""


def _unit(measure: str) -> str:
    if in_points(measure):
        return " points"
    return next((unit for form, unit in UNITS.items() if re.fullmatch(form, measure)), "")


def _digits(value: float) -> int:
    """Decimals that show about three significant digits, and no more than six."""
    size = abs(value) if abs(value) >= 1e-6 else 1.0
    return int(np.clip(2 - np.floor(np.log10(size)), 0, 6))


def default_margin(measure: str, reference: float) -> float | None:
    if "fluctuation" in measure or "epochs" in measure or "_at(" in measure:
        return None
    if in_points(measure):
        return MARGIN_ACCURACY
    return MARGIN_LOSS * reference if "loss" in measure else None
