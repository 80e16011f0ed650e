"""Read predictions and gold labels in the formats that other tools write."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from xstilts.data.line_formats import table_rows
from xstilts.data.record_formats import RECORD_READERS, invalid_text, unique_keys
from xstilts.data.tagged_formats import DOCUMENT
from xstilts.data.text_lines import lines
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import FileSource
from xstilts.tasks.task import BadRow

COLUMNS = ("id", "prediction", "gold", "language", "seed", "cluster", "tokens")
"""What a column of a record may be; `--columns` renames them."""
RENAMED = {
    "prediction": {"id", "language", "seed"},
    "gold": {"id", "cluster"},
    "both": {"id", "language", "seed", "cluster"},
}
"""The columns that a file of each role must have if `--columns` names them."""
TAGGED, SQUAD = "CoNLL", "SQuAD"
TAB, SPACES = re.compile("\t"), re.compile("[ \t]+")
Label = str | tuple[str, ...]
"""A label or an answer; several: the tags of a sentence, the labels of a text, or the gold answers of a question."""


@dataclass(frozen=True)
class Prediction:
    """One sentence or item of a file: `line` counts lines or records from 1; what a file does not say is None or ""."""

    line: int
    label: Label
    gold: Label | None = None
    tokens: tuple[str, ...] | None = None
    id: str | None = None
    language: str = ""
    seed: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Content:
    """What a file holds, and the format that was recognised; task_type is "" if the format does not tell it."""

    path: Path
    format: str
    task_type: str
    predictions: list[Prediction]


def read_content(path: Path, columns: Mapping[str, str], task_type: str, role: str) -> Content:
    """Read a file in the format that its name and content show.

    columns: names of columns if they differ from `COLUMNS`; task_type: "" if unknown (lists are then taken for tags);
    role: `prediction` (the gold labels are in another file), `gold` (a file of gold labels), or `both`. Raises
    XstiltsError if the file is empty, not UTF-8, broken, or of no known format.
    """
    rows = list(lines(path))
    if invalid_text("\n".join(text for _, text in rows)):
        number, bad = next((number, bad) for number, text in rows if (bad := invalid_text(text)))
        hint = "convert the file to UTF-8, for example with iconv -f LATIN1 -t UTF-8"
        raise _bad(path, number, bad.found, "files are read as UTF-8", hint)
    while rows and not rows[-1][1].strip():
        rows.pop()
    if not rows:
        raise XstiltsError("bad-file", f"{path} is empty", "it has no prediction or label", "write the file again")
    suffix, first = path.suffix.lower(), next(text for _, text in rows if text.strip())
    header = first.split("\t")
    if suffix == ".json":
        content = _json(path, columns, role)
    elif suffix in (".jsonl", ".ndjson") or _is_object(first):
        content = _content(path, "JSONL", _records(path, rows), columns, role)
    elif suffix == ".csv" or (len(header) > 1 and columns.get(_label_of(role), _label_of(role)) in header):
        content = _content(path, "CSV" if suffix == ".csv" else "TSV", _table(path), columns, role)
    else:
        content = _text(path, rows, task_type, role)
    lists_of_labels = task_type == "multilabel" and content.format != SQUAD
    return replace(content, task_type=task_type) if lists_of_labels else content


def _label_of(role: str) -> str:
    return "gold" if role == "gold" else "prediction"


def _bad(path: Path, number: int, what: str, why: str, hint: str, unit: str = "line") -> XstiltsError:
    return XstiltsError("bad-file", f"{path}, {unit} {number}: {what}", why, hint)


def _text(path: Path, rows: list[tuple[int, str]], task_type: str, role: str) -> Content:
    """Tagged words, or one label a line."""
    words = [text.strip(" \t") for _, text in rows if _is_word(text)]
    separator = TAB if all("\t" in word for word in words) else SPACES
    separated, single = len(words) < len(rows), not any(map(separator.search, words))
    if (task_type == "classification" and separator is SPACES) or (not task_type and single and not separated):
        if empty := next((number for number, text in rows if not text.strip()), 0):
            raise _bad(path, empty, "the line is empty", "each line has one label", "write a label in each line")
        if role == "both":
            raise _no_gold(path)
        labels = [Prediction(number, _label(text, path, number)) for number, text in rows]
        return Content(path, "one label a line", "classification", labels)
    if (task_type or "tagging") != "tagging" or not (separated or task_type):
        what = f"cannot tell the format of {path}"
        why = f"it has no column '{_label_of(role)}' in a first line, and no empty line between sentences"
        hint = f"name the column with --columns {_label_of(role)}=NAME, or give --task-type"
        raise XstiltsError("bad-file", what, why, hint)
    if not words:
        raise XstiltsError("bad-file", f"{path} has no word", f"all lines are {DOCUMENT}", "write the file again")
    sentences = list(_sentences(path, rows, separator, role))
    return Content(path, "tags, an empty line after each sentence" if single else TAGGED, "tagging", sentences)


def _sentences(
    path: Path, rows: list[tuple[int, str]], separator: re.Pattern[str], role: str
) -> Iterator[Prediction]:  # fmt: skip
    """Sentences of tagged words: a tag, token and tag (the last column), or with role `both` token, gold tag, tag."""
    cells = [separator.split(text.strip(" \t")) if _is_word(text) else [] for _, text in rows]
    width = Counter(map(len, filter(None, cells))).most_common(1)[0][0]
    if role == "both" and width < 3:
        raise _no_gold(path)
    document, words, first = 0, [], 0
    for (number, text), columns in zip([*rows, (0, "")], [*cells, []], strict=True):
        if columns:
            if len(columns) != width:
                why = f"most lines have {width} columns, token first and tag last"
                raise _bad(path, number, f"{len(columns)} columns", why, "fix the line, or separate columns by tabs")
            first = first or number
            words.append(columns)
            continue
        if words:
            tokens, tags, golds = (tuple(word[i] for word in words) for i in (0, -1, -2 if width > 2 else -1))
            gold, place = golds if role == "both" else None, f"document {document}" if document else ""
            yield Prediction(first, tags, gold, tokens if width > 1 else None, cluster=place)
        document, words, first = document + text.startswith(DOCUMENT), [], 0


def _is_word(text: str) -> bool:
    return bool(text) and not text.isspace() and not text.startswith(DOCUMENT)


def _no_gold(path: Path) -> XstiltsError:
    why = f"{path} has predictions only, and no --gold is given"
    return XstiltsError("bad-argument", "there are no gold labels", why, "give the files of gold labels with --gold")


def _is_object(text: str) -> bool:
    try:
        return text.lstrip().startswith("{") and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _json(path: Path, columns: Mapping[str, str], role: str) -> Content:
    """A JSON object of ids and labels, SQuAD's format for gold answers, or a list of records."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise XstiltsError("bad-file", f"{path} cannot be read as JSON", str(error), "fix the file") from None
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        items = RECORD_READERS["squad"]({"main": path}, FileSource(format="squad", files={}))
        first: dict[Any, str] = {}  # the first question of an article names it, in all translations
        questions = []
        for number, item in items:
            record: Any = item
            cluster = first.setdefault(record["group"], record["id"] or "")
            answers = _label(record["answers"], path, number, "question")
            questions.append(Prediction(number, answers, id=record["id"], cluster=cluster))
        return Content(path, SQUAD, "qa", _checked(path, questions, "question"))
    if isinstance(content, dict):
        records = [{"id": key, _label_of(role): value} for key, value in content.items()]
        return _content(path, "JSON, id to label", enumerate(records, 1), {}, role, "entry")
    records = content if isinstance(content, list) else []
    return _content(path, "JSON", enumerate(records, 1), columns, role, "record")


