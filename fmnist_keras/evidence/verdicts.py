"""The words of a verdict, for numbers and claims alike."""

REPRODUCED = "reproduced"
"""A new run would give the number, and that could have been denied; the claim holds."""
OTHER_READING = "reproduced under another reading"
"""... where the source leaves something open, and not under our first reading of it."""
NOT_REPRODUCED = "not reproduced"
"""A new run would not give the number (or the claim fails), and nothing was left open."""
NO_READING = "not reproduced under any reading"
"""... under none of the readings tried."""
SAYS_LITTLE = "compatible, but one run says little"
"""Seeds differ so much that no number of them could have denied the number."""
UNDECIDED = "undecided"
"""More seeds would decide."""
NOT_RUN = "not run at full protocol"
"""Shortened runs decide nothing."""
WORDS = (
    REPRODUCED, OTHER_READING, SAYS_LITTLE, UNDECIDED, NO_READING, NOT_REPRODUCED, NOT_RUN,
)  # fmt: skip
SQUARES = dict(zip(WORDS, "🟦🟪⬜🟨🟧🟥⬛", strict=True))
"""A colored square for each word, for bars in text."""
