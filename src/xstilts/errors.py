"""The one kind of error that a user is meant to read."""

import difflib
from collections.abc import Iterable

BAD_INPUT = 2
MISSING = 3
STEP_FAILED = 4


class XstiltsError(Exception):
    """Says what went wrong, why, and what to do about it.

    `code` is the exit status of the command line: 2 for bad input, 3 for missing data or a missing model,
    4 for a step that failed while the results of the others were kept.
    """

    def __init__(self, what: str, why: str, hint: str, code: int = BAD_INPUT) -> None:
        super().__init__(what, why, hint, code)
        self.what, self.why, self.hint, self.code = what, why, hint, code

    def __str__(self) -> str:
        return f"{self.what}\n{self.why}\n{self.hint}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that names the closest of `known`, or an empty string where none is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""
