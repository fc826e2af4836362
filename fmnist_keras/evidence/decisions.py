"""Claims decided: each by comparisons of arms that share their seeds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from .claims import SOURCES, Claim, Comparison, Comparisons, claims, described
from .measures import measured, select, unit_of
from .outcomes import CHOSEN, NOT_AS_PUBLISHED, NOT_REPRODUCED, OPEN, OTHER_READING, REPRODUCED
from .readings import deviations
from .statistics import holm, interval, p_value, seeds_needed

SHOWN = ["id", "claim", "effect", "n", "outcome", "reason", "rests on"]
BEST_FIRST = (REPRODUCED, OPEN, NOT_REPRODUCED)
OURS = {REPRODUCED: "holds", NOT_REPRODUCED: "does not hold", OPEN: "open"}


def decide(results: Any, notebook: str, *sources: str) -> pd.DataFrame:
    """The notebook's claims of some sources (K, P, D, M, I, X, ours) or all, decided: a row each.
    ``results`` has the frames ``runs`` and ``curves`` with every arm of these claims. The fair twin
    of a claim is ours.

    A comparison is a paired t-test at .05, or two one-sided ones for "no difference"; what follows
    from them: claims/README.md. ``effect``: mean difference with its 95 % interval, in the
    comparison that decides; ``reason``: why the claim is open or fails.
    """
    rows = []
    for claim in claims()[notebook].values():
        if not sources or claim.source in sources:
            rows.append(_decided(claim, claim.compare, results, claim.note))
        if claim.twin and (not sources or "ours" in sources):
            about = {"id": f"{claim.id} fair", "kind": "twin", "source": "ours", "answer": False}
            about["claim"] = claim.twin.says
            rows.append(_decided(claim, claim.twin.compare, results) | about)
    frame = pd.DataFrame(rows)
    frame.attrs |= {"rows": "claims", "shown": SHOWN}
    return frame


def sentence(row: Mapping[str, Any]) -> str:
    """A decided claim in Markdown: the outcome, whose claim it is, and what decides."""
    word = OURS.get(row["outcome"]) if row["source"] == "ours" else None
    said = f"**{(word or row['outcome']).capitalize()}** ({SOURCES[row['source']]}): {row['claim']}"
    difference = row["decisive"].replace(": ", ", ", 1).replace("val ", "validation ")
    held, comparisons = row["held"], row["comparisons"]
    share = f"; {held} of {comparisons} comparisons hold" if comparisons > 1 else ""
    return f"{said} *{difference}: {row['effect']}, n = {row['n']}{share}.*"


def _decided(claim: Claim, compare: Comparisons, results: Any, note: str = "") -> dict[str, Any]:
    found = {reading: _compare(some, results) for reading, some in compare.items()}
    # The first reading that holds answers, or else the first that is open.
    reading = min(found, key=lambda name: BEST_FIRST.index(found[name]["outcome"]))
    row, outcome = found[reading], found[reading]["outcome"]
    if outcome == REPRODUCED and (reading != next(iter(found)) or CHOSEN in reading):
        outcome = OTHER_READING
    arms = [arm for some in compare.values() for comparison in some for arm in comparison.arms]
    runs = [select(results.runs, arm) for arm in arms if isinstance(arm, dict)]
    off = dict.fromkeys(filter(None, (deviations(claim.protocol, part) for part in runs)))
    if off:
        outcome, row["reason"] = OPEN, f"{NOT_AS_PUBLISHED}: {next(iter(off))}"
    share = f"{row['held']} of {row['comparisons']} hold" if row["comparisons"] > 1 else ""
    rests_on = filter(None, [reading, share, row["decisive"], note])
    return {
        "id": claim.id, "source": claim.source, "kind": claim.kind, "where": claim.where,
        "claim": claim.says, **row, "outcome": outcome, "rests on": "; ".join(rests_on),
        "readings": len(found), "answer": claim.answer,
        "reason": row["reason"] if outcome in (OPEN, NOT_REPRODUCED) else "",
    }  # fmt: skip


def _compare(comparisons: list[Comparison], results: Any) -> dict[str, Any]:
    """What comparisons say, and which decides: the clearest that fails, or else the least clear."""
    contrasts = [contrast for each in comparisons for contrast in _contrasts(each, results)]
    holds = [contrast.holds for contrast in contrasts]
    against = holm([contrast.p_against for contrast in contrasts])
    fails = against.min() < 0.05
    least_clear = max(contrasts, key=lambda each: (not each.holds, np.nan_to_num(each.p, nan=2.0)))
    chosen = contrasts[int(against.argmin())] if fails else least_clear
    return {
        "effect": chosen.effect, "n": len(chosen.differences),
        "outcome": NOT_REPRODUCED if fails else REPRODUCED if all(holds) else OPEN,
        "p": float(against.min() if fails else chosen.p), "held": sum(holds),
        "comparisons": len(holds), "decisive": chosen.label, "measure": chosen.measure,
        "kind of test": chosen.kind, "differences": chosen.differences.tolist(),
        "reason": chosen.why_not if fails else chosen.why_open,
    }  # fmt: skip


def _contrasts(comparison: Comparison, results: Any) -> Iterator["Contrast"]:
    measure, unit = comparison.measure, unit_of(comparison.measure)
    for kind in ("above", "below", "equal"):
        others = getattr(comparison, kind)
        pairs = [(arm, other) for other in others for arm in comparison.of]
        for arm, other in pairs or combinations(others, 2):
            one = measured(results, arm, measure)
            two = measured(results, other, measure) if isinstance(other, dict) else one * 0 + other
            one, two = one.align(two, join="inner")  # pairs: the seeds that both arms have
            arms = described(arm) + ("" if other == 0 else f" against {described(other)}")
            if one.empty:
                raise ValueError(f"{measure}, {arms}: no seed has both")
            usual = unit.share * float(np.mean(np.abs(two))) if unit.share else unit.margin
            label = f"{comparison.called or measure.replace('_', ' ')}: {arms}"
            half_printed = abs(comparison.printed) / 2 if comparison.printed else None
            margin = comparison.margin or half_printed or usual
            yield Contrast(measure, label, kind, (one - two).to_numpy(), margin, comparison.by)


@dataclass(frozen=True)
class Contrast:
    """One arm against another, or against a number: one difference per seed."""

    measure: str
    label: str
    kind: str  # above, below or equal
    differences: np.ndarray  # by seed, in the measure's unit
    margin: float | None
    by: float = 0.0

    @property
    def p(self) -> float:
        return p_value(self.differences, self.by, self.margin if self.kind == "equal" else None)

    @property
    def _against(self) -> bool:
        """Whether the mean lies on the other side or, of no difference, outside the margin."""
        mean, outside = np.mean(self.differences - self.by), self.margin or np.inf
        return {"above": mean < 0, "below": mean > 0, "equal": abs(mean) > outside}[self.kind]

    @property
    def _p_none(self) -> float:
        """The p of a difference within the margin, where there is one and a direction is claimed:
        below .05 where the 95 % interval lies within."""
        has = self.kind != "equal" and self.margin and not self.by
        return p_value(self.differences, margin=self.margin) if has else 1.0

    @property
    def holds(self) -> bool:
        return bool(self.p < 0.05 and not self._against and not self._p_none < 0.05)

    @property
    def p_against(self) -> float:
        """The p that speaks against it; 1 where nothing does."""
        if np.isnan(self.p):
            return 1.0
        if self.kind == "equal" and self._against:
            edge = np.copysign(self.margin, np.mean(self.differences - self.by))
            return p_value(self.differences, self.by + edge)
        return min(self._p_none, self.p if self._against else 1.0)

    @property
    def why_not(self) -> str:
        """What speaks against it."""
        if self.kind == "equal":
            return "they differ"
        if self._p_none < 0.05:
            return "too small to matter"
        return "on the other side" + (" of the limit" if self.by else "")

    @property
    def why_open(self) -> str:
        """What it would take, were spread and mean as they are."""
        values = pd.Series(self.differences - self.by)
        if len(values) < 2 or not np.isfinite(values).all():
            return "one seed" if len(values) < 2 else "undefined in some seeds"
        if self.p_against < 0.05:
            return "borderline: one of so many comparisons may fail by chance"
        mean = abs(values.mean())
        aim = abs(self.margin - mean) if self.kind == "equal" else mean
        needed = seeds_needed(values.std(), aim, of_new_run=False)
        return f"about {needed} seeds would tell" if needed else "seeds differ too much"

    @property
    def effect(self) -> str:
        """Mean difference and its 95 % interval as text."""
        if undefined := np.count_nonzero(~np.isfinite(self.differences)):
            return f"undefined in {undefined} of {len(self.differences)} seeds"
        unit, n = unit_of(self.measure), len(self.differences)
        mean, low, high = interval(self.differences * unit.scale)
        size = abs(mean) if abs(mean) >= 1e-6 else 1.0
        three = int(np.clip(2 - np.floor(np.log10(size)), 0, 6))  # decimals for so many digits
        if n > 1 and np.ptp(self.differences) == 0:
            text = (f"{mean:+.{three}f}" if mean else "0") + f"{unit.name} with every seed"
            return text.replace("-", "−")
        digits = unit.digits or three
        while n > 1 and digits < 6 and len({0.0, round(low, digits), round(high, digits)}) < 3:
            digits += 1
        span = f" ({low:+.{digits}f} to {high:+.{digits}f})" if n > 1 else ""
        return f"{mean:+.{digits}f}{unit.name}{span}".replace("-", "−")
