"""The language of each row of a table: given, in a column, or assumed from the script of the texts."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages import language
from xstilts.workflows.user_data.column_roles import LANGUAGES, by_name, columns_of, word

OPTION = "(--language COLUMN|CODE)"
SAMPLE, LETTERS = 1000, 100
"""How many texts, and letters of each, show the scripts of a data set."""
MIXED = 0.05
"""The least share of texts in another script that makes data look mixed."""
ASSUMED = {
    "LATIN": "en", "CYRILLIC": "ru", "ARABIC": "ar", "DEVANAGARI": "hi", "CJK": "zh", "HIRAGANA": "ja",
    "HANGUL": "ko", "THAI": "th", "GREEK": "el", "HEBREW": "he", "BENGALI": "bn", "TAMIL": "ta", "TELUGU": "te",
    "GEORGIAN": "ka", "ARMENIAN": "hy", "GUJARATI": "gu", "GURMUKHI": "pa", "KANNADA": "kn", "MALAYALAM": "ml",
    "SINHALA": "si", "MYANMAR": "my", "KHMER": "km", "LAO": "lo", "ETHIOPIC": "am",
}  # fmt: skip
"""Script, as Unicode names its letters → the most frequent language of labelled data in it."""


def codes_of(names: str | Sequence[str]) -> tuple[str, ...]:
    """Languages by any name, in a list or with commas between them, as codes; raises XstiltsError if there is none, or
    for a name that is unknown."""
    names = [name for name in names.split(",") if name.strip()] if isinstance(names, str) else names
    codes = tuple(dict.fromkeys(language(name).code for name in names))
    if not codes:
        hint = "name the languages in which the model will be used"
        raise XstiltsError("bad-argument", "no language is given", "a model is trained for some", hint)
    return codes


def find_language_column(table: pa.Table, wanted: str | None) -> tuple[str, list[str]]:
    """The column of languages, "" if there is none, and notes; `wanted` is a column or a language.

    A column is only inferred if it has the name of one and its values are known languages. Raises XstiltsError if
    `wanted` is neither a column nor a language, or if only some values of the column are known.
    """
    if wanted:
        if wanted in table.column_names:
            return wanted, []
        try:
            language(wanted)
        except XstiltsError as error:
            hint = did_you_mean(wanted, table.column_names) or error.hint
            what = f"'{wanted}' is neither a column nor a language"
            raise XstiltsError("unknown-name", what, columns_of(table), hint) from None
        return "", []
    notes = []
    for name in by_name(table, LANGUAGES):
        if not pa.types.is_nested(table.schema.field(name).type):
            try:
                _codes(table, name)
            except XstiltsError as error:
                if _some_known(table, name):
                    hint = "fix the row, or name another column or the language of all rows with --language"
                    raise XstiltsError("bad-row", error.what, error.why, hint) from None
                notes.append(f"column {name} is not used as the language: {error.what}")
            else:
                return name, []
    return "", notes


def _some_known(table: pa.Table, column: str) -> bool:
    """Whether at least half of the different values of a column are languages."""
    values = [word(value) for value in table[column].unique().to_pylist()]
    known = 0
    for value in values:
        with suppress(XstiltsError):
            known += bool(language(value))
    return 2 * known >= len(values)


def _codes(table: pa.Table, column: str) -> list[str]:
    """The codes of a column of languages; raises XstiltsError with the first row that has none."""
    known: dict[str, str] = {}
    codes = []
    for row, value in enumerate(table[column].to_pylist(), 1):
        name = word(value)
        try:
            codes.append(known.get(name) or known.setdefault(name, language(name).code))
        except XstiltsError as error:
            what, why = f"row {row:,} has '{name}'", f"column '{column}' must name a language in each row"
            raise XstiltsError("bad-row", what, why, error.hint) from None
    return codes


def row_languages(
    table: pa.Table, column: str, wanted: str | None, texts: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The language code of each row, and notes; without a column or `wanted`, one is assumed by the script of texts.

    >>> table = pa.table({"text": ["ดีมาก", "แย่มาก"]})
    >>> row_languages(table, "", None, table["text"].to_pylist())
    (['th', 'th'], ['language: th, all rows, assumed from the script (--language COLUMN|CODE)'])
    """
    if column:
        codes = _codes(table, column)
        distinct = list(dict.fromkeys(codes))
        shown = ", ".join(distinct[:10]) + (", …" if len(distinct) > 10 else "")
        note = f"language ← {column} ({shown})" if len(distinct) > 1 else f"language: {shown}, all rows ← {column}"
        return codes, [note]
    if wanted:
        return [language(wanted).code] * len(table), [f"language: {language(wanted).code}, all rows"]
    shares = scripts(texts)
    code = ASSUMED.get(next(iter(shares), "LATIN"), "en")
    notes = [f"language: {code}, all rows, assumed from the script {OPTION}"]
    if sum(share >= MIXED for share in shares.values()) > 1:
        shown = ", ".join(f"{name.title()} {share:.0%}" for name, share in shares.items() if share >= MIXED)
        notes.append(f"texts are in several scripts ({shown}): name the column of their languages with --language")
    return [code] * len(table), notes


def scripts(texts: Sequence[str]) -> dict[str, float]:
    """The share of texts by the script of most of their letters, the largest first, from a sample.

    >>> scripts(["Nzuri sana", "Mbaya sana", "хорошо", "12"])
    {'LATIN': 0.6666666666666666, 'CYRILLIC': 0.3333333333333333}
    """
    counts: Counter[str] = Counter()
    for text in texts[:: max(1, len(texts) // SAMPLE)]:
        letters = [char for char in text[: 4 * LETTERS] if char.isalpha()][:LETTERS]
        names = Counter(unicodedata.name(char, "").partition(" ")[0] for char in letters)
        names["HIRAGANA"] += names.pop("KATAKANA", 0)
        if names["HIRAGANA"]:  # Japanese: kana among Chinese characters
            names["HIRAGANA"] += names.pop("CJK", 0)
        if letters:
            counts[names.most_common(1)[0][0]] += 1
    return {name: count / counts.total() for name, count in counts.most_common()}
