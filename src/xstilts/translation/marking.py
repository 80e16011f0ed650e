"""Label projection: labelled spans are translated between markers and located again by them.

The markers are square brackets, as in EasyProject (Chen et al. 2023, "Frustratingly easy label projection for
cross-lingual transfer", arxiv.org/abs/2211.15613). If a sentence has spans of several kinds, their brackets are
numbered, because a translation may change their order.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Span = tuple[int, int, str]
"""First character, one past the last, and kind of a labelled span."""
TEXT_HAS_BRACKETS = "the text itself has brackets"
LOST = "markers lost in translation"
BRACKETS = str.maketrans("［【〔］】〕", "[[[]]]")
PLAIN = re.compile(r"\[([^\[\]]*)\]")
NUMBERED = re.compile(r"\[\s*(\d+)\s*\]([^\[\]]*)\[\s*/\s*(\d+)\s*\]")
END = re.compile(r"""[.!?؟۔।]+["'”’»)]*(?=\s)|[。！？]+["'”’」』）]*|\s*\n""")
"""The end of a sentence: its final punctuation, or the end of a line."""
SHORT = re.compile(r"(?:^|[\s(.])(?:\w|Mr|Mrs|Ms|Dr|St|Prof|Gen|No|vs|Jr|Sr)\.$")
"""An abbreviation, whose full stop does not end a sentence."""


@dataclass(frozen=True)
class Passage:
    """A text with labelled spans, in order and disjoint."""

    text: str
    spans: tuple[Span, ...] = ()


def sentences(passage: Passage) -> list[Passage]:
    """The sentences of a passage with their spans; no span is ever split.

    Models translate sentences better than paragraphs, and a paragraph that many questions share is translated once. A
    wrong split costs quality, never correctness.
    """
    text, result, start = passage.text, [], 0
    for end in [*(match.end() for match in END.finditer(text)), len(text)]:
        if end < len(text) and (_within(passage.spans, end) or _continues(text, start, end)):
            continue
        first = start + len(text[start:end]) - len(text[start:end].lstrip())
        last = start + len(text[start:end].rstrip())
        if first < last:
            spans = tuple((a - first, b - first, kind) for a, b, kind in passage.spans if start <= a < end)
            result.append(Passage(text[first:last], spans))
        start = end
    return result


def _within(spans: Iterable[Span], position: int) -> bool:
    return any(start < position < stop for start, stop, _ in spans)


def _continues(text: str, start: int, end: int) -> bool:
    following = text[end:].lstrip()[:1]
    return text[end - 1] != "\n" and (following.islower() or bool(SHORT.search(text[start:end])))


def _numbered(spans: Sequence[Span]) -> bool:
    return len({kind for *_, kind in spans}) > 1


def marked(passage: Passage) -> str | None:
    """The text with its spans between markers; None if it has brackets itself, which could be taken for markers."""
    if passage.spans and re.search(r"[\[\]]", passage.text.translate(BRACKETS)):
        return None
    numbered, result, end = _numbered(passage.spans), "", 0
    for number, (start, stop, _) in enumerate(passage.spans, 1):
        before, after = (f"[{number}] ", f" [/{number}]") if numbered else ("[", "]")
        result += passage.text[end:start] + before + passage.text[start:stop] + after
        end = stop
    return result + passage.text[end:]


def unmark(translation: str, spans: Sequence[Span]) -> Passage | None:
    """The translation without markers, with its spans; None unless it has every marker of `spans` exactly once."""
    if not spans:
        return Passage(translation)
    text, numbered = translation.translate(BRACKETS), _numbered(spans)
    matches = list((NUMBERED if numbered else PLAIN).finditer(text))
    each = 2 if numbered else 1
    if len(matches) != len(spans) or text.count("[") != each * len(spans) or text.count("]") != each * len(spans):
        return None
    numbers = [int(match[1]) for match in matches] if numbered else list(range(1, len(spans) + 1))
    closing = [int(match[3]) for match in matches] if numbered else numbers
    contents = [match[2 if numbered else 1] for match in matches]
    if sorted(numbers) != list(range(1, len(spans) + 1)) or closing != numbers or not all(c.strip() for c in contents):
        return None
    result, placed, end = "", [], 0
    for match, number, content in zip(matches, numbers, contents, strict=True):
        result = _joined(result, text[end : match.start()])
        inner = content.strip()
        result = _joined(result, content[: len(content) - len(content.lstrip())])
        placed.append((len(result), len(result) + len(inner), spans[number - 1][2]))
        result += inner + _space_after(content, text[match.end() :])
        end = match.end()
    return Passage(_joined(result, text[end:]), tuple(placed))


def _joined(before: str, after: str) -> str:
    """Two pieces joined without double white space, and without any at the start."""
    return before + (after.lstrip() if not before or before[-1].isspace() else after)


def _space_after(content: str, rest: str) -> str:
    """White space before a closing marker counts only if a word follows the marker directly."""
    return " " if content[-1:].isspace() and rest[:1].isalnum() else ""


def without_markers(text: str) -> str:
    """A text without anything that looks like a marker, for comparisons."""
    return re.sub(r"\[\s*/?\s*\d+\s*\]|[\[\]]", "", text.translate(BRACKETS))


def join_passages(parts: Sequence[Passage], between: str) -> Passage:
    """Joins sentences to one passage."""
    text, spans = "", []
    for part in parts:
        text += between if text else ""
        spans += [(start + len(text), stop + len(text), kind) for start, stop, kind in part.spans]
        text += part.text
    return Passage(text, tuple(spans))
