"""Word forms inherited along a family tree: related languages share forms, and some forms are international."""

from functools import cache

from xstilts.data.world.concepts import CONCEPTS, FUNCTION_WORDS, INTERNATIONALISMS, LANGUAGES, PATHS, SHARED
from xstilts.randomness import generator

_ONSETS = ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "ch", "sh", "tr", "kr", "st"]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ou"]
_CODAS = ["", "", "", "n", "r", "s", "l"]

Origin = tuple[int, str]
"""Identity of a form: its concept and the branch of the tree on which it arose."""


def _origins(seed: int, language: str) -> list[Origin]:
    """The form of each concept in `language`, after the losses along its branches.

    Function words are inherited within a family only and are never international.
    """
    count = len(CONCEPTS)
    international = generator(seed, "world", "internationalisms").random(count) < INTERNATIONALISMS
    international[FUNCTION_WORDS], international[SHARED] = False, True
    branch_of = ["root"] * count
    for depth, (branch, keep) in enumerate(PATHS[language]):
        lost = generator(seed, "world", "branch", branch).random(count) >= keep
        lost[FUNCTION_WORDS] |= depth == 0
        for concept in (lost & ~international).nonzero()[0]:
            branch_of[concept] = branch
    return list(enumerate(branch_of))


def _coin(seed: int, origin: Origin, taken: set[str]) -> str:
    """A pronounceable word that no other form has."""
    draws = generator(seed, "world", "spelling", *origin)
    while True:
        syllables = 2 if draws.random() < 0.5 else 3
        parts = [_ONSETS, _VOWELS, _CODAS] * syllables
        word = "".join(part[int(u * len(part))] for part, u in zip(parts, draws.random(len(parts)), strict=True))
        if word not in taken:
            return word


@cache
def lexicons(seed: int) -> dict[str, list[str]]:
    """The form of every concept in each language; words that a language shares with English are English words."""
    spelling = {origin: CONCEPTS[origin[0]] for origin in _origins(seed, "en")}
    taken = set(CONCEPTS)
    lexicons: dict[str, list[str]] = {}
    for language in LANGUAGES:
        forms = []
        for origin in _origins(seed, language):
            if origin not in spelling:
                spelling[origin] = _coin(seed, origin, taken)
                taken.add(spelling[origin])
            forms.append(spelling[origin])
        lexicons[language] = forms
    return lexicons


def shared_forms(seed: int, language: str) -> float:
    """Share of the concepts, without names and punctuation, that have the same form as in English."""
    forms, english = lexicons(seed)[language], lexicons(seed)["en"]
    counted = [c for c in range(len(CONCEPTS)) if c not in SHARED]
    return sum(forms[c] == english[c] for c in counted) / len(counted)
