"""Labelled rows by language, to score on or to train on: files by language, or one with a column of languages."""

import re
from collections.abc import Mapping, Sequence
from glob import escape, glob
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.workflows.user_data.column_roles import columns_of
from xstilts.workflows.user_data.row_languages import find_language_column
from xstilts.workflows.user_data.tables import read_table
from xstilts.workflows.user_data.user_task import UserTask, understand

LabelledData = Any
"""A pattern of file names with `{lang}`, a mapping of languages to data, data with a column of languages, or None."""


def labelled(
    source: LabelledData, languages: Sequence[str], kind: str, columns: Mapping[str, str], labels: Sequence[str],
    language_column: str = "", also: str = "",
) -> tuple[dict[str, pa.Table], list[str]]:  # fmt: skip
    """The labelled rows of each of `languages` that has some, and notes about them.

    Rows have the columns and labels of the training data, whose column of languages is `language_column`; if a file
    lacks these columns, its own are inferred. `also` is a language in which rows are not needed but taken if they are
    there. Without a language in the file's name or rows, they are in the only one of `languages`. Raises XstiltsError
    if rows are of no known language, or not as those of the training data.
    """
    tables: dict[str, pa.Table] = {}
    notes: list[str] = []
    codes = [*languages, *filter(None, [also])]
    for code, data in _by_language(source, codes).items():
        task = _understood(data, kind, columns, labels, code or _language_of(data, languages, language_column))
        where = code or "the labelled rows"
        if task.columns != columns:
            named = ", ".join(f"{role} ← {name}" for role, name in task.columns.items())
            notes.append(f"columns of {where}: {named}")
        notes += [f"{where}: {note}" for note in task.notes if note.startswith("left out")]
        for name in dict.fromkeys(task.examples["language"].to_pylist()):
            if name in codes:
                tables[name] = task.examples.filter(pc.equal(task.examples["language"], name))
            else:
                notes.append(f"rows in {name} are not used: the model is for {', '.join(languages)}")
    if source is not None and not tables:
        why, hint = f"the languages are {', '.join(codes)}", "name the column of languages `language`, or use {lang}"
        raise XstiltsError("missing-file", "there are no labelled rows in these languages", why, hint)
    return {code: tables[code] for code in codes if code in tables}, notes


def _understood(table: pa.Table, kind: str, columns: Mapping[str, str], labels: Sequence[str], given: str) -> UserTask:
    """The rows of a table as those of the training data; raises XstiltsError if it has no columns for them."""
    try:
        return understand(table, kind=kind, columns=columns, labels=labels, language=given)
    except XstiltsError as error:
        if error.kind != "bad-argument":
            raise
        what = f"the labelled rows lack the columns {', '.join(columns.values())}"
        hint = "name them in the first line, as in the training data"
        raise XstiltsError("bad-argument", what, columns_of(table), hint) from None


def _language_of(table: pa.Table, languages: Sequence[str], column: str) -> str:
    """The column of the rows' languages, or the only language that they can be in; raises XstiltsError if both are
    missing."""
    if column in table.column_names:
        return column
    if inferred := find_language_column(table, None)[0]:
        return inferred
    if len(languages) == 1:
        return languages[0]
    why, hint = f"they may be in {', '.join(languages)}", "add a column `language`, or write {lang} in the file's name"
    raise XstiltsError("bad-argument", "the labelled rows do not say their language", why, hint)


def _by_language(source: LabelledData, codes: Sequence[str]) -> dict[str, pa.Table]:
    """Tables by language, or by "" if the rows may say their language."""
    if source is None:
        return {}
    if isinstance(source, Mapping):
        return {language(code).code: read_table(data) for code, data in source.items()}
    if not isinstance(source, str | Path) or "{lang}" not in str(source):
        return {"": read_table(source)}
    return {code: read_table(path) for code, path in _files(str(source), codes).items()}


def files_by_language(pattern: str) -> dict[str, dict[str, Path]]:
    """Code → what stands for `{lang}` → the files that fit a pattern; `{lang}` is any code or name of a language."""
    parts = pattern.split("{lang}")
    named = re.compile(re.escape(parts[0]) + "([^/]+)" + r"\1".join(map(re.escape, parts[1:])))
    matching: dict[str, dict[str, Path]] = {}
    for path in sorted(glob("*".join(map(escape, parts)))):  # noqa: PTH207  (a pattern may be absolute)
        if (match := named.fullmatch(path)) and (code := _code(match[1])):
            matching.setdefault(code, {})[match[1]] = Path(path)
    return matching


def _files(pattern: str, codes: Sequence[str]) -> dict[str, Path]:
    """The file of each language that has one: `{lang}` stands for any code or name of it, such as sw or swh_Latn."""
    matching = {code: paths for code, paths in files_by_language(pattern).items() if code in codes}
    for code, paths in matching.items():
        if len(paths) > 1 and code not in paths:
            what = f"several files for {code}: {', '.join(map(str, paths.values()))}"
            hint = "write the pattern so that only one fits"
            raise XstiltsError("inconsistent", what, "the labelled rows of a language are in one file", hint)
    if not matching:
        what, why = f"no file fits '{pattern}'", f"{{lang}} stands for one of {', '.join(codes)}"
        raise XstiltsError("missing-file", what, why, "check the pattern")
    return {code: paths.get(code) or next(iter(paths.values())) for code, paths in matching.items()}


def _code(name: str) -> str:
    """The code of a language, "" for a word that names none."""
    try:
        return language(name).code
    except XstiltsError:
        return ""
