"""Target languages of translation models, from their names or configuration files: nothing is downloaded or loaded."""

import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from xstilts.translation.codes import CODED, PREFIX, language_of

TABLES = {
    "m2m100": ("m2m_100.tokenization_m2m_100", "m2m100"),
    "nllb": ("nllb.tokenization_nllb", ""),
    "mbart50": ("mbart50.tokenization_mbart50", ""),
}
"""Family -> the module of `transformers` that lists its languages, and the relevant part of the list."""
NAMES = {
    "m2m100": re.compile(r"m2m100[_-].+"),
    "nllb": re.compile(r"nllb-(200|moe)-.+"),
    "mbart50": re.compile(r"mbart-large-50-(many|one)-to-many-mmt"),
}
TO_ENGLISH = "mbart-large-50-many-to-one-mmt"
OPUS = re.compile(r"opus-mt-(?:tc-(?:base|big|bible-big)-)?[A-Za-z_]+-([A-Za-z_]+)")
TOKENIZERS = {"M2M100Tokenizer": "m2m100", "NllbTokenizer": "nllb", "MBart50Tokenizer": "mbart50"}


def known_targets(load: str) -> frozenset[str] | None:
    """Codes of the languages into which the model in a folder or repository translates; None if neither its name nor
    its files reveal them, or only a group of languages (`opus-mt-en-gem`).

    >>> known_targets("Helsinki-NLP/opus-mt-en-de"), known_targets("somebody/something")
    (frozenset({'de'}), None)
    """
    place = Path(load)
    names = _of_folder(place) if place.is_dir() else _of_name(place.name)
    return frozenset(entry.code for name in names if (entry := language_of(name))) or None


def _of_name(name: str) -> list[str]:
    """The model's codes by its name; none if the name is not of a known family."""
    if name == TO_ENGLISH:
        return ["en"]
    if single := OPUS.fullmatch(name):
        return [single[1]]
    return next((_table(family) for family, form in NAMES.items() if form.fullmatch(name)), [])


def _of_folder(folder: Path) -> list[str]:
    """The model's codes by the tokenizer's files: tokens that name languages and have an embedding, else the family's
    list, else the language that the tokenizer declares."""
    settings, size = _read(folder / "tokenizer_config.json"), _read(folder / "config.json").get("vocab_size", 0)
    kind = str(settings.get("tokenizer_class", "")).removesuffix("Fast")
    if kind == "MarianTokenizer":
        vocabulary = _read(folder / "vocab.json")
        prefixes = [match[1] or match[2] for token in vocabulary if (match := PREFIX.fullmatch(token))]
        return prefixes or str(settings.get("target_lang") or "").split("+")
    if kind not in TOKENIZERS or settings.get("language_codes", "m2m100") != "m2m100":
        return []
    added = _read(folder / "tokenizer.json").get("added_tokens", [])
    named = [match[1] for token in added if token["id"] < size and (match := CODED.fullmatch(token["content"]))]
    return named or _table(TOKENIZERS[kind])


@cache
def _table(family: str) -> list[str]:
    """The languages of a family as `transformers` lists them."""
    module, part = TABLES[family]
    listed = import_module(f"transformers.models.{module}").FAIRSEQ_LANGUAGE_CODES
    return list(listed[part] if part else listed)


def _read(file: Path) -> dict[str, Any]:
    """The object in a JSON file, {} if it cannot be read: loading the model reports that."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
