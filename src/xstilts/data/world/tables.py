"""Items said in a language, as the rows of tables."""

from collections.abc import Callable, Iterator
from typing import Any

from xstilts.data.world.concepts import WHAT, WHERE, WHO
from xstilts.data.world.grammar import grammar
from xstilts.data.world.items import Pair, documents, nli_pairs, paws_pairs, questions
from xstilts.data.world.lexicon import lexicons
from xstilts.data.world.realisation import ask, linearise, spell
from xstilts.data.world.semantics import Event, Profile, draw_events
from xstilts.randomness import generator

Row = tuple[Any, ...]


class Speaker:
    """One language of one world."""

    def __init__(self, seed: int, language: str) -> None:
        self.grammar, self.forms, self.language = grammar(language), lexicons(seed)[language], language

    def order(self, event: Event, style: float) -> list[int]:
        """The concepts of a statement in order; `style` chooses among the basic orders of the language."""
        return linearise(self.grammar, event, self.grammar.order(style))

    def say(self, event: Event, style: float) -> str:
        """A statement."""
        return spell(self.order(event, style), self.forms)

    def ask(self, event: Event, wh: int, style: float) -> str:
        """A question for the agent, patient or place of an event."""
        return spell(ask(self.grammar, event, wh, self.grammar.order(style)), self.forms)


def _mixer(seed: int, split: str, language: str, share: float) -> Callable[[str], str]:
    """Replaces a share of the words by English ones."""
    if not share or language == "en":
        return lambda text: text
    english = dict(zip(lexicons(seed)[language], lexicons(seed)["en"], strict=True))
    source = generator(seed, "world", "code mixing", language, split)

    def mix(text: str) -> str:
        words = text.split(" ")
        draws = source.random(len(words)).tolist()
        return " ".join([english[word] if u < share else word for word, u in zip(words, draws, strict=True)])

    return mix


def _text(seed: int, split: str, language: str, n: int, code_mixing: float = 0.0) -> Iterator[Row]:
    speaker, mix = Speaker(seed, language), _mixer(seed, split, language, code_mixing)
    for i, (first, second, _, style) in enumerate(documents(seed, language, split, n)):
        key = f"text-{language}-{split}-{i}"
        yield key, key, language, mix(speaker.say(first, style)), mix(speaker.say(second, style))


def _pairs(name: str, pairs: Iterator[Pair], speaker: Speaker) -> Iterator[Row]:
    for i, (first, second, label, style) in enumerate(pairs):
        key = f"{name}-{i}"
        yield key, key, speaker.language, speaker.say(first, style), speaker.say(second, style), label


def _nli(seed: int, split: str, language: str, n: int, hard: float = 0.0) -> Iterator[Row]:
    return _pairs(f"nli-{split}", nli_pairs(seed, split, n, hard), Speaker(seed, language))


def _paws(seed: int, split: str, language: str, n: int, passive: float = 0.03) -> Iterator[Row]:
    return _pairs(f"paws-{split}", paws_pairs(seed, split, n, passive), Speaker(seed, language))


def _qa(seed: int, split: str, language: str, n: int) -> Iterator[Row]:
    speaker = Speaker(seed, language)
    for i, (first, second, asked, wh, style) in enumerate(questions(seed, split, n)):
        about = (first, second)[asked]
        concept = {WHO: about.agent, WHAT: about.patient, WHERE: about.place}[wh]
        said = [speaker.order(event, style) for event in (first, second)]
        words = [speaker.forms[c] for c in said[0] + said[1]]
        place = said[asked].index(concept) + asked * len(said[0])
        start = sum(len(word) + 1 for word in words[:place])
        answers, key = [{"text": words[place], "start": start}], f"qa-{split}-{i}"
        yield key, key, language, " ".join(words), speaker.ask(about, wh, style), answers


def _retrieval(seed: int, split: str, language: str, n: int) -> Iterator[Row]:
    english, speaker = Speaker(seed, "en"), Speaker(seed, language)
    for i, (event, u) in enumerate(draw_events(seed, ("retrieval",), split, n, Profile())):
        key = f"retrieval-{split}-{i}"
        query, candidate = f"{key}-query", f"{key}-candidate"
        yield query, key, language, "query", english.say(event, u[9]), candidate
        yield candidate, key, language, "candidate", speaker.say(event, u[9]), None


ROWS: dict[str, Callable[..., Iterator[Row]]] = {
    "text": _text,
    "nli": _nli,
    "paws": _paws,
    "qa": _qa,
    "retrieval": _retrieval,
}
"""For each kind of table the function of (seed, split, language, n, **parameters) that makes its rows."""
