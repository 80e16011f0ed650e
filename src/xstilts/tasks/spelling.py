"""Texts and label words that look equal and are not: invisible characters, other normal forms, other spellings."""

import re
import unicodedata
from collections.abc import Iterable

from xstilts.errors import did_you_mean

INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
"""Characters that nothing shows: joiners, marks of direction, variation selectors, byte order marks, fillers."""
MARKS = {"", "-", "–", "_", "x", "na", "n/a", "nan", "none", "null", "nil", "?"}
"""Words that mark rows without a label, in lower case."""


def visible_text(text: str) -> str:
    """A text without invisible characters, in Unicode's normal form C.

    >>> visible_text("e\\u0301te\\u0301\\ufeff") == "été"
    True
    """
    return text if text.isascii() else INVISIBLE.sub("", unicodedata.normalize("NFC", text))


def _plain(label: str) -> str:
    return re.sub(r"[\s_.-]+", "", visible_text(unicodedata.normalize("NFKC", label)).casefold())


def unknown_label(label: str, labels: Iterable[str]) -> tuple[str, str]:
    """What was found and what is expected, for a label that is none of `labels`.

    >>> unknown_label("Yes", ("yes", "no"))
    ("label 'Yes', another spelling of 'yes'", 'one of yes, no; `relabel` renames labels')
    >>> unknown_label("no\\u200b", ("yes", "no"))[0]
    "label 'no', which contains U+200B"
    """
    labels = tuple(labels)
    shown, expected = INVISIBLE.sub("", label)[:60], "one of " + ", ".join(labels)
    odd = [f"U+{ord(char):04X}" for char in dict.fromkeys(label) if INVISIBLE.match(char)]
    same = next((known for known in labels if _plain(known) == _plain(label) != ""), "")
    if odd:
        return f"label '{shown}', which contains {' and '.join(odd[:5])}", expected
    if same:
        return f"label '{shown}', another spelling of '{same}'", f"{expected}; `relabel` renames labels"
    if label.casefold() in MARKS:
        return f"label '{shown}'", f"{expected}; `unlabelled` names marks of rows without a gold label"
    close = did_you_mean(label, labels)
    return f"label '{shown}'", expected + (f"; {close} `relabel` renames labels" if close else "")
