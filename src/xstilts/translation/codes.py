"""How translation models name languages, and what they need to be told to go from one to another."""

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
"""Words before a text that name the language to translate into: `>>deu<<` (Opus-MT), `<2de>` (MADLAD-400)."""


@dataclass(frozen=True)
class Direction:
    """What a model is told of a pair of languages, "" and None where it is told nothing.

    `source` is what its tokenizer calls the language of the text, `prefix` stands before every text, and `first` is
    the id of the token that every translation begins with; `names` are its words for both languages.
    """

    source: str
    prefix: str
    first: int | None
    names: tuple[str, str]


def direction(tokenizer: Any, size: int, source: str, target: str, model: str) -> Direction:
    """What the model with this tokenizer is told to translate from `source` into `target`, codes of ours.

    size: the number of its embeddings; a token beyond them names no language. A model that neither lists languages
    nor says which it was made for is taken to be for this pair. Raises XstiltsError for a language that it does not
    know, with those that it knows.
    """
    if hasattr(tokenizer, "src_lang"):
        named = getattr(tokenizer, "lang_code_to_token", {}).values()  # M2M-100 does not count them as special
        known = _tokens(CODED, [*map(str, tokenizer.all_special_tokens), *named], tokenizer, size)
        theirs = _required(known, source, model, "from"), _required(known, target, model, "into")
        return Direction(theirs[0], "", tokenizer.convert_tokens_to_ids(known[theirs[1]]), theirs)
    _declared(getattr(tokenizer, "source_lang", None), source, model, "from")
    if prefixes := _tokens(PREFIX, list(tokenizer.get_vocab()), tokenizer, size):
        chosen = _required(prefixes, target, model, "into")
        return Direction("", f"{prefixes[chosen]} ", None, (source, chosen))
    _declared(getattr(tokenizer, "target_lang", None), target, model, "into")
    return Direction("", "", None, (source, target))


def _tokens(form: re.Pattern[str], tokens: Iterable[str], tokenizer: Any, size: int) -> dict[str, str]:
    """Code of theirs -> token, of the tokens of that form which the model has an embedding for."""
    found = [(match, token) for token in tokens if (match := form.fullmatch(token))]
    unknown = tokenizer.unk_token_id
    ids = (tokenizer.convert_tokens_to_ids(token) for _, token in found)
    return {
        next(filter(None, match.groups())): token
        for (match, token), number in zip(found, ids, strict=True)
        if number < size and number != unknown
    }


def _required(known: Iterable[str], code: str, model: str, way: str) -> str:
    """The code of theirs that means a language; where several do, the one of its usual script, then of its
    individual language."""
    wanted = language(code)
    fits = [(theirs, found) for theirs in known if (found := meant(theirs)) and found.code == wanted.code]
    if not fits:
        raise _unknown({found.code for theirs in known if (found := meant(theirs))}, wanted, model, way)

    def rank(fit: tuple[str, Language]) -> tuple[bool, bool, str]:
        return fit[1].script != wanted.script, fit[0].partition("_")[0] != wanted.iso639_3, fit[0]

    return min(fits, key=rank)[0]


def _declared(stated: str | None, code: str, model: str, way: str) -> None:
    """Raises XstiltsError where a tokenizer says for which languages it was made (`de`, `fr+es+pt_br`), all of them are
    known to us, and the wanted one is not among them. A group of languages (`gem`) is taken at its word."""
    parts = [found for part in (stated or "").split("+") if (found := meant(part))]
    wanted = language(code)
    if stated and parts and wanted.code not in {part.code for part in parts}:
        raise _unknown({part.code for part in parts}, wanted, model, way)


@cache
def meant(theirs: str) -> Language | None:
    """The language that a model means by its code; None for one that we do not have."""
    try:
        return language(theirs)
    except XstiltsError:
        return None


def _unknown(known: set[str], wanted: Language, model: str, way: str) -> XstiltsError:
    return XstiltsError(
        "unsupported",
        f"the model {model} does not translate {way} {wanted.name} ({wanted.code})",
        f"it knows {', '.join(sorted(known)) or 'no language of ours'}",
        "choose one of these languages, or another model",
    )
