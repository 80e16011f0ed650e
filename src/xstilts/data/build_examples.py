"""Records of any source become the Arrow rows of a task's type; rows that cannot are named, never silently lost."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xstilts.data.line_formats import Item
from xstilts.data.rejected_rows import RejectedRow
from xstilts.randomness import generator
from xstilts.tasks.data_source import Described
from xstilts.tasks.task import BadRow, Record, Task
from xstilts.tasks.task_types import READ, SCHEMAS

BATCH = 10_000


@dataclass
class Examples:
    """The rows of a split in a language: the table without its bad rows, these, how many rows have no gold label by
    the data's own account and were left out, and whether the gold labels of all of them are withheld."""

    table: pa.Table
    problems: list[RejectedRow] = field(default_factory=list)
    unlabelled: int = 0
    withheld: bool = False


@dataclass(frozen=True)
class Origin:
    """Where records come from: file or repository, and what their numbers count."""

    file: str
    unit: str = "line"


def build_examples(
    task: Task, source: Described, items: Iterable[Item], place: Origin, split: str, code: str
) -> Examples:
    """The rows of the records of one split and language, in the schema of the task's type, read in batches.

    Ids and clusters are shared by all languages where the task is parallel, else they carry the language; both
    follow the order of the records, bad ones included, so that a row left out shifts no other.
    """
    rows = Examples(pa.table({}))
    lines: list[int] = []
    if source.shuffled:
        listed = list(items)
        items = (listed[i] for i in generator("rows of a shuffled file").permutation(len(listed)))
    taken = islice(items, *source.rows.get(split, (None,)))
    shaped = _shaped(task, source, taken, place, (split, code), rows, lines)
    batches = []
    while batch := list(islice(shaped, BATCH)):
        batches.append(pa.RecordBatch.from_pylist(batch, SCHEMAS[task.type]))
    rows.table = pa.Table.from_batches(batches, SCHEMAS[task.type])
    _drop_repeated(rows, lines, place, code)
    _judge_withheld(task, rows, lines, place, code)
    return rows


def _shaped(
    task: Task, source: Described, items: Iterable[Item], place: Origin, where: tuple[str, str], rows: Examples,
    lines: list[int],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    split, code = where
    prefix = split if task.parallel else f"{code}-{split}"
    cluster = _clusters(source)
    for i, (line, record) in enumerate(items):
        try:
            if isinstance(record, BadRow):
                raise record
            number = {"id": f"{prefix}-{i}"}
            named = {**number, **record, "cluster_id": f"{prefix}-{cluster(record, i)}", "language": code}
            if split in source.numbered:
                named |= number
            labelled = _relabelled(named, source)
            if labelled is None:
                rows.unlabelled += 1
                continue
            for row in READ[task.type].complete(labelled, task):
                lines.append(line)
                yield row
        except BadRow as bad:
            rows.problems.append(RejectedRow(place.file, line, code, bad.found, bad.expected, place.unit))


def _clusters(source: Described) -> Callable[[Record, int], Any]:
    """A function that names the cluster of a record and its number: the number of the first record of a run with one
    value of the cluster's column (or one group of the file), of all with that value where rows are shuffled."""
    first: dict[Any, int] = {}

    def cluster(record: Record, number: int) -> Any:
        if source.cluster and source.cluster not in record:
            raise BadRow(f"no '{source.cluster}', which `cluster` names", "one of the row's columns")
        key = record[source.cluster] if source.cluster else record.get("group", number)
        if source.cluster == "id":
            return key
        if key not in first and not source.shuffled:
            first.clear()
        return first.setdefault(key, number)

    return cluster


def _relabelled(record: Record, source: Described) -> Record | None:
    """The record with our label words; None where the data says that it has no gold label."""
    label, tokens, tags = (record.get(name) for name in ("label", "tokens", "tags"))
    if label is not None:
        if str(label) in source.unlabelled:
            return None
        record["label"] = source.relabel.get(str(label), label)
    if isinstance(tags, list) and isinstance(tokens, list) and len(tags) == len(tokens):
        kept = [i for i, tag in enumerate(tags) if str(tag) not in source.unlabelled]
        record["tokens"] = [tokens[i] for i in kept]
        record["tags"] = [source.relabel.get(str(tags[i]), tags[i]) for i in kept]
    return record


def _drop_repeated(rows: Examples, lines: list[int], place: Origin, code: str) -> None:
    """Keeps the first row of every id."""
    table = rows.table
    if len(table) == pc.count_distinct(table["id"]).as_py():
        return
    seen: set[str] = set()
    keep = []
    for position, name in enumerate(table["id"].to_pylist()):
        if name in seen:
            again = f"id '{name}' a second time"
            rows.problems.append(
                RejectedRow(place.file, lines[position], code, again, "ids that are unique", place.unit)
            )
        else:
            keep.append(position)
        seen.add(name)
    lines[:] = [lines[position] for position in keep]
    rows.table = table.take(keep)


def _judge_withheld(task: Task, rows: Examples, lines: list[int], place: Origin, code: str) -> None:
    """Gold labels are withheld where no row has one; where some rows have one, the others are bad, except where a row
    without is the rule (sentences without a translation)."""
    kind = READ[task.type]
    if not kind.GOLD or not rows.table[kind.GOLD].null_count:
        return
    absent = rows.table[kind.GOLD].is_null()
    rows.withheld = pc.all(absent).as_py()
    if rows.withheld or kind.SPARSE_GOLD:
        return
    what = RejectedRow(place.file, 0, code, f"no {kind.GOLD}", "a gold label, as other rows have", place.unit)
    pairs = zip(lines, absent.to_pylist(), strict=True)
    rows.problems += [replace(what, line=line) for line, missing in pairs if missing]
    rows.table = rows.table.filter(pc.invert(absent))
