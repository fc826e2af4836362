"""Claims decided: each by comparisons of arms that share their seeds."""

from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from .claims import SOURCES, Claim, Comparison, claims_of, described
from .contrasts import Contrast, default_margin
from .measures import measured, plain, select
from .statistics import holm
from .verdicts import NO_READING, NOT_REPRODUCED, NOT_RUN, OTHER_READING, REPRODUCED, UNDECIDED

SHOWN = ["id", "claim", "effect", "n", "verdict", "rests on"]


def decide(results: Any, notebook: str, *sources: str) -> pd.DataFrame:
    """The notebook's claims of some sources (or all), decided: a row each. ``results`` has the
    frames ``runs`` and ``curves`` with every arm of these claims.

    effect: mean difference over seeds with its 95 % interval; of several comparisons the one that
    decides. Directional claims rest on paired t-tests, "no difference" on two one-sided ones, and
    several comparisons of one claim on Holm's adjustment. verdict: reproduced if all of them hold,
    not reproduced if one fails: its interval lies on the other side, or within the margin that
    makes no difference. Further columns hold what tables leave out.
    """
    rows = [
        row
        for claim in claims_of(notebook, *sources)
        for row in [_decided(claim, results), *_twin(claim, results)]
    ]
    frame = pd.DataFrame(rows)
    frame.attrs |= {"rows": "claims", "shown": SHOWN}
    return frame


def sentence(row: Mapping[str, Any]) -> str:
    """A decided claim in Markdown: the verdict, whose claim it is, and the difference that decides
    with its 95 % interval and the number of seeds."""
    ours = row["kind"] == "ours"
    words = {REPRODUCED: "holds", NOT_REPRODUCED: "does not hold", UNDECIDED: "open"}
    word = words.get(row["verdict"], row["verdict"]) if ours else row["verdict"]
    whose = "our finding" if ours else SOURCES[row["source"]]
    difference = row["decisive"].replace(": ", ", ", 1).replace("val ", "validation ")
    held, comparisons = row["held"], row["comparisons"]
    share = f"; {held} of {comparisons} comparisons hold" if comparisons > 1 else ""
    measured = f"{difference}: {row['effect']}, n = {row['n']}{share}"
    return f"**{word.capitalize()}** ({whose}): {row['claim']} *{measured}.*"


def _decided(claim: Claim, results: Any) -> dict[str, Any]:
    found = {reading: _compare(some, results) for reading, some in claim.compare.items()}
    verdicts = {reading: row["verdict"] for reading, row in found.items()}
    first = next(iter(found))
    chosen, verdict = first, verdicts[first]
    held = [reading for reading, verdict_ in verdicts.items() if verdict_ == REPRODUCED]
    if held and verdict != REPRODUCED:
        chosen, verdict = held[0], OTHER_READING
    elif verdict == NOT_REPRODUCED and len(found) > 1:
        verdict = NO_READING if set(verdicts.values()) == {NOT_REPRODUCED} else UNDECIDED
    if _deviates(claim, results):
        verdict = NOT_RUN
    held, comparisons = found[chosen]["held"], found[chosen]["comparisons"]
    share = f"{held} of {comparisons} hold" if comparisons > 1 else ""
    rests_on = "; ".join(filter(None, [chosen, share, found[chosen]["decisive"], claim.note]))
    return {
        "id": claim.id, "source": claim.source, "kind": claim.kind, "claim": claim.says,
        **found[chosen], "verdict": verdict, "rests on": rests_on, "readings": len(found),
        "answer": claim.answer,
    }  # fmt: skip


def _twin(claim: Claim, results: Any) -> Iterator[dict[str, Any]]:
    """The fair twin's row, if the claim has one."""
    if claim.twin:
        fields = {"compare": claim.twin, "twin": None, "note": "", "answer": False}
        twin = claim.model_copy(update=fields)
        row = _decided(twin, results)
        yield row | {
            "id": f"{claim.id} fair",
            "kind": "twin",
            "claim": f"Put fairly: {claim.says}",
        }


def _deviates(claim: Claim, results: Any) -> bool:
    """Whether any run that the claim rests on left the source's protocol."""
    arms = [
        arm
        for some in claim.compare.values()
        for comparison in some
        for arm in _arms(comparison)
        if isinstance(arm, dict)
    ]
    return any(
        any(plain(ours) != plain(theirs) for ours in select(results.runs, arm)[field])
        for arm in arms
        for field, theirs in claim.protocol.items()
    )