def _records(path: Path, rows: Iterable[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
    for number, text in rows:
        if text.strip():
            try:
                yield number, json.loads(text, object_pairs_hook=unique_keys)
            except (ValueError, RecursionError) as error:
                raise _bad(path, number, "broken JSON", str(error), "write one JSON object a line") from None


def _table(path: Path) -> Iterator[tuple[int, Any]]:
    """The rows of a table with a header, as records."""
    names: list[str] = []
    for number, cells in table_rows(path, FileSource(format="table", files={})):
        if isinstance(cells, BadRow):
            raise _bad(path, number, cells.found, f"expected {cells.expected}", "fix the line")
        if not names:
            names = [cell.strip() for cell in cells]
        elif len(cells) > 1 or cells[0].strip():
            if len(cells) != len(names):
                why = f"the header has {len(names)}"
                raise _bad(path, number, f"{len(cells)} columns", why, "fix the line, or quote cells with separators")
            yield number, dict(zip(names, cells, strict=True))


def _content(
    path: Path, form: str, records: Iterable[tuple[int, Any]], columns: Mapping[str, str], role: str, unit: str = "line"
) -> Content:
    names = {name: columns.get(name, name) for name in COLUMNS}
    needed = [*RENAMED[role] & columns.keys(), *(("prediction", "gold") if role == "both" else (_label_of(role),))]
    result = []
    for number, record in records:
        if not isinstance(record, dict):
            raise _bad(path, number, f"{record!r:.40} is no object", "each is one", "write {…} with columns", unit)
        for column in needed:
            if names[column] not in record:
                present = ", ".join(record)
                hint = did_you_mean(names[column], record) or "name the column"
                hint = f"{hint} --columns {column}=NAME" + " (or give --gold)" * (column == "gold" and role == "both")
                raise _bad(path, number, f"no column '{names[column]}'", f"it has {present or 'none'}", hint, unit)
        values = {
            name: _label(record[column], path, number, unit) for name, column in names.items() if column in record
        }
        texts = {name: values.get(name) for name in ("id", "language", "seed", "cluster")}
        if several := next((name for name, value in texts.items() if isinstance(value, tuple)), ""):
            raise _bad(path, number, f"'{several}' is a list", "it names one thing", "write text or a number", unit)
        tokens, gold = values.get("tokens"), values["gold"] if role == "both" else None
        code, seed, cluster = (str(texts[name] or "") for name in ("language", "seed", "cluster"))
        result.append(Prediction(
            number, values[_label_of(role)], gold, tokens if isinstance(tokens, tuple) else None,
            None if texts["id"] is None else str(texts["id"]), code, "" if role == "gold" else seed, cluster,
        ))  # fmt: skip
    if not result:
        why = "there is no record after a header, or in the list"
        raise XstiltsError("bad-file", f"{path} has no predictions", why, "write the file again")
    lists = any(isinstance(each.label, tuple) for each in result)
    golds = any(isinstance(each.gold, tuple) for each in result)
    kind = "tagging" if lists and role != "gold" else "qa" if golds else ""
    return Content(path, form, kind, _checked(path, result, unit))


def _checked(path: Path, predictions: list[Prediction], unit: str) -> list[Prediction]:
    """The predictions; raises XstiltsError if an id occurs twice in a language and seed, or only some have one."""
    seen: dict[tuple[str, str, str | None], int] = {}
    for each in predictions:
        key = each.language, each.seed, each.id
        if each.id is not None and key in seen:
            why, hint = f"it is also in {unit} {seen[key]}", "keep one prediction of each id, language and seed"
            raise _bad(path, each.line, f"id '{each.id}' a second time", why, hint, unit)
        seen[key] = each.line
    for before, each in pairwise(predictions):
        if (before.id is None) != (each.id is None):
            number = (before if before.id is None else each).line
            raise _bad(path, number, "no id", "others have one", "give every item an id, or none", unit)
    return predictions


def _label(value: Any, path: Path, number: int, unit: str = "line") -> Label:
    """A value as text, or a list as texts; raises XstiltsError if it is no label."""
    if isinstance(value, dict) and "text" in value:  # SQuAD's answers, in either of two forms
        value = value["text"]
    if isinstance(value, list):
        texts = [_label(each, path, number, unit) for each in value]
        return tuple(text for each in texts for text in ((each,) if isinstance(each, str) else each))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or isinstance(value, dict) or (isinstance(value, float) and not math.isfinite(value)):
        what = f"{json.dumps(value)[:40]} is no label"
        raise _bad(path, number, what, "a label is text or a whole number", "fix the prediction or label", unit)
    if isinstance(value, float):
        why, hint = "it is a number with decimals, as a score", "write the predicted label, not its score"
        raise _bad(path, number, f"{value} is no label", why, hint, unit)
    if isinstance(value, str) and (bad := invalid_text(value)):
        raise _bad(path, number, bad.found, f"expected {bad.expected}", "fix the text", unit)
    return str(value).strip()
