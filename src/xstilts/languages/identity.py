"""Which language is meant: one table, many spellings."""

import csv
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from xstilts.errors import XstiltsError, did_you_mean

DATA = Path(__file__).parent / "uriel"

# Codes that data sets, older standards or neighbouring standards use for a language of the table.
ALIASES = {
    "fil": "tl",
    "in": "id",
    "iw": "he",
    "ji": "yi",
    "jw": "jv",
    "mo": "ro",
}


@dataclass(frozen=True)
class Language:
    """A language, as the package names it everywhere.

    `code` is the ISO 639-1 code where there is one, else ISO 639-3, as XTREME writes it; `iso639_3` is the individual
    language behind it and `uriel` the row that its features come from, often that of the macrolanguage. `script` is an
    ISO 15924 code, `latitude` and `longitude` are degrees of a point in the middle of the area. Empty or None: not
    known.
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
    """Every language of the table: the fifty of XTREME and XTREME-R first, then the others by code."""
    with (DATA / "languages.csv").open(encoding="utf-8", newline="") as file:
        return tuple(_read(row) for row in list(csv.reader(file))[1:])


def _read(row: list[str]) -> Language:
    code, name, iso639_3, uriel, glottocode, script, family, *point = row
    latitude, longitude = (float(text) if text else None for text in point)
    return Language(code, name, iso639_3, uriel, glottocode, script, family, latitude, longitude)


@cache
def _by_code() -> dict[str, Language]:
    """Lower-case code of any standard -> language; a language's own code beats another's ISO or URIEL code."""
    known = all_languages()
    index: dict[str, Language] = {}
    for attribute in ("code", "iso639_3", "uriel", "glottocode"):
        for one in known:
            index.setdefault(getattr(one, attribute), one)
    index.pop("", None)
    for alias, code in ALIASES.items():
        index.setdefault(alias, index[code])
    return index


@cache
def _by_name() -> dict[str, tuple[Language, ...]]:
    """Case-folded name -> languages, both with its remark in brackets and without."""
    index: dict[str, dict[str, Language]] = {}
    for one in all_languages():
        for name in {one.name, one.name.partition(" (")[0]}:
            index.setdefault(name.casefold(), {})[one.code] = one
    return {name: tuple(meant.values()) for name, meant in index.items()}


def language(query: str) -> Language:
    """The language meant by a code of any standard, a tag with script or region, an alias or an English name.

    A script in the tag replaces the usual one (`zh_Hant`); a region is accepted and ignored (`sw-KE`). A code in
    lower case beats a name: `ga` is Irish, while `Ga`, which is also the name of a language, is ambiguous.
    Raises XstiltsError where nothing or more than one language fits, naming the candidates.
    """
    text = query.strip()
    code = _tagged(text)
    named = _by_name().get(text.casefold(), ())
    if code is not None and (text == text.lower() or all(one.code == code.code for one in named)):
        return code
    meant = {one.code: one for one in ((code,) if code else ()) + named}
    if len(meant) == 1:
        return next(iter(meant.values()))
    if meant:
        options = ", ".join(f"{one.code} ({one.name})" for one in meant.values())
        raise XstiltsError(
            "bad-argument", f"'{query}' names more than one language", f"It may be {options}.", "Write the code."
        )
    spellings = [*_by_name(), *_by_code()] if len(text) > 3 else [one.code for one in all_languages()]
    hint = did_you_mean(text.casefold(), spellings) or "Write an ISO 639 code, a Glottocode or the English name."
    why = "No code and no English name in the table of languages is spelt so."
    raise XstiltsError("unknown-name", f"Unknown language '{query}'", why, hint[0].upper() + hint[1:])


def _tagged(text: str) -> Language | None:
    """The language of a bare code or of a tag `language[-Script][-REGION]`, or None."""
    index = _by_code()
    if (plain := index.get(text.lower())) is not None:
        return plain
    tag = re.fullmatch(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_](?:[A-Za-z]{2}|[0-9]{3}))?", text)
    if tag is None or (found := index.get(tag[1].lower())) is None:
        return None
    return replace(found, script=tag[2].title()) if tag[2] else found
