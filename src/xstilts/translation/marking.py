"""Label projection: labelled spans are translated between markers and located again by them.

The markers are square brackets, as in EasyProject (Chen et al. 2023, "Frustratingly easy label projection for
cross-lingual transfer", arxiv.org/abs/2211.15613). If a sentence has spans of several kinds, their brackets are
numbered, because a translation may change their order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from xstilts.tasks.sentences import sentence_spans

Span = tuple[int, int, str]
"""First character, one past the last, and kind of a labelled span."""
TEXT_HAS_BRACKETS = "the text itself has brackets"
LOST = "markers lost in translation"
BRACKETS = str.maketrans("［【〔］】〕", "[[[]]]")
PLAIN = re.compile(r"\[()([^\[\]]*)()\]")
NUMBERED = re.compile(r"\[\s*(\d+)\s*\]([^\[\]]*)\[\s*/\s*(\d+)\s*\]")
"""A span between its markers: the opening number, the content, and the closing number."""


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
    result = []
    for start, end in sentence_spans(passage.text, [(a, b) for a, b, _ in passage.spans]):
        part = passage.text[start:end]
        if part.strip():
            first = end - len(part.lstrip())
            spans = tuple((a - first, b - first, kind) for a, b, kind in passage.spans if start <= a < end)
            result.append(Passage(part.strip(), spans))
    return result


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
    text = translation.translate(BRACKETS)
    form, brackets = (NUMBERED, 2 * len(spans)) if _numbered(spans) else (PLAIN, len(spans))
    matches = list(form.finditer(text))
    numbers = [(int(match[1] or i), int(match[3] or i)) for i, match in enumerate(matches, 1)]
    if sorted(numbers) != [(i, i) for i in range(1, len(spans) + 1)] or not all(match[2].strip() for match in matches):
        return None
    if text.count("[") != brackets or text.count("]") != brackets:
        return None
    result, placed, end = "", [], 0
    for match, (number, _) in zip(matches, numbers, strict=True):
        content, inner = match[2], match[2].strip()
        result = _joined(result, text[end : match.start()])
        result = _joined(result, content[: len(content) - len(content.lstrip())])
        placed.append((len(result), len(result) + len(inner), spans[number - 1][2]))
        end = match.end()
        # White space before a closing marker counts only if a word follows the marker directly.
        result += inner + (" " if content[-1].isspace() and text[end : end + 1].isalnum() else "")
    return Passage(_joined(result, text[end:]), tuple(placed))


def _joined(before: str, after: str) -> str:
    """Two pieces joined without double white space, and without any at the start."""
    return before + (after.lstrip() if not before or before[-1].isspace() else after)


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
