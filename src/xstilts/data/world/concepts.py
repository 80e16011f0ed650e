"""The concepts of the world, as integers, the family tree of its languages, and the form of each concept in them.

Everything is declared in `world.yaml`. Forms are inherited along the tree: related languages share them.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.randomness import generator

ABSENT = -1

_DECLARED: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("world.yaml").read_text("utf-8"))
_WORDS: dict[str, Any] = _DECLARED["vocabulary"]
_ONSETS = ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "ch", "sh", "tr", "kr", "st"]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ou"]
_CODAS = ["", "", "", "n", "r", "s", "l"]

CONCEPTS: list[str] = []
"""English word of each concept; a concept is its index here."""


def _declare(words: list[str]) -> list[int]:
    CONCEPTS.extend(words)
    return list(range(len(CONCEPTS) - len(words), len(CONCEPTS)))


CATEGORIES = dict(zip(_WORDS["nouns"], _declare(list(_WORDS["nouns"])), strict=True))
MEMBERS = {CATEGORIES[category]: _declare(members) for category, members in _WORDS["nouns"].items()}
HYPERNYM = {noun: category for category, members in MEMBERS.items() for noun in members}
NAMES = _declare(_WORDS["names"])
HYPERNYM.update(dict.fromkeys(NAMES, CATEGORIES["person"]))

ANIMATE = [noun for category in _WORDS["animate"] for noun in MEMBERS[CATEGORIES[category]]] + NAMES
THINGS = [noun for noun in HYPERNYM if noun not in ANIMATE]
SOCIAL_VERBS = _declare(_WORDS["social_verbs"])
PRACTICAL_VERBS = _declare(_WORDS["practical_verbs"])
ANTONYM: dict[int, int] = {}
for _adjective, _opposite in map(_declare, _WORDS["adjectives"]):
    ANTONYM.update({_adjective: _opposite, _opposite: _adjective})
ADJECTIVES = list(ANTONYM)
PLACES = _declare(_WORDS["places"])
ADPOSITIONS = _declare(_WORDS["adpositions"])
TIMES = _declare(_WORDS["times"])
FUNCTION_WORDS = _declare(_WORDS["function_words"])
PAST, FUTURE, NOT, ARTICLE, OBJECT, AGREE_PERSON, AGREE_OTHER, PASSIVE, BY, WHO, WHAT, WHERE = FUNCTION_WORDS
(QUESTION_MARK,) = _declare(_WORDS["punctuation"])
TENSES = [ABSENT, PAST, FUTURE]

PERSONS = {*MEMBERS[CATEGORIES["person"]], *NAMES, CATEGORIES["person"], WHO}
PROPER = {*NAMES, WHO, WHAT}
"""Concepts that take no article."""
SHARED = [*NAMES, QUESTION_MARK]
"""Concepts that have one form in all languages."""


Path = tuple[tuple[str, float], ...]


def _paths(tree: dict[str, Any], above: Path = ()) -> dict[str, Path]:
    """For each language the branches that lead to it from the root: (name, probability that a form survives)."""
    paths: dict[str, Path] = {}
    for name, below in tree.items():
        if isinstance(below, dict):
            paths |= _paths(below, (*above, (name, below["keep"])))
        elif name != "keep":
            paths[name] = (*above, (name, below))
    return paths


PATHS = _paths(_DECLARED["tree"])
LANGUAGES = tuple(PATHS)
"""Codes of the languages of the world, English first."""


def check_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise XstiltsError if the artificial world has no `what` of this name."""
    if name not in known:
        hint = did_you_mean(name, known) or f"choose one of {', '.join(known)}"
        raise XstiltsError("unknown-name", f"unknown {what} '{name}'", "the artificial world does not have it", hint)


def _origins(seed: int, language: str) -> list[tuple[int, str]]:
    """Each concept and the branch of the tree on which its form in `language` arose; function words are inherited
    within a family only and are never international."""
    count = len(CONCEPTS)
    share = _DECLARED["lexicon"]["internationalisms"]
    international = generator(seed, "world", "internationalisms").random(count) < share
    international[FUNCTION_WORDS], international[SHARED] = False, True
    branch_of = ["root"] * count
    for depth, (branch, keep) in enumerate(PATHS[language]):
        lost = generator(seed, "world", "branch", branch).random(count) >= keep
        lost[FUNCTION_WORDS] |= depth == 0
        for concept in (lost & ~international).nonzero()[0]:
            branch_of[concept] = branch
    return list(enumerate(branch_of))


@cache
def lexicons(seed: int) -> dict[str, list[str]]:
    """The form of every concept in each language; words that a language shares with English are English words, others
    are pronounceable and all different."""
    spelling = {origin: CONCEPTS[origin[0]] for origin in _origins(seed, "en")}
    taken = set(CONCEPTS)
    lexicons = {}
    for language in LANGUAGES:
        origins = _origins(seed, language)
        for origin in (origin for origin in origins if origin not in spelling):
            draws = generator(seed, "world", "spelling", *origin)
            while origin not in spelling:
                parts = [_ONSETS, _VOWELS, _CODAS] * (2 if draws.random() < 0.5 else 3)
                letters = zip(parts, draws.random(len(parts)), strict=True)
                word = "".join([part[int(u * len(part))] for part, u in letters])
                if word not in taken:
                    spelling[origin] = word
                    taken.add(word)
        lexicons[language] = [spelling[origin] for origin in origins]
    return lexicons