def _arms(comparison: Comparison) -> list:
    fields = ("of", "above", "below", "equal", "rising", "falling", "varies")
    return [arm for field in fields for arm in getattr(comparison, field) or []]


def _compare(comparisons: list[Comparison], results: Any) -> dict[str, Any]:
    """What some comparisons say, all of which must hold."""
    if comparisons[0].varies:
        return _winners(comparisons[0], results)
    contrasts = [contrast for each in comparisons for contrast in _contrasts(each, results)]
    p_values = holm([contrast.p for contrast in contrasts])
    outcomes = [each.outcome(p) for each, p in zip(contrasts, p_values, strict=True)]
    verdict = REPRODUCED if set(outcomes) == {"holds"} else UNDECIDED
    verdict = NOT_REPRODUCED if "fails" in outcomes else verdict
    number = _decisive(outcomes, p_values)
    chosen = contrasts[number]
    return {
        "effect": chosen.effect,
        "n": len(chosen.differences),
        "verdict": verdict,
        "p": float(p_values[number]),
        "held": outcomes.count("holds"),
        "comparisons": len(outcomes),
        "decisive": chosen.label,
        "measure": chosen.measure,
        "kind of test": chosen.kind,
        "differences": [float(value) for value in chosen.differences],
        "seeds needed": chosen.seeds_needed if verdict == UNDECIDED else None,
    }


def _decisive(outcomes: list[str], p_values: np.ndarray) -> int:
    """The contrast that settles a claim: the clearest that fails, or else the least clear."""
    order = np.where(np.isnan(p_values), 2.0, p_values)
    failed = [number for number, outcome in enumerate(outcomes) if outcome == "fails"]
    if failed:
        return min(failed, key=lambda number: order[number])
    return int(np.argmax(order))


def _contrasts(comparison: Comparison, results: Any) -> Iterator[Contrast]:
    for kind in ("above", "below", "equal"):
        for other in getattr(comparison, kind) or []:
            for arm in comparison.of or []:
                yield _contrast(comparison, results, arm, other, kind)
    if comparison.equal and not comparison.of:
        for arm, other in combinations(comparison.equal, 2):
            yield _contrast(comparison, results, arm, other, "equal")
    for kind, ordered in (("above", comparison.rising), ("below", comparison.falling)):
        for lower, higher in pairwise(ordered or []):
            yield _contrast(comparison, results, higher, lower, kind)


def _contrast(comparison: Comparison, results: Any, arm: Any, other: Any, kind: str) -> Contrast:
    measure = comparison.measure
    one = measured(results, arm, measure)
    two = measured(results, other, measure) if isinstance(other, dict) else one * 0 + other
    one, two = one.align(two, join="inner")  # pairs: the seeds that both arms have
    differences = (one - two).to_numpy()
    if not differences.size:
        raise ValueError(f"{measure}: no seed has both {described(arm)} and {described(other)}")
    reference = np.mean(np.abs(two))
    margin = comparison.margin or default_margin(measure, float(reference))
    if kind == "equal" and not margin:
        raise ValueError(f"{measure}: equality needs a margin")
    label = f"{comparison.called or measure.replace('_', ' ')}: {described(arm)}"
    label += "" if other == 0 else f" − {described(other)}"
    return Contrast(measure, label, kind, differences, margin, comparison.by)


def _winners(comparison: Comparison, results: Any) -> dict[str, Any]:
    """How often each arm is the best of its seed: the claim is that not always the same is."""
    frame = pd.DataFrame(
        {described(arm): measured(results, arm, comparison.measure) for arm in comparison.varies}
    ).dropna()
    firsts = frame.idxmax(axis=1).value_counts()
    held = len(firsts) > 1
    return {
        "effect": ", ".join(f"{name} first {count}×" for name, count in firsts.items()),
        "n": len(frame),
        "verdict": REPRODUCED if held else UNDECIDED,
        "p": None,
        "held": int(held),
        "comparisons": 1,
        "decisive": comparison.called or comparison.measure.replace("_", " "),
        "measure": comparison.measure,
        "kind of test": "varies",
        "differences": [],
        "seeds needed": None,
    }
