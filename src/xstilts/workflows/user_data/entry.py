"""The entry of a task that reads a file which no entry names: format, columns and labels as they are inferred."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.data.text_lines import raw_lines, suffix
from xstilts.errors import XstiltsError
from xstilts.workflows.user_data.column_roles import Roles, find_roles, free_text, natural
from xstilts.workflows.user_data.kinds import KINDS
from xstilts.workflows.user_data.row_languages import OPTION, find_language_column, row_languages
from xstilts.workflows.user_data.tables import SQUAD, format_of, read_table
from xstilts.workflows.user_data.task_examples import cells_of, ids_of, tag_set
from xstilts.workflows.user_data.text_files import delimiter_of, tagged_source
from xstilts.workflows.user_data.user_task import role_notes

NAME, SPLIT = "mine", "test"


def infer_entry(path: Path, language: str = "") -> tuple[dict[str, Any], list[str]]:
    """The entry of a task that has a file as its test split, and notes about what was inferred.

    The rows need not be enough to train on. language: the language of all rows; without it, one is assumed by their
    script. Raises XstiltsError if the format, the texts or the labels are unclear, or if rows are in several languages.
    """
    form = format_of(path)
    table = read_table(path)
    if form == "json" and next(raw_lines(path)).lstrip().startswith(b"{"):
        form = "squad" if table.schema.equals(SQUAD) else "jsonl"
    column, _ = find_language_column(table, language or None)
    source: dict[str, Any] = {"format": form, "files": {SPLIT: path.name}}
    if form == "text":
        codes, notes = row_languages(table, column, language or None, table["text"].to_pylist())
        return _entry("mlm", codes, source | {"format": "lines"}, [], []), notes
    try:
        roles = find_roles(table, None, None, None, column)
    except XstiltsError:
        if form != "table" or not (numbered := _without_header(table)):
            raise
        table, roles = numbered
    cells = {role: cells_of(table, role, names, roles.kind) for role, names in roles.columns.items()}
    kind = KINDS[roles.kind]
    shown = next(role for role in ("text_a", "tokens", "question", "context") if role in cells)
    samples = [" ".join(value) if isinstance(value, list) else value or "" for value in cells[shown]]
    codes, notes = row_languages(table, column, language or None, samples)
    if len(set(codes)) > 1:
        why, hint = f"column '{column}' names {', '.join(sorted(set(codes)))}", "write one file for each language"
        raise XstiltsError("unsupported", f"{path} has rows in several languages", why, hint)
    values = [value for value in cells[kind.gold] if value is not None] if kind.gold in ("label", "tags") else []
    found = {name for value in values for name in (value if isinstance(value, list) else [value])} - {""}
    words = tag_set(found) if roles.kind == "tagging" else tuple(sorted(found, key=natural))
    if roles.kind == "multilabel" and len(roles.columns["label"]) > 1:
        why, hint = f"the columns are {', '.join(roles.columns['label'])}", "write labels in one column: joy|fear"
        raise XstiltsError("unsupported", f"{path} has a column for each label", why, hint)
    labels = [] if roles.kind == "choice" and all(name.isdigit() for name in words) else list(words)
    ids = [note.partition(" ← ")[2] for note in ids_of(table)[1]]
    named = {role: list(names) if len(names) > 1 else names[0] for role, names in roles.columns.items()}
    if form == "table":
        delimiter, quoted = delimiter_of(path)
        if delimiter != ("comma" if suffix(path) == ".csv" else "tab"):
            source["delimiter"] = delimiter
        if quoted != (delimiter != "tab"):
            source["quoted"] = quoted
    if form == "tagged" and (tagged := tagged_source(path)) and tagged.columns:
        source["columns"] = dict(tagged.columns)
    elif form not in ("tagged", "conllu", "squad"):
        header = any(not name.isdigit() for name in table.column_names)
        columns = {**({"id": ids[0]} if ids else {}), **named}
        source["columns"] = columns if header else {role: int(str(name)) for role, name in columns.items()}
    return _entry(kind.type, codes, source, labels, list(kind.metrics)), [
        *role_notes(roles, words),
        *(note.replace(OPTION, "(--languages CODE)") for note in notes),
    ]


def _without_header(table: pa.Table) -> tuple[pa.Table, Roles] | None:
    """A table whose first row is no header, with numbers from 0 as names, and its roles; None if these are unclear."""
    first = pa.table([[name] for name in table.column_names], list(map(str, range(table.num_columns))))
    numbered = pa.concat_tables([first, table.rename_columns(first.column_names)])
    texts = [name for name in numbered.column_names if free_text(numbered, name)]
    try:
        roles = find_roles(numbered, texts, None, None, "") if len(texts) in (1, 2) else None
    except XstiltsError:
        return None
    return (numbered, roles) if roles else None


def _entry(
    kind: str, codes: list[str], source: dict[str, Any], labels: list[str], metrics: list[str]
) -> dict[str, Any]:
    lists = {"labels": labels, "languages": list(dict.fromkeys(codes)), "metrics": metrics}
    return {"type": kind, **{name: values for name, values in lists.items() if values}, "source": source}
