"""The words of an outcome, and how those of several readings become one."""

from collections.abc import Sequence

REPRODUCED = "reproduced"
OTHER_READING = "reproduced under another reading"
NOT_REPRODUCED = "not reproduced"
OPEN = "open"  # always with its reason
OUTCOMES = (REPRODUCED, OTHER_READING, OPEN, NOT_REPRODUCED)
SQUARES = dict(zip(OUTCOMES, "🟦🟪⬜🟧", strict=True))  # for bars in text
NOT_AS_PUBLISHED = "not run as published"


def of_readings(outcomes: Sequence[str]) -> tuple[int, str]:
    """The place of the reading that answers, and the outcome: the first one that holds, or else the
    first that is open. ``outcomes``: of each reading, the most literal one first."""
    best = min(outcomes, key=(REPRODUCED, OPEN, NOT_REPRODUCED).index)
    place = outcomes.index(best)
    return place, OTHER_READING if place and best == REPRODUCED else best
