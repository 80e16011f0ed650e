"""Tables of examples in the artificial languages; their rows follow from the arguments alone."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from xstilts.data.world.concepts import LANGUAGES, WHAT, WHERE, WHO, check_known, lexicons
from xstilts.data.world.grammar import ask, grammar, linearise
from xstilts.data.world.items import Pair, documents, nli_pairs, paws_pairs, questions
from xstilts.data.world.semantics import Event, draw_events
from xstilts.randomness import generator
from xstilts.tasks.task_types import SCHEMAS

Row = tuple[Any, ...]


def _concepts(language: str, event: Event, style: float) -> list[int]:
    """The concepts of a statement about an event; `style` chooses among the language's basic orders."""
    return linearise(grammar(language), event, grammar(language).order(style))


def _say(seed: int, language: str, event: Event, style: float) -> str:
    """A statement about an event."""
    forms = lexicons(seed)[language]
    return " ".join([forms[concept] for concept in _concepts(language, event, style)])


def _text(seed: int, split: str, language: str, code_mixing: float = 0.0) -> Iterator[Row]:
    """Documents of two sentences; `code_mixing` is the share of their words that are said in English."""
    english = dict(zip(lexicons(seed)[language], lexicons(seed)["en"], strict=True))
    source = generator(seed, "world", "code mixing", language, split)

    def mix(text: str) -> str:
        if not code_mixing or language == "en":
            return text
        words = text.split(" ")
        draws = source.random(len(words)).tolist()
        return " ".join([english[word] if u < code_mixing else word for word, u in zip(words, draws, strict=True)])

    for i, (*events, _, style) in enumerate(documents(seed, language, split)):
        key = f"text-{language}-{split}-{i}"
        yield key, key, language, *[mix(_say(seed, language, event, style)) for event in events]


def _pairs(name: str, pairs: Iterator[Pair], seed: int, language: str) -> Iterator[Row]:
    for i, (*events, label, style) in enumerate(pairs):
        key = f"{name}-{i}"
        yield key, key, language, *[_say(seed, language, event, style) for event in events], label


def _nli(seed: int, split: str, language: str, hard: float = 0.0) -> Iterator[Row]:
    return _pairs(f"nli-{split}", nli_pairs(seed, split, hard), seed, language)


def _paws(seed: int, split: str, language: str, passive: float = 0.03) -> Iterator[Row]:
    return _pairs(f"paws-{split}", paws_pairs(seed, split, passive), seed, language)


def _qa(seed: int, split: str, language: str) -> Iterator[Row]:
    forms, order = lexicons(seed)[language], grammar(language).order
    for i, (events, asked, wh, style) in enumerate(questions(seed, split)):
        about = events[asked]
        concept = {WHO: about.agent, WHAT: about.patient, WHERE: about.place}[wh]
        statements = [_concepts(language, event, style) for event in events]
        words = [forms[c] for c in statements[0] + statements[1]]
        place = statements[asked].index(concept) + asked * len(statements[0])
        start = sum(len(word) + 1 for word in words[:place])
        question = " ".join([forms[c] for c in ask(grammar(language), about, wh, order(style))])
        answers, key = [{"text": words[place], "start": start}], f"qa-{split}-{i}"
        yield key, key, language, " ".join(words), question, answers


def _retrieval(seed: int, split: str, language: str) -> Iterator[Row]:
    for i, (event, u) in enumerate(draw_events(seed, ("retrieval",), split)):
        key = f"retrieval-{split}-{i}"
        query, candidate = f"{key}-query", f"{key}-candidate"
        yield query, key, language, "query", _say(seed, "en", event, u[9]), candidate
        yield candidate, key, language, "candidate", _say(seed, language, event, u[9]), None


KINDS: dict[str, tuple[str, Callable[..., Iterator[Row]]]] = {
    "text": ("mlm", _text),
    "nli": ("classification", _nli),
    "paws": ("classification", _paws),
    "qa": ("qa", _qa),
    "retrieval": ("retrieval", _retrieval),
}
"""For each kind of table its task type and the function of (seed, split, language, **parameters) that makes its rows,
without end. `text_b` of `text` is the second sentence of a document."""


def world_table(
    seed: int, kind: str, split: str, language: str, n: int, code_mixing: float = 0.0, **parameters: float
) -> pa.Table:
    """The first n items of a split ('train', 'validation', 'test') in one language; an item of `retrieval` is two rows.

    The world's preferences, words and items follow from `seed`. `code_mixing` is the share of words in pretraining text
    that are said in English. `nli` takes `hard`, the share of neutral items that differ by a content word or by roles,
    and `paws` takes `passive`, the share of restatements in the passive; items of other parameters are other items.

    >>> [world_table(1, "nli", "test", code, 1)["text_a"][0].as_py() for code in ("en", "de")]
    ['the cat push the bright bird', 'the cat the bright bird obj push']
    """
    check_known("kind of data", kind, KINDS)
    check_known("language", language, LANGUAGES)
    if kind == "text":
        parameters = {"code_mixing": code_mixing, **parameters}
    task_type, stream = KINDS[kind]
    schema = SCHEMAS[task_type]
    rows = islice(stream(seed, split, language, **parameters), n * (2 if kind == "retrieval" else 1))
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)], schema=schema)
