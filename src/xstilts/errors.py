"""The one kind of error that a user is meant to read."""

import difflib
import errno
import os
import re
from collections.abc import Iterable
from typing import Literal

Kind = Literal[
    # bad input
    "bad-argument",  # options of a command or arguments of a function that do not go together
    "bad-setting",  # mistakes in the YAML of a study, a task or a table of rates
    "bad-file",  # a file that cannot be parsed, or of another format or shape than expected
    "bad-row",  # rows of a data set that cannot be used
    "unknown-name",  # a name that nothing answers to: task, arm, study, language, measure, …
    "inconsistent",  # parts that are each valid and do not belong together
    "leak",  # examples or languages that would be both trained on and scored
    "too-few",  # fewer languages, replicates, examples or families than the method needs
    "unsupported",  # an encoder, tokenizer or device that cannot do what is asked
    "unsafe",  # refused for security: remote code, pickles, paths outside their place
    "not-a-run",  # a folder that holds no run, or files that belong to another one
    # missing
    "missing-file",
    "missing-data",
    "missing-model",
    "missing-package",
    "unfinished",  # results that will be there when a study has ended
    "network",  # a hub or remote store that cannot be reached or fails
    "no-access",  # a hub that wants a token, or one with more rights
    # a step failed, and the results of the others are kept
    "step-failed",
    "process-died",  # one of the processes that share a training was killed, or ran out of memory
    "not-finite",  # weights, losses or outputs that are NaN or infinite
    "damaged",  # content that differs from its checksum
    "store-full",
]
"""What went wrong, in a word that does not change: for programs, and for tests."""

BAD_INPUT, MISSING, STEP_FAILED = 2, 3, 4
_CODES = {
    **dict.fromkeys(
        ("missing-file", "missing-data", "missing-model", "missing-package", "unfinished", "network", "no-access"),
        MISSING,
    ),
    **dict.fromkeys(("step-failed", "process-died", "not-finite", "damaged", "store-full"), STEP_FAILED),
}


_SECRETS = (
    (re.compile(r"(?<=://)[^\s/@:]*:(?!\d+/)[^\s@]*@"), "…@"),  # user:password@ of an address
    (re.compile(r"(?i)(?<=[?&])([\w-]*(?:token|secret|sig|signature|key|password|credential)[\w-]*=)[^&\s]+"), r"\1…"),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), "hf_…"),
)


def without_secrets(text: str) -> str:
    """A text in which tokens of the hub, and passwords and signatures inside addresses, are replaced by dots.

    >>> without_secrets("cannot reach s3://key:secret@bucket/store")
    'cannot reach s3://…@bucket/store'
    """
    for pattern, dots in _SECRETS:
        text = pattern.sub(dots, text)
    return text


class XstiltsError(Exception):
    """Says what went wrong, why, and how to fix it.

    `kind` names the error for programs; `code` is the exit status of the command line that follows from it: 2 for bad
    input, 3 for missing data or a missing model, 4 for a step that failed while the results of the others were kept.
    Secrets in the texts are replaced by dots.

    >>> error = XstiltsError("missing-file", "there is no folder data", "--data must name one", "check the path")
    >>> error.kind, error.code
    ('missing-file', 3)
    """

    def __init__(self, kind: Kind, what: str, why: str, hint: str) -> None:
        what, why, hint = map(without_secrets, (what, why, hint))
        super().__init__(kind, what, why, hint)
        self.kind, self.what, self.why, self.hint = kind, what, why, hint

    @property
    def code(self) -> int:
        """The exit status of the command line."""
        return _CODES.get(self.kind, BAD_INPUT)

    def __str__(self) -> str:
        return f"{self.what}\n{self.why}\n{self.hint}"


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_IN_WORDS = re.compile(r"No space left on device|\(os error (28|122|27)\)|\d+ requested and \d+ written")
"""What safetensors, tokenizers, processes of a training, and numpy write instead of an error number."""


def full_disk(error: BaseException) -> str:
    """What the system says if the error is that of a full disk, a quota or a limit of files' sizes; "" if it is not.

    >>> full_disk(OSError(errno.ENOSPC, "No space left on device", "a.csv")), full_disk(ValueError("no"))
    ('No space left on device: a.csv', '')
    """
    if isinstance(error, OSError) and error.errno in _FULL:
        return os.strerror(error.errno) + (f": {error.filename}" if error.filename else "")
    return os.strerror(errno.ENOSPC) if _FULL_IN_WORDS.search(str(error)) else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that names the closest of `known`, or an empty string if none is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def and_more(count: int, what: str) -> str:
    """How many more things there are than the one that is shown, in parentheses; "" if none.

    >>> and_more(1, "such row"), and_more(2000, "such row")
    (' (and 1 more such row)', ' (and 2,000 more such rows)')
    """
    return f" (and {count:,} more {what}{'s' * (count > 1)})" if count else ""
