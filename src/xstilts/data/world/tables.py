"""Items said in a language, as the rows of tables: endless streams whose rows follow from their arguments."""

from collections.abc import Callable, Iterator
from typing import Any

from xstilts.data.world.concepts import WHAT, WHERE, WHO
from xstilts.data.world.grammar import grammar
from xstilts.data.world.items import Pair, documents, nli_pairs, paws_pairs, questions
from xstilts.data.world.lexicon import lexicons
from xstilts.data.world.realisation import ask, linearise
from xstilts.data.world.semantics import Event, Profile, draw_events
from xstilts.randomness import generator

Row = tuple[Any, ...]


class Speaker:
    """One language of one world."""

    def __init__(self, seed: int, language: str) -> None:
        self.grammar, self.forms, self.language = grammar(language), lexicons(seed)[language], language

    def words(self, event: Event, style: float, wh: int | None = None) -> list[int]:
        """The concepts of a statement, or of a question by `wh`; `style` chooses among the language's basic orders."""
        order = self.grammar.order(style)
        return linearise(self.grammar, event, order) if wh is None else ask(self.grammar, event, wh, order)

    def say(self, event: Event, style: float, wh: int | None = None) -> str:
        """A statement about an event, or the question by `wh` for its agent, patient or place."""
        return " ".join([self.forms[concept] for concept in self.words(event, style, wh)])


def _mixer(seed: int, split: str, language: str, share: float) -> Callable[[str], str]:
    """A function that replaces a share of the words of a text by English ones."""
    if not share or language == "en":
        return lambda text: text
    english = dict(zip(lexicons(seed)[language], lexicons(seed)["en"], strict=True))
    source = generator(seed, "world", "code mixing", language, split)

    def mix(text: str) -> str:
        words = text.split(" ")
        draws = source.random(len(words)).tolist()
        return " ".join([english[word] if u < share else word for word, u in zip(words, draws, strict=True)])

    return mix


def _text(seed: int, split: str, language: str, code_mixing: float = 0.0) -> Iterator[Row]:
    speaker, mix = Speaker(seed, language), _mixer(seed, split, language, code_mixing)
    for i, (first, second, _, style) in enumerate(documents(seed, language, split)):
        key = f"text-{language}-{split}-{i}"
        yield key, key, language, mix(speaker.say(first, style)), mix(speaker.say(second, style))


def _pairs(name: str, pairs: Iterator[Pair], speaker: Speaker) -> Iterator[Row]:
    for i, (first, second, label, style) in enumerate(pairs):
        key = f"{name}-{i}"
        yield key, key, speaker.language, speaker.say(first, style), speaker.say(second, style), label


def _nli(seed: int, split: str, language: str, hard: float = 0.0) -> Iterator[Row]:
    return _pairs(f"nli-{split}", nli_pairs(seed, split, hard), Speaker(seed, language))


def _paws(seed: int, split: str, language: str, passive: float = 0.03) -> Iterator[Row]:
    return _pairs(f"paws-{split}", paws_pairs(seed, split, passive), Speaker(seed, language))


def _qa(seed: int, split: str, language: str) -> Iterator[Row]:
    speaker = Speaker(seed, language)
    for i, (*events, asked, wh, style) in enumerate(questions(seed, split)):
        about = events[asked]
        concept = {WHO: about.agent, WHAT: about.patient, WHERE: about.place}[wh]
        said = [speaker.words(event, style) for event in events]
        words = [speaker.forms[c] for c in said[0] + said[1]]
        place = said[asked].index(concept) + asked * len(said[0])
        start = sum(len(word) + 1 for word in words[:place])
        answers, key = [{"text": words[place], "start": start}], f"qa-{split}-{i}"
        yield key, key, language, " ".join(words), speaker.say(about, style, wh), answers


def _retrieval(seed: int, split: str, language: str) -> Iterator[Row]:
    english, speaker = Speaker(seed, "en"), Speaker(seed, language)
    for i, (event, u) in enumerate(draw_events(seed, ("retrieval",), split, Profile())):
        key = f"retrieval-{split}-{i}"
        query, candidate = f"{key}-query", f"{key}-candidate"
        yield query, key, language, "query", english.say(event, u[9]), candidate
        yield candidate, key, language, "candidate", speaker.say(event, u[9]), None


KINDS: dict[str, tuple[str, Callable[..., Iterator[Row]]]] = {
    "text": ("mlm", _text),
    "nli": ("classification", _nli),
    "paws": ("classification", _paws),
    "qa": ("qa", _qa),
    "retrieval": ("retrieval", _retrieval),
}
"""For each kind of table its task type and the function of (seed, split, language, **parameters) that makes its rows.
`text_b` of `text` is the second sentence of a document."""
