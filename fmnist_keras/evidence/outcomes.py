"""The words of an outcome."""

REPRODUCED = "reproduced"
OTHER_READING = "reproduced under another reading"
NOT_REPRODUCED = "not reproduced"
OPEN = "open"  # always with its reason
OUTCOMES = (REPRODUCED, OTHER_READING, OPEN, NOT_REPRODUCED)
SQUARES = dict(zip(OUTCOMES, "🟦🟪⬜🟧", strict=True))  # for bars in text
NOT_AS_PUBLISHED = "not run as published"
CHOSEN = "(chosen because it fits)"  # of a reading or one of its values: found by looking
