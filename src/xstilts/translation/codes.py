"""Language codes of translation models, and how a model is told the direction of translation."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.languages.identity import Language

CODED = re.compile(r"(?:__)?([a-z]{2,3}(?:_[A-Z]{2}|_[A-Z][a-z]{3})?)(?:__)?")
"""Special tokens that name a language: `eng_Latn` (NLLB, FLORES-200), `en_XX` (mBART), `__en__` (M2M-100)."""
PREFIX = re.compile(r">>([A-Za-z_-]+)<<|<2([A-Za-z_-]+)>")
"""Prefixes of a text that name the target language: `>>deu<<` (Opus-MT), `<2de>` (MADLAD-400)."""
FAMILIES = {
    "M2M100Tokenizer": ("m2m_100.tokenization_m2m_100", "m2m100", r"m2m100[_-].+"),
    "NllbTokenizer": ("nllb.tokenization_nllb", "", r"nllb-(200|moe)-.+"),
    "MBart50Tokenizer": ("mbart50.tokenization_mbart50", "", r"mbart-large-50-(many|one)-to-many-mmt"),
}
"""Class of tokenizer -> the module of `transformers` that lists its languages, the relevant part of the list, and the
names of its models."""
OPUS = re.compile(r"opus-mt-(?:tc-(?:base|big|bible-big)-)?[A-Za-z_]+-([A-Za-z_]+)")


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
    languages is assumed to translate this pair. Raises XstiltsError if it lacks one, with those that it supports.
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
    matches = [match for token in tokens if (match := form.fullmatch(token))]
    ids = (tokenizer.convert_tokens_to_ids(match[0]) for match in matches)
    usable = (m for m, i in zip(matches, ids, strict=True) if i < size and i != tokenizer.unk_token_id)
    return {next(filter(None, match.groups())): match[0] for match in usable}


def _required(names: Iterable[str], code: str, model: str, way: str) -> str:
    """The model's code of a language; of several, the one with its usual script, then of its individual language."""
    wanted = language(code)
    known = {name: entry for name in names if (entry := _language_of(name))}
    fits = [name for name, entry in known.items() if entry.code == wanted.code]
    if not fits:
        raise _unsupported({entry.code for entry in known.values()}, wanted, model, way)
    return min(fits, key=lambda n: (known[n].script != wanted.script, n.partition("_")[0] != wanted.iso639_3, n))


def _declared(stated: str | None, code: str, model: str, way: str) -> None:
    """Raises XstiltsError if a tokenizer declares its languages (`de`, `fr+es+pt_br`) and the wanted one is not among
    them. A group of languages (`gem`) may hold any."""
    declared = {entry.code for part in (stated or "").split("+") if (entry := _language_of(part))}
    wanted = language(code)
    if declared and wanted.code not in declared:
        raise _unsupported(declared, wanted, model, way)


def _unsupported(known: set[str], wanted: Language, model: str, way: str) -> XstiltsError:
    what = f"the model {model} does not translate {way} {wanted.name} ({wanted.code})"
    why = f"it supports {', '.join(sorted(known)) or 'no language of the table'}"
    return XstiltsError("unsupported", what, why, "choose one of these languages, or another model")


@cache
def _language_of(name: str) -> Language | None:
    """The language that a model's code stands for; None if the table of languages lacks it."""
    try:
        return language(name)
    except XstiltsError:
        return None


def known_targets(load: str) -> frozenset[str] | None:
    """Codes of the languages into which the model in a folder or repository translates, without loading it; None if
    neither its name nor its files reveal them, or only a group of languages (`opus-mt-en-gem`).

    >>> known_targets("Helsinki-NLP/opus-mt-en-de"), known_targets("somebody/something")
    (frozenset({'de'}), None)
    """
    path = Path(load)
    if path.is_dir():
        names = _names_in_folder(path)
    elif path.name == "mbart-large-50-many-to-one-mmt":
        names = ["en"]
    elif single := OPUS.fullmatch(path.name):
        names = [single[1]]
    else:
        names = next((_listed(kind) for kind, (*_, form) in FAMILIES.items() if re.fullmatch(form, path.name)), [])
    return frozenset(entry.code for name in names if (entry := _language_of(name))) or None


def _names_in_folder(folder: Path) -> list[str]:
    """The model's codes by the tokenizer's files: tokens that name languages and have an embedding, else the family's
    list, else the language that the tokenizer declares."""
    settings, size = _read(folder / "tokenizer_config.json"), _read(folder / "config.json").get("vocab_size", 0)
    kind = str(settings.get("tokenizer_class", "")).removesuffix("Fast")
    if kind == "MarianTokenizer":
        prefixes = [match[1] or match[2] for match in map(PREFIX.fullmatch, _read(folder / "vocab.json")) if match]
        return prefixes or str(settings.get("target_lang") or "").split("+")
    if kind not in FAMILIES or settings.get("language_codes", "m2m100") != "m2m100":
        return []
    added = _read(folder / "tokenizer.json").get("added_tokens", [])
    named = [match[1] for token in added if token["id"] < size and (match := CODED.fullmatch(token["content"]))]
    return named or _listed(kind)


@cache
def _listed(kind: str) -> list[str]:
    """The languages of a family as `transformers` lists them."""
    module, part, _ = FAMILIES[kind]
    listed = import_module(f"transformers.models.{module}").FAIRSEQ_LANGUAGE_CODES
    return list(listed[part] if part else listed)


def _read(file: Path) -> dict[str, Any]:
    """The object in a JSON file, {} if it cannot be read: loading the model reports that."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
