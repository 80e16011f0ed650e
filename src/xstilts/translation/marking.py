"""Labelled stretches of a text are translated between markers, and found again by them.

Square brackets, as in EasyProject (Chen et al. 2023, "Frustratingly easy label projection for cross-lingual transfer",
arxiv.org/abs/2211.15613). Where a sentence has stretches of several kinds, their brackets are numbered, so that
nothing has to be guessed when the translation changes their order.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Span = tuple[int, int, str]
"""First character, one past the last, and the kind of a stretch of text."""
OWN_BRACKETS = "brackets of its own beside what would be marked"
LOST = "markers lost in translation"
BRACKETS = str.maketrans("［【〔］】〕", "[[[]]]")
PLAIN = re.compile(r"\[([^\[\]]*)\]")
NUMBERED = re.compile(r"\[\s*(\d+)\s*\]([^\[\]]*)\[\s*/\s*(\d+)\s*\]")
END = re.compile(r"""[.!?؟۔।]+["'”’»)]*(?=\s)|[。！？]+["'”’」』）]*|\s*\n""")
"""Where a sentence ends: after its last sign, or at the end of a line."""
SHORT = re.compile(r"(?:^|[\s(.])(?:\w|Mr|Mrs|Ms|Dr|St|Prof|Gen|No|vs|Jr|Sr)\.$")
"""An abbreviation, whose point ends nothing."""


@dataclass(frozen=True)
class Passage:
    """A text with labelled stretches, in order and apart from each other."""

    text: str
    spans: tuple[Span, ...] = ()


def sentences(passage: Passage) -> list[Passage]:
    """The sentences of a passage with their spans, none of which is ever divided.

    Models translate sentences better than paragraphs, and a paragraph that many questions share is translated once.
    A wrong division costs quality and nothing else.
    """
    text, result, start = passage.text, [], 0
    for end in [*(match.end() for match in END.finditer(text)), len(text)]:
        if end < len(text) and (_within(passage.spans, end) or _goes_on(text, start, end)):
            continue
        first = start + len(text[start:end]) - len(text[start:end].lstrip())
        last = start + len(text[start:end].rstrip())
        if first < last:
            own = tuple((a - first, b - first, kind) for a, b, kind in passage.spans if start <= a < end)
            result.append(Passage(text[first:last], own))
        start = end
    return result


def _within(spans: Iterable[Span], position: int) -> bool:
    return any(start < position < stop for start, stop, _ in spans)


def _goes_on(text: str, start: int, end: int) -> bool:
    following = text[end:].lstrip()[:1]
    return text[end - 1] != "\n" and (following.islower() or bool(SHORT.search(text[start:end])))


def _numbered(spans: Sequence[Span]) -> bool:
    return len({kind for *_, kind in spans}) > 1


def marked(passage: Passage) -> str | None:
    """The text with its spans between markers; None where brackets of its own would be taken for them."""
    if passage.spans and re.search(r"[\[\]]", passage.text.translate(BRACKETS)):
        return None
    numbered, result, end = _numbered(passage.spans), "", 0
    for number, (start, stop, _) in enumerate(passage.spans, 1):
        before, after = (f"[{number}] ", f" [/{number}]") if numbered else ("[", "]")
        result += passage.text[end:start] + before + passage.text[start:stop] + after
        end = stop
    return result + passage.text[end:]


def found(translation: str, spans: Sequence[Span]) -> Passage | None:
    """The translation without markers, with its spans; None where not every marker of `spans` is there once."""
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
    """Two pieces with one white space where both had some, and none at the beginning."""
    return before + (after.lstrip() if not before or before[-1].isspace() else after)


def _space_after(content: str, rest: str) -> str:
    """White space before a closing marker counts only where a word follows it at once."""
    return " " if content[-1:].isspace() and rest[:1].isalnum() else ""


def unmarked(text: str) -> str:
    """A text without anything that looks like a marker, for a comparison of texts."""
    return re.sub(r"\[\s*/?\s*\d+\s*\]|[\[\]]", "", text.translate(BRACKETS))


def together(parts: Sequence[Passage], between: str) -> Passage:
    """Sentences as one passage again."""
    text, spans = "", []
    for part in parts:
        text += between if text else ""
        spans += [(start + len(text), stop + len(text), kind) for start, stop, kind in part.spans]
        text += part.text
    return Passage(text, tuple(spans))
