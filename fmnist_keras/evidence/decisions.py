"""Claims decided: each by comparisons of arms that share their seeds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from . import verdicts
from .claims import SOURCES, Claim, Comparison, Comparisons, claims, described
from .judgment import deviations
from .measures import measured, select, unit_of
from .statistics import holm, interval, p_value, seeds_needed

SHOWN = ["id", "claim", "effect", "n", "verdict", "rests on"]
OURS = {"reproduced": "holds", "not reproduced": "does not hold", "undecided": "open"}


def decide(results: Any, notebook: str, *sources: str) -> pd.DataFrame:
    """The notebook's claims of some sources (K, P, D, M, I, X, ours) or all, decided: a row each.
    ``results`` has the frames ``runs`` and ``curves`` with every arm of these claims.

    Directional claims rest on paired t-tests, "no difference" on two one-sided ones, several
    comparisons on Holm's adjustment. verdict: reproduced if all comparisons hold, not reproduced if
    one fails: its interval lies on the other side, or within the margin that makes no difference.
    effect: mean difference with its 95 % interval, in the comparison that decides.
    """
    rows = []
    for claim in claims()[notebook].values():
        if sources and claim.source not in sources:
            continue
        rows.append(_decided(claim, claim.compare, results, claim.note))
        if claim.twin:
            fair = {"id": f"{claim.id} fair", "kind": "twin", "claim": f"Put fairly: {claim.says}"}
            rows.append(_decided(claim, claim.twin, results) | fair | {"answer": False})
    frame = pd.DataFrame(rows)
    frame.attrs |= {"rows": "claims", "shown": SHOWN}
    return frame


def sentence(row: Mapping[str, Any]) -> str:
    """A decided claim in Markdown: the verdict, whose claim it is, and what decides."""
    word = OURS.get(row["verdict"]) if row["source"] == "ours" else None
    said = f"**{(word or row['verdict']).capitalize()}** ({SOURCES[row['source']]}): {row['claim']}"
    difference = row["decisive"].replace(": ", ", ", 1).replace("val ", "validation ")
    held, comparisons = row["held"], row["comparisons"]
    share = f"; {held} of {comparisons} comparisons hold" if comparisons > 1 else ""
    return f"{said} *{difference}: {row['effect']}, n = {row['n']}{share}.*"


def _decided(claim: Claim, compare: Comparisons, results: Any, note: str = "") -> dict[str, Any]:
    found = [_compare(comparisons, results) for comparisons in compare.values()]
    place, verdict = verdicts.any_holds([row["verdict"] for row in found], len(found) > 1)
    if verdict != verdicts.OTHER_READING:
        place = 0  # shown is our first reading, also where another one leaves it undecided
    arms = [arm for some in compare.values() for comparison in some for arm in comparison.arms]
    runs = (select(results.runs, arm) for arm in arms if isinstance(arm, dict))
    if any(deviations(claim.protocol, part) for part in runs):
        verdict = verdicts.NOT_RUN
    row = found[place]
    share = f"{row['held']} of {row['comparisons']} hold" if row["comparisons"] > 1 else ""
    rests_on = filter(None, [list(compare)[place], share, row["decisive"], note])
    return {
        "id": claim.id, "source": claim.source, "kind": claim.kind, "claim": claim.says,
        **row, "verdict": verdict, "rests on": "; ".join(rests_on), "readings": len(found),
        "answer": claim.answer,
    }  # fmt: skip


def _compare(comparisons: list[Comparison], results: Any) -> dict[str, Any]:
    """What comparisons say, and which decides: the clearest that fails, or else the least clear."""
    if comparisons[0].varies:
        return _firsts(comparisons[0], results)
    contrasts = [contrast for each in comparisons for contrast in _contrasts(each, results)]
    p_values = holm([contrast.p for contrast in contrasts])
    outcomes = [each.verdict(p) for each, p in zip(contrasts, p_values, strict=True)]
    verdict, clear = (
        max(outcomes, key=verdicts.BEST_FIRST),
        np.where(np.isnan(p_values), 2.0, p_values),
    )
    failed = np.array(outcomes) == verdicts.NOT_REPRODUCED
    number = int(np.where(failed, clear, 3).argmin() if failed.any() else clear.argmax())
    chosen = contrasts[number]
    return {
        "effect": chosen.effect, "n": len(chosen.differences), "verdict": verdict,
        "p": float(p_values[number]), "held": outcomes.count(verdicts.REPRODUCED),
        "comparisons": len(outcomes), "decisive": chosen.label, "measure": chosen.measure,
        "kind of test": chosen.kind, "differences": chosen.differences.tolist(),
        "seeds needed": chosen.seeds_needed if verdict == verdicts.UNDECIDED else None,
    }  # fmt: skip


def _firsts(comparison: Comparison, results: Any) -> dict[str, Any]:
    """How often each arm is the best of its seed: the claim is that not always the same is."""
    arms, measure = comparison.varies, comparison.measure
    values = pd.DataFrame({described(arm): measured(results, arm, measure) for arm in arms})
    firsts = values.dropna().idxmax(axis=1).value_counts()
    return {
        "effect": ", ".join(f"{name} first {count}×" for name, count in firsts.items()),
        "n": int(firsts.sum()), "verdict": verdicts.decided(len(firsts) > 1, False),
        "p": None, "held": int(len(firsts) > 1), "comparisons": 1, "decisive": comparison.label,
        "measure": measure, "kind of test": "varies", "differences": [], "seeds needed": None,
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
            arms = described(arm) + ("" if other == 0 else f" − {described(other)}")
            if one.empty:
                raise ValueError(f"{measure}, {arms}: no seed has both")
            usual = unit.share * float(np.mean(np.abs(two))) if unit.share else unit.margin
            label, differences = f"{comparison.label}: {arms}", (one - two).to_numpy()
            margin = comparison.margin or usual
            yield Contrast(measure, label, kind, differences, margin, comparison.by)


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

    def verdict(self, p: float) -> str:
        """Whether it holds, with ``p`` adjusted for the claim's number of contrasts."""
        if np.isnan(p):
            return verdicts.UNDECIDED
        mean, low, high = interval(self.differences - self.by)
        if self.kind == "equal":
            return verdicts.decided(p < 0.05, low > self.margin or high < -self.margin)
        is_none = self.margin and not self.by and -self.margin < low and high < self.margin
        holds = p < 0.05 and (mean > 0) == (self.kind == "above")
        return verdicts.decided(holds, p < 0.05 or is_none)

    @property
    def seeds_needed(self) -> int | None:
        """About how many seeds would decide it, were spread and mean as they are."""
        values = pd.Series(self.differences - self.by)
        mean, sd = abs(values.mean()), values.std(skipna=False)
        aim = abs(self.margin - mean) if self.kind == "equal" else mean
        return seeds_needed(sd, aim, of_new_run=False)

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
