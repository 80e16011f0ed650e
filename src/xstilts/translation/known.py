"""Which languages a model is known to translate into before it is loaded: what its name or the files beside its weights
tell of its family. Nothing is fetched, and torch is not needed."""

import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from xstilts.translation.codes import CODED, PREFIX, meant

TABLES = {
    "m2m100": ("m2m_100.tokenization_m2m_100", "m2m100"),
    "nllb": ("nllb.tokenization_nllb", ""),
    "mbart50": ("mbart50.tokenization_mbart50", ""),
}
"""Family -> the module of `transformers` that lists its languages, and the part of the list that is meant."""
NAMES = {
    "m2m100": re.compile(r"m2m100[_-].+"),
    "nllb": re.compile(r"nllb-(200|moe)-.+"),
    "mbart50": re.compile(r"mbart-large-50-(many|one)-to-many-mmt"),
}
TO_ENGLISH = "mbart-large-50-many-to-one-mmt"
OPUS = re.compile(r"opus-mt-(?:tc-(?:base|big|bible-big)-)?[A-Za-z_]+-([A-Za-z_]+)")
TOKENIZERS = {"M2M100Tokenizer": "m2m100", "NllbTokenizer": "nllb", "MBart50Tokenizer": "mbart50"}


def known_targets(load: str) -> frozenset[str] | None:
    """Codes of the languages that the translation model in a folder or a repository is known to translate into; None
    where neither name nor files tell its family, or only a group of languages (`opus-mt-en-gem`)."""
    place = Path(load)
    theirs = _of_folder(place) if place.is_dir() else _of_name(place.name)
    return frozenset(found.code for code in theirs if (found := meant(code))) or None


def _of_name(name: str) -> list[str]:
    """Codes of theirs, none where the name tells nothing."""
    if name == TO_ENGLISH:
        return ["en"]
    if single := OPUS.fullmatch(name):
        return [single[1]]
    return next((_table(family) for family, form in NAMES.items() if form.fullmatch(name)), [])


def _of_folder(folder: Path) -> list[str]:
    """Codes of theirs by the tokenizer's files: the tokens that name languages and have an embedding, else the family's
    list, else the language that the tokenizer says it was made for."""
    told, size = _read(folder / "tokenizer_config.json"), _read(folder / "config.json").get("vocab_size", 0)
    kind = str(told.get("tokenizer_class", "")).removesuffix("Fast")
    if kind == "MarianTokenizer":
        vocabulary = _read(folder / "vocab.json")
        prefixes = [match[1] or match[2] for token in vocabulary if (match := PREFIX.fullmatch(token))]
        return prefixes or str(told.get("target_lang") or "").split("+")
    if kind not in TOKENIZERS or told.get("language_codes", "m2m100") != "m2m100":
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
    """What a JSON file says; nothing where there is none that can be read: loading the model will tell."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
