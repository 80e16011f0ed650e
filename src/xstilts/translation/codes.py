"""Language codes of translation models, and how a model is told the direction of translation."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.languages.identity import Language

CODED = re.compile(r"(?:__)?([a-z]{2,3}(?:_[A-Z]{2}|_[A-Z][a-z]{3})?)(?:__)?")
"""Special tokens that name a language: `eng_Latn` (NLLB, FLORES-200), `en_XX` (mBART), `__en__` (M2M-100)."""
PREFIX = re.compile(r">>([A-Za-z_-]+)<<|<2([A-Za-z_-]+)>")
"""Prefixes of a text that name the target language: `>>deu<<` (Opus-MT), `<2de>` (MADLAD-400)."""


@dataclass(frozen=True)
class Direction:
    """How a model is told to translate between two languages; "" and None for what it does not use.

    `source` is the tokenizer's code of the source language, `prefix` precedes every text, and `first` is the id of the
    token that every translation starts with; `names` are the model's codes of both languages.
    """

    source: str
    prefix: str
    first: int | None
    names: tuple[str, str]


def direction(tokenizer: Any, size: int, source: str, target: str, model: str) -> Direction:
    """How a model translates from the language `source` into `target`.

    size: the number of its embeddings; a token beyond them names no language. A model that neither lists nor declares
    languages is assumed to translate this pair. Raises XstiltsError if it lacks one, with those that it
    supports.
    """
    if hasattr(tokenizer, "src_lang"):
        named = getattr(tokenizer, "lang_code_to_token", {}).values()  # M2M-100 does not count them as special
        tokens = _tokens(CODED, [*map(str, tokenizer.all_special_tokens), *named], tokenizer, size)
        names = _required(tokens, source, model, "from"), _required(tokens, target, model, "into")
        return Direction(names[0], "", tokenizer.convert_tokens_to_ids(tokens[names[1]]), names)
    _declared(getattr(tokenizer, "source_lang", None), source, model, "from")
    if prefixes := _tokens(PREFIX, list(tokenizer.get_vocab()), tokenizer, size):
        chosen = _required(prefixes, target, model, "into")
        return Direction("", f"{prefixes[chosen]} ", None, (source, chosen))
    _declared(getattr(tokenizer, "target_lang", None), target, model, "into")
    return Direction("", "", None, (source, target))


def _tokens(form: re.Pattern[str], tokens: Iterable[str], tokenizer: Any, size: int) -> dict[str, str]:
    """The model's language code -> token, for tokens of a form that the model has an embedding for."""
    matches = [(match, token) for token in tokens if (match := form.fullmatch(token))]
    ids = (tokenizer.convert_tokens_to_ids(token) for _, token in matches)
    return {
        next(filter(None, match.groups())): token
        for (match, token), number in zip(matches, ids, strict=True)
        if number < size and number != tokenizer.unk_token_id
    }


def _required(names: Iterable[str], code: str, model: str, way: str) -> str:
    """The model's code of a language; of several, the one with its usual script, then of its individual language."""
    wanted = language(code)
    known = [(name, entry) for name in names if (entry := language_of(name))]
    fits = [(name, entry) for name, entry in known if entry.code == wanted.code]
    if not fits:
        raise _unsupported({entry.code for _, entry in known}, wanted, model, way)

    def rank(fit: tuple[str, Language]) -> tuple[bool, bool, str]:
        return fit[1].script != wanted.script, fit[0].partition("_")[0] != wanted.iso639_3, fit[0]

    return min(fits, key=rank)[0]


def _declared(stated: str | None, code: str, model: str, way: str) -> None:
    """Raises XstiltsError if a tokenizer declares its languages (`de`, `fr+es+pt_br`) and the wanted one is not among
    them. A group of languages (`gem`) may hold any."""
    declared = {entry.code for part in (stated or "").split("+") if (entry := language_of(part))}
    wanted = language(code)
    if declared and wanted.code not in declared:
        raise _unsupported(declared, wanted, model, way)


@cache
def language_of(name: str) -> Language | None:
    """The language that a model's code stands for; None if the table of languages lacks it."""
    try:
        return language(name)
    except XstiltsError:
        return None


def _unsupported(known: set[str], wanted: Language, model: str, way: str) -> XstiltsError:
    return XstiltsError(
        "unsupported",
        f"the model {model} does not translate {way} {wanted.name} ({wanted.code})",
        f"it supports {', '.join(sorted(known)) or 'no language of the table'}",
        "choose one of these languages, or another model",
    )
