"""Questions about contexts as retrieval: questions are queries, and the sentences of all contexts are candidates."""

from collections.abc import Iterable, Iterator
from typing import Any

from xstilts.data.record_formats import Item
from xstilts.tasks.sentences import Span, candidate_spans
from xstilts.tasks.task import BadRow


def with_sentences(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the records of questions with the spans of the `sentences` of their context and its number `paragraph`,
    from 1; other records as they are.

    Sentences are those that `sentence_breaks` of the data gives (XQuAD-R), else those found by punctuation.
    """
    paragraphs: dict[str, tuple[int, list[Span]]] = {}
    for line, record in items:
        context = record.get("context") if isinstance(record, dict) else None
        if not isinstance(record, dict) or not isinstance(context, str) or not context.strip():
            yield line, record
            continue
        if context not in paragraphs:
            breaks = record.get("sentence_breaks")
            spans = candidate_spans(context) if breaks is None else _spans(breaks, len(context))
            if spans is None:
                yield line, BadRow(f"sentence_breaks is {breaks!r:.60}", "a list of [start, stop] in the context")
                continue
            paragraphs[context] = len(paragraphs) + 1, spans
        paragraph, spans = paragraphs[context]
        yield line, {**record, "paragraph": paragraph, "sentences": spans}


def _spans(breaks: Any, length: int) -> list[Span] | None:
    """The spans that the data gives; None if they are no spans of a text of this length."""
    if not isinstance(breaks, list) or not breaks:
        return None
    for span in breaks:
        if not isinstance(span, list) or len(span) != 2 or not all(type(edge) is int for edge in span):
            return None
        if not 0 <= span[0] < span[1] <= length:
            return None
    return [(start, stop) for start, stop in breaks]
