"""Look languages up: one table, many codes and names."""

import csv
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from xstilts.errors import XstiltsError, did_you_mean

DATA = Path(__file__).parent / "uriel"

BENCHMARK_LANGUAGES = 50
"""Languages of XTREME and XTREME-R, the first of the table."""


@dataclass(frozen=True)
class Language:
    """A language, as the package names it everywhere; empty or None means unknown.

    `code` is the ISO 639-1 code if there is one, else ISO 639-3, as XTREME writes it. `iso639_3` is the individual
    language behind it and `uriel` the row of its features, often that of the macrolanguage, or empty: then distances by
    features are unknown. `script` is an ISO 15924
    code; `latitude` and `longitude` are the degrees of a point in the middle of the area.
    """

    code: str
    name: str
    iso639_3: str
    uriel: str
    glottocode: str
    script: str
    family: str
    latitude: float | None
    longitude: float | None


@cache
def all_languages() -> tuple[Language, ...]:
    """Every language of ISO 639-3: the fifty of XTREME and XTREME-R, those with features by code, then the others."""
    with (DATA / "languages.csv").open(encoding="utf-8", newline="") as file:
        rows: list[list[Any]] = list(csv.reader(file))[1:]
    return tuple(Language(*row[:7], *(float(degrees) if degrees else None for degrees in row[7:])) for row in rows)


@cache
def _by_code() -> dict[str, Language]:
    """Lower-case code of any standard -> language; a language's own code beats another's ISO or URIEL code."""
    index: dict[str, Language] = {}
    for attribute in ("code", "iso639_3", "uriel", "glottocode"):
        for entry in all_languages():
            index.setdefault(getattr(entry, attribute), entry)
    index.pop("", None)
    for alias, code in _pairs("aliases"):
        index.setdefault(alias, index[code])
    return index


@cache
def _by_name() -> dict[str, dict[str, Language]]:
    """Case-folded name, also others and those in the language itself -> languages by code."""
    index: dict[str, dict[str, Language]] = {}
    for entry in all_languages():
        for name in {entry.name, entry.name.partition(" (")[0]}:
            same = index.setdefault(name.casefold(), {})
            if entry.uriel or not any(other.uriel for other in same.values()):  # a documented language is meant
                same[entry.code] = entry
    codes = _by_code()
    for name, code in _pairs("names"):  # what is one language's first name is not another's second
        index.setdefault(name.casefold(), {code: codes[code]})
    return index


def _pairs(table: str) -> list[list[str]]:
    """The rows of `aliases` or `names`: another code or name, and the code that it stands for."""
    with (DATA / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def language(query: str) -> Language:
    """The language with a code of any standard, a tag with script or region, an alias or an English name.

    A script in the tag replaces the usual one (`zh_Hant`); a region is ignored (`sw-KE`). A lower-case code beats a
    name: `ga` is Irish, but `Ga`, which is also the name of a language, is ambiguous. Raises XstiltsError if no or more
    than one language fits.

    >>> language("Swahili").code, language("iw").code, language("zh_Hant").script
    ('sw', 'he', 'Hant')
    """
    text = query.strip()
    code = _tagged(text)
    named = _by_name().get(text.casefold(), {})
    if code is not None and (text == text.lower() or named.keys() <= {code.code}):
        return code
    matches = ({code.code: code} if code else {}) | named
    if len(matches) == 1:
        return next(iter(matches.values()))
    if matches:
        why = "it may be " + ", ".join(f"{entry.code} ({entry.name})" for entry in matches.values())
        raise XstiltsError("unknown-name", f"'{query}' names more than one language", why, "write the code")
    guess = did_you_mean(text.casefold(), _by_name()) if len(text) > 3 else ""  # two short codes are always close
    hint = guess or "write an ISO 639 code, a Glottocode or the name"
    why = "it is neither a code nor a name in the table of languages"
    raise XstiltsError("unknown-name", f"unknown language '{query}'", why, hint)


def _tagged(text: str) -> Language | None:
    """The language of a bare code or of a tag `language[-Script][-REGION]`, or None."""
    index = _by_code()
    if (plain := index.get(text.lower())) is not None:
        return plain
    tag = re.fullmatch(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_](?:[A-Za-z]{2}|[0-9]{3}))?", text)
    if tag is None or (entry := index.get(tag[1].lower())) is None:
        return None
    return replace(entry, script=tag[2].title()) if tag[2] else entry
