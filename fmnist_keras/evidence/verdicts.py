"""The words of a verdict, and how several become one: for numbers and claims alike."""

from collections.abc import Sequence

REPRODUCED = "reproduced"  # a new run would give the number; the claim holds
OTHER_READING = "reproduced under another reading"  # ... of what the source leaves open
NOT_REPRODUCED = "not reproduced"  # a new run would not give the number; the claim fails
NO_READING = "not reproduced under any reading"
SAYS_LITTLE = "compatible, but one run says little"  # no number of seeds could have denied it
UNDECIDED = "undecided"  # more seeds would decide
NOT_RUN = "not run at full protocol"  # shortened runs decide nothing
WORDS = (
    REPRODUCED, OTHER_READING, SAYS_LITTLE, UNDECIDED, NO_READING, NOT_REPRODUCED, NOT_RUN,
)  # fmt: skip
SQUARES = dict(zip(WORDS, "🟦🟪⬜🟨🟧🟥⬛", strict=True))  # for bars in text
BEST_FIRST = (REPRODUCED, SAYS_LITTLE, UNDECIDED, NOT_REPRODUCED, NOT_RUN).index


def decided(holds: bool, fails: bool) -> str:
    return REPRODUCED if holds else NOT_REPRODUCED if fails else UNDECIDED


def any_holds(verdicts: Sequence[str], is_open: bool) -> tuple[int, str]:
    """The first of the best readings, and the verdict that follows from all. ``verdicts``: of each
    reading, our first one first; ``is_open``: whether the source leaves anything open."""
    best = min(verdicts, key=BEST_FIRST)
    place = verdicts.index(best)
    if best == REPRODUCED and place:
        return place, OTHER_READING
    return place, NO_READING if best == NOT_REPRODUCED and is_open else best
