"""The concepts that the world can talk about, as integers, and the family tree: `world.yaml` read once."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import yaml

from xstilts.errors import XstiltsError, did_you_mean

ABSENT = -1

_DECLARED: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("world.yaml").read_text("utf-8"))
_WORDS: dict[str, Any] = _DECLARED["vocabulary"]

INTERNATIONALISMS: float = _DECLARED["lexicon"]["internationalisms"]

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

PERSONS = frozenset(MEMBERS[CATEGORIES["person"]]) | frozenset(NAMES) | {CATEGORIES["person"], WHO}
PROPER = frozenset(NAMES) | {WHO, WHAT}
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
LANGUAGES: tuple[str, ...] = tuple(PATHS)
"""Codes of the languages of the world, English first."""


def check_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise XstiltsError if the artificial world has no `what` of this name."""
    if name not in known:
        hint = did_you_mean(name, known) or f"choose one of {', '.join(known)}"
        raise XstiltsError("unknown-name", f"unknown {what} '{name}'", "the artificial world does not have it", hint)
