"""Records of any data source become the examples of a task; rows that cannot are listed, never silently lost."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xstilts.data.record_formats import Item, check_text
from xstilts.data.rejected_rows import RejectedRow
from xstilts.randomness import generator
from xstilts.tasks.data_source import MappedSource
from xstilts.tasks.task import BadRow, Record, Task
from xstilts.tasks.task_types import READ

BATCH = 10_000


@dataclass
class Examples:
    """The examples of one split and language.

    table: without the rejected rows, in the schema of the task's type. unlabelled: the number of rows that have no
    gold label by the data's own account and are left out. withheld: whether no example has a gold label; `note` is a
    possible mistake behind that.
    """

    table: pa.Table
    rejected: list[RejectedRow] = field(default_factory=list)
    unlabelled: int = 0
    withheld: bool = False
    note: str = ""


@dataclass(frozen=True)
class Origin:
    """Where records come from: file or repository, split and language, and what their numbers count."""

    file: str
    split: str
    language: str
    unit: str = "line"

    def rejected(self, line: int, bad: BadRow) -> RejectedRow:
        """The row of that line as a rejected one."""
        return RejectedRow(self.file, line, self.language, bad.found, bad.expected, self.unit)


def build_examples(task: Task, source: MappedSource, items: Iterable[Item], origin: Origin) -> Examples:
    """The examples of one split and language, made from numbered records in batches.

    Ids and clusters are shared by all languages if the task is parallel, else they contain the language. Both count
    the records, bad ones included, so that leaving out a row does not shift the others. Of equal ids the first counts.
    """
    kind, result = READ[task.type], Examples(pa.table({}))
    outcomes = _outcomes(task, source, items, origin)
    ids: set[str] = set()
    batches, lines_without_gold = [], []
    while batch := list(islice(outcomes, BATCH)):
        numbered = []
        for line, outcome in batch:
            if outcome is None:
                result.unlabelled += 1
            elif isinstance(outcome, BadRow):
                result.rejected.append(origin.rejected(line, outcome))
            elif outcome["id"] in ids:
                again = BadRow(f"id '{outcome['id']}' a second time", "ids that are unique")
                result.rejected.append(origin.rejected(line, again))
            else:
                ids.add(outcome["id"])
                numbered.append((line, outcome))
        numbered, table = _record_batch(numbered, kind.SCHEMA, result, origin)
        batches.append(table)
        if kind.GOLD:
            lines_without_gold += [line for line, example in numbered if example[kind.GOLD] is None]
    result.table = pa.Table.from_batches(batches, kind.SCHEMA)
    if lines_without_gold:
        result.withheld = len(lines_without_gold) == len(result.table)
        if not result.withheld and not kind.SPARSE_GOLD:
            missing = BadRow(f"no {kind.GOLD}", "a gold label, as other rows have")
            result.rejected += [origin.rejected(line, missing) for line in lines_without_gold]
            result.table = result.table.filter(pc.is_valid(result.table[kind.GOLD]))
    return result


def _record_batch(
    numbered: list[tuple[int, Record]], schema: pa.Schema, result: Examples, origin: Origin
) -> tuple[list[tuple[int, Record]], pa.RecordBatch]:
    """The examples whose texts are valid, and their table; the others are rejected."""
    try:
        return numbered, pa.RecordBatch.from_pylist([example for _, example in numbered], schema)
    except UnicodeEncodeError:
        valid = []
        for line, example in numbered:
            try:
                check_text(example)
                valid.append((line, example))
            except BadRow as bad:
                result.rejected.append(origin.rejected(line, bad))
        return _record_batch(valid, schema, result, origin)


def _outcomes(
    task: Task, source: MappedSource, items: Iterable[Item], origin: Origin
) -> Iterator[tuple[int, Record | BadRow | None]]:
    """Yield the line of each example with the example, the reason why it is none, or None if it is unlabelled."""
    if source.shuffled:
        listed = list(items)
        items = (listed[i] for i in generator("rows of a shuffled file").permutation(len(listed)))
    prefix = origin.split if task.parallel else f"{origin.language}-{origin.split}"
    cluster = _clusters(source)
    for i, (line, record) in enumerate(islice(items, *source.rows.get(origin.split, (None,)))):
        try:
            if isinstance(record, BadRow):
                raise record
            named = {"id": f"{prefix}-{i}", **record}
            named |= {"cluster_id": f"{prefix}-{cluster(named, i)}", "language": origin.language}
            if origin.split in source.numbered:
                named["id"] = f"{prefix}-{i}"
            labelled = _relabelled(named, source)
            if labelled is None:
                yield line, None
            else:
                yield from ((line, example) for example in READ[task.type].complete(labelled, task))
        except BadRow as bad:
            yield line, _readable(bad)


def _readable(bad: BadRow) -> BadRow:
    """The reason, or that what was found is not UTF-8."""
    try:
        check_text(bad.found)
    except BadRow as invalid:
        return invalid
    return bad


def _clusters(source: MappedSource) -> Callable[[Record, int], Any]:
    """A function that names the cluster of a record and its number: the number of the first record of a run with one
    value of the cluster's column (or one group of the file), of all with that value if rows are shuffled."""
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


def _relabelled(record: Record, source: MappedSource) -> Record | None:
    """The record with the task's label words; None if the data says that it has no gold label."""
    if not source.unlabelled and not source.relabel:
        return record
    label, tokens, tags = (record.get(name) for name in ("label", "tokens", "tags"))
    if label is not None:
        if str(label) in source.unlabelled:
            return None
        record["label"] = source.relabel.get(str(label), label)
    if isinstance(tags, list) and isinstance(tokens, list) and len(tags) == len(tokens):
        labelled = [i for i, tag in enumerate(tags) if str(tag) not in source.unlabelled]
        record["tokens"] = [tokens[i] for i in labelled]
        record["tags"] = [source.relabel.get(str(tags[i]), tags[i]) for i in labelled]
    return record
