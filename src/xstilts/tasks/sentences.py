"""Sentences of a text in any language, by punctuation and, in Thai, by white space."""

import re
from collections.abc import Iterable
from itertools import pairwise

END = re.compile(r"""[.!?؟۔।]+["'”’»)]*(?=\s)|[。！？]+["'”’」』）]*|\s*\n""")
"""The end of a sentence: its final punctuation, or the end of a line."""
SHORT = re.compile(r"(?:^|[\s(.])(?:\w|Mr|Mrs|Ms|Dr|St|Prof|Gen|No|vs|Jr|Sr)\.$")
"""An abbreviation, whose full stop does not end a sentence."""
THAI_SPACE = re.compile(r"(?<=[\u0e00-\u0e7f0-9\])\"”’])\s+(?=[\u0e00-\u0e7f])")
"""White space between a Thai word or a number and a Thai word: Thai has no final punctuation."""
THAI_LENGTH = 120
"""Characters that a Thai sentence has at least, white space between clauses being more frequent than sentences."""

Span = tuple[int, int]
"""First character, and one past the last."""


def sentence_spans(text: str, whole: Iterable[Span] = ()) -> list[Span]:
    """The sentences of a text, which follow each other without gaps; those that would split a span of `whole` stay one.

    >>> text = "Dr. Lee won. Why? 他赢了。谁？"
    >>> [text[start:stop] for start, stop in sentence_spans(text)]
    ['Dr. Lee won.', ' Why?', ' 他赢了。', '谁？']
    """
    whole, result, start = list(whole), [], 0
    for end in [*(match.end() for match in END.finditer(text)), len(text)]:
        part, following = text[start:end], text[end:].lstrip()[:1]
        continues = part[-1:] != "\n" and (following.islower() or SHORT.search(part))
        if end < len(text) and (continues or any(a < end < b for a, b in whole)):
            continue
        result.append((start, end))
        start = end
    return [span for span in result if span[0] < span[1]]


def trimmed(text: str, span: Span) -> Span:
    """The span without the white space around it."""
    part = text[span[0] : span[1]]
    start = span[1] - len(part.lstrip())
    return start, start + len(part.strip())


def candidate_spans(text: str) -> list[Span]:
    """The sentences of a text without the white space around them. In Thai text, white space is a boundary once a
    sentence has THAI_LENGTH characters, because nothing else marks one."""
    spans = []
    for start, end in sentence_spans(text):
        edges = [start]
        for match in THAI_SPACE.finditer(text, start, end):
            if min(match.start() - edges[-1], end - match.end()) >= THAI_LENGTH:
                edges.append(match.end())
        spans += [trimmed(text, span) for span in pairwise([*edges, end])]
    return [(start, end) for start, end in spans if start < end]
