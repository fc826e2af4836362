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
    """The place of the reading that answers, and the outcome. ``outcomes``: of each reading, the
    most literal one first, which answers unless another one holds where it does not."""
    if outcomes[0] == REPRODUCED:
        return 0, REPRODUCED
    if REPRODUCED in outcomes:
        return outcomes.index(REPRODUCED), OTHER_READING
    return 0, OPEN if OPEN in outcomes else NOT_REPRODUCED
