"""Read user data into Arrow tables: files of common formats, and objects of common libraries."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.data.line_formats import READERS
from xstilts.data.record_formats import Item, invalid_text
from xstilts.data.text_lines import suffix
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import FileSource
from xstilts.tasks.task import BadRow, Record
from xstilts.workflows.user_data.text_files import decode_lines, lines_of, table_rows, tagged_source

BATCH = 10_000
TAGGED = pa.schema([("tokens", pa.list_(pa.string())), ("tags", pa.list_(pa.string()))])
ANSWERS = pa.list_(pa.struct([("text", pa.string()), ("answer_start", pa.int64())]))
SQUAD = pa.schema([*((name, pa.string()) for name in ("id", "context", "question")), ("answers", ANSWERS)])
FORMATS = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), "table"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".conll", ".bio", ".bioes", ".iob", ".iob1", ".iob2"), "tagged"),
    ".json": "json",
    ".conllu": "conllu",
    ".txt": "text",
}
CONVERSIONS = (pa.ArrowException, OverflowError, TypeError, ValueError, RecursionError)
"""What Arrow raises for values that do not fit in one column."""


def read_table(data: Any) -> pa.Table:
    """The columns of a file or an object, with the types that its format has; the cells of CSV and TSV are text.

    data: the path of a CSV, TSV, JSONL, JSON (a list of objects, or SQuAD), Parquet, CoNLL, CoNLL-U or text file; a
    pandas DataFrame; a `datasets.Dataset`, whose class labels become words; a mapping of columns; a list of
    dictionaries; or an Arrow table. CoNLL has the columns `tokens` and `tags`, SQuAD `id`, `context`, `question` and
    `answers`, a text file `text`. Raises XstiltsError for anything that cannot be read as it is, with the place.

    >>> read_table([{"text": "Nzuri", "stars": 5}, {"text": "Mbaya", "stars": 1}]).to_pydict()
    {'text': ['Nzuri', 'Mbaya'], 'stars': [5, 1]}
    """
    if isinstance(data, str | Path):
        return _concatenated(list(read_batches(data)), str(data))
    table = _plain_columns(_table_of(data))
    if not len(table) or not table.num_columns:
        what = "the data have no rows" if table.num_columns else "the data have no columns"
        raise XstiltsError("bad-argument", what, "there is nothing to read", "check how they were made")
    return table


def read_batches(path: str | Path, size: int = BATCH) -> Iterator[pa.Table]:
    """Yield the rows of a file as tables of `size` rows, the last one smaller, by the rules of `read_table`.

    Memory does not grow with the file, except for JSON, which is read at once. `-` is standard input, a text a line.
    Lines of text are rows even if they are empty. A column of JSONL has the type of its values in each table.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "new.csv"
    >>> _ = file.write_text('id,text\\n1,"Nzuri, sana"\\n2,Mbaya\\n')
    >>> [batch.to_pydict() for batch in read_batches(file, size=1)]
    [{'id': ['1'], 'text': ['Nzuri, sana']}, {'id': ['2'], 'text': ['Mbaya']}]
    """
    if size < 1:
        raise XstiltsError("bad-argument", f"batches of {size} rows", "a batch has at least one row", "raise `size`")
    if str(path) == "-":
        first = next(batches := _text_batches(decode_lines(sys.stdin.buffer, "standard input"), size), None)
        if first is None:
            why, hint = "one text a line is expected", "check the command that writes it"
            raise XstiltsError("bad-file", "standard input is empty", why, hint)
        yield from chain([first], batches)
        return
    path = Path(path)
    name = format_of(path)
    batches = {
        "table": lambda: _table_batches(path, size),
        "jsonl": lambda: _record_batches(_json_lines(path), str(path), size),
        "json": lambda: _json_batches(path, size),
        "parquet": lambda: _parquet_batches(path, size),
        "tagged": lambda: _record_batches(_read("tagged", path), str(path), size, TAGGED),
        "conllu": lambda: _record_batches(_read("conllu", path), str(path), size, TAGGED),
        "text": lambda: _text_batches(lines_of(path), size),
    }[name]()
    first = next(batches, None)
    if first is None or not first.num_columns:
        why = "the file is empty" if not path.stat().st_size else "there is at most a header"
        raise XstiltsError("bad-file", f"{path} has no rows", why, "check how the file was made")
    yield from chain([first], batches)


def format_of(path: Path) -> str:
    """The format of a file, by its name; files named as tables or text may be CoNLL, which their lines show."""
    if not path.is_file():
        if path.is_dir():
            hint = "name one file; open a saved data set with datasets.load_from_disk and pass it in Python"
            raise XstiltsError("bad-file", f"{path} is a folder", "data are read from one file", hint)
        names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, names) or "check the path"
        raise XstiltsError("missing-file", f"there is no file {path}", "data are read from it", hint)
    name = FORMATS.get(suffix(path), "")
    if not name:
        why, hint = f"the name must end in one of {', '.join(FORMATS)}", "rename the file, or save it as CSV in UTF-8"
        raise XstiltsError("bad-file", f"cannot tell the format of {path}", why, hint)
    return "tagged" if name in ("table", "text") and tagged_source(path) else name


def _table_batches(path: Path, size: int) -> Iterator[pa.Table]:
    rows = table_rows(path)
    names = next(rows, [])
    yield from _columns_of_rows(rows, names, size)


def _text_batches(lines: Iterator[str], size: int) -> Iterator[pa.Table]:
    yield from _columns_of_rows(([line.rstrip("\r\n")] for line in lines), ["text"], size)


def _columns_of_rows(rows: Iterator[list[str]], names: list[str], size: int) -> Iterator[pa.Table]:
    while batch := list(islice(rows, size)):
        yield pa.table([pa.array(cells, pa.string()) for cells in zip(*batch, strict=True)], names)


def _json_lines(path: Path) -> Iterator[Record]:
    for number, line in enumerate(lines_of(path), 1):
        if line.strip():
            record = _parse(line, f"{path}, line {number}", "bad-row")
            if not isinstance(record, dict):
                what, why = (
                    f"{path}, line {number}: {line.strip():.40} is not an object",
                    "JSON Lines has one object per line",
                )
                raise XstiltsError("bad-row", what, why, 'write rows as {"text": "…", "label": "…"}')
            yield record


def _json_batches(path: Path, size: int) -> Iterator[pa.Table]:
    """Tables of a list of objects or of SQuAD, or of an object on each line."""
    first = list(islice((line for line in lines_of(path) if line.strip()), 2))
    if len(first) == 2 and all(line.startswith("{") and line.rstrip().endswith("}") for line in first):
        yield from _record_batches(_json_lines(path), str(path), size)
        return
    content = _parse("".join(lines_of(path)), str(path), "bad-file") if first else []
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        yield from _record_batches(_read("squad", path), str(path), size, SQUAD)
    elif isinstance(content, list) and all(isinstance(record, dict) for record in content):
        yield from _record_batches(iter(content), str(path), size)
    else:
        what, why = f"{path} is not a list of objects", "a JSON file must be a list of objects, or SQuAD"
        raise XstiltsError("bad-file", what, why, 'write [{"text": "…", "label": "…"}, …]; in pandas orient="records"')


def _parse(text: str, place: str, kind: Literal["bad-row", "bad-file"]) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise XstiltsError(kind, f"{place}: broken JSON", str(error), "write the file again") from None


def _read(name: Literal["tagged", "conllu", "squad"], path: Path) -> Iterator[Record]:
    """Yield the records of a file by the reader that studies use; raises XstiltsError for the first bad one."""
    for _ in lines_of(path):
        pass  # raises an error with the place if the file is not UTF-8
    source = (tagged_source(path) if name == "tagged" else None) or FileSource(format=name, files={})
    items: Iterable[Item] = READERS[name]({"main": path}, source)
    for number, record in items:
        if isinstance(record, dict) and None in (tags := record.get("tags", [])) and any(tags):
            record = BadRow("a token without a tag", "a tag for each token")
        if isinstance(record, BadRow):
            what = f"{path}, {'question' if name == 'squad' else 'line'} {number}: {record.found}"
            raise XstiltsError("bad-row", what, f"expected {record.expected}", "fix the file at that place")
        yield record


def _record_batches(
    records: Iterator[Record], where: str, size: int, schema: pa.Schema | None = None
) -> Iterator[pa.Table]:
    first = 1
    while batch := list(islice(records, size)):
        yield _from_records(batch, where, first, schema)
        first += len(batch)


def _from_records(records: list[Record], where: str, first: int = 1, schema: pa.Schema | None = None) -> pa.Table:
    """A table of records, of which the first is row `first`; what one lacks is null."""
    names = schema.names if schema else list(dict.fromkeys(name for record in records for name in record))
    if odd := next((name for name in names if invalid_text(name)), None):
        what, why = f"{where}: the name {odd!a:.60} of a column", "it is not valid Unicode"
        raise XstiltsError("bad-row", what, why, "write the file again in UTF-8")
    types = {field.name: field.type for field in schema or ()}
    columns = {name: [record.get(name) for record in records] for name in names}
    return pa.table({str(name): _column(columns[name], str(name), where, first, types.get(name)) for name in names})


def _column(values: Any, name: str, where: str, first: int = 1, type_: Any = None) -> pa.Array:
    """An Arrow array; raises XstiltsError with the row of the value that does not fit the others."""
    try:
        return pa.array(values, type_)
    except CONVERSIONS as error:
        rows = list(values)
        place, why = f"{where}: column '{name}'", f"its values do not fit in one column ({error})"
        kinds = [(i, "number" if type(value) in (int, float) else type(value).__name__) for i, value in enumerate(rows)]
        kinds = [(i, kind) for i, kind in kinds if kind != "NoneType"]
        if odd := next(((i, kind) for i, kind in kinds if kind != kinds[0][1]), None):
            place, why = f"{place}, row {first + odd[0]:,}", f"it mixes {kinds[0][1]} and {odd[1]} values"
        elif bad := next(((i, reason) for i, value in enumerate(rows) if (reason := invalid_text(value))), None):
            place, why = f"{place}, row {first + bad[0]:,}", bad[1].found
        raise XstiltsError("bad-row", place, why, "give all values of a column one type") from None


def _concatenated(tables: list[pa.Table], where: str) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        why, hint = f"its values do not have one type ({error})", "give all values of a column one type"
        raise XstiltsError("bad-row", f"{where}: a column of mixed types", why, hint) from None


def _parquet_batches(path: Path, size: int) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(size):
                if len(batch):
                    batch.validate(full=True)  # text that is not UTF-8
                    yield _plain_columns(pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise XstiltsError("bad-file", f"{path} is not Parquet", str(error), "write the file again") from None


def _table_of(data: Any) -> pa.Table:
    """The columns of an object."""
    pandas, datasets = sys.modules.get("pandas"), sys.modules.get("datasets")
    if isinstance(data, pa.Table):
        return data
    if pandas and isinstance(data, pandas.DataFrame):
        named = [(str(name), column) for name, column in data.items()]
        arrays = [_column(column, name, "the DataFrame") for name, column in named]
        return pa.Table.from_arrays(arrays, [name for name, _ in named])
    if datasets and isinstance(data, datasets.Dataset):
        return _class_words(data.with_format("arrow")[:], data.features)
    if isinstance(data, list) and all(isinstance(record, Mapping) for record in data):
        return _from_records([dict(record) for record in data], "the data")
    if type(data).__module__.startswith("datasets"):
        hint = 'choose a split: data["train"]; of a stream make datasets.Dataset.from_list(list(data.take(10_000)))'
        raise XstiltsError("bad-argument", f"cannot read a {type(data).__name__}", "it is not a table", hint)
    if not isinstance(data, Mapping):
        hint = "give a path, a DataFrame, a datasets.Dataset, columns, or a list of dictionaries"
        raise XstiltsError("bad-argument", f"cannot read a {type(data).__name__}", "it is not a table", hint)
    for name, values in data.items():
        if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
            why = f"it is a {type(values).__name__}"
            raise XstiltsError(
                "bad-argument", f"column '{name}' is not a list", why, "give a list of values for each column"
            )
    if len({len(values) for values in data.values()}) > 1:
        why = ", ".join(f"{name} {len(values):,}" for name, values in data.items())
        raise XstiltsError("bad-argument", "columns of different lengths", why, "give each row a value in each column")
    return pa.table({str(name): _column(values, str(name), "the data") for name, values in data.items()})


def _class_words(table: pa.Table, features: Mapping[str, Any]) -> pa.Table:
    """The table of a `datasets.Dataset` with the names of classes for their numbers; -1 has no label."""

    def word(value: Any, names: list[str]) -> Any:
        if isinstance(value, list):
            return [word(part, names) for part in value]
        return None if value is None or value < 0 else names[value]

    for position, name in enumerate(table.column_names):
        feature = features[name]
        if names := getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None):
            words = pa.array([word(value, names) for value in table[name].to_pylist()])
            table = table.set_column(position, name, words)
    return table


def _plain_columns(table: pa.Table) -> pa.Table:
    """The table without dictionaries; raises XstiltsError if two columns have one name."""
    names = table.column_names
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        why, hint = "columns are found by their names", "rename or remove one of them"
        raise XstiltsError("bad-file", f"two columns have the name '{repeated[0]}'", why, hint)
    arrays = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(arrays, names)
