"""Records of any data source become the examples of a task; rows that cannot are listed, never silently lost."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xstilts.data.question_sentences import with_sentences
from xstilts.data.record_formats import Item, invalid_text
from xstilts.errors import and_more
from xstilts.randomness import generator
from xstilts.tasks.data_source import MappedSource
from xstilts.tasks.task import BREAKDOWN, BadRow, Record, Task, label_list
from xstilts.tasks.task_types import READ

BATCH = 10_000
SHOWN = 20
"""How many different reasons a summary of rejected rows lists; the rest are counted."""


@dataclass(frozen=True)
class RejectedRow:
    """One row that cannot be used: `line` counts `unit`s from 1 and is 0 if the place is unknown; `expected` is "" if
    `found` says it all."""

    file: str
    line: int
    language: str
    found: str
    expected: str
    unit: str = "line"

    def __str__(self) -> str:
        place = f"{self.file}, {self.unit} {self.line}" if self.line else self.file
        return f"{place} ({self.language}): {self.found}" + (f"; expected {self.expected}" if self.expected else "")

    def as_json(self) -> dict[str, Any]:
        """The row's place and reason as a JSON object."""
        return asdict(self)


def summarise(rejected: Iterable[RejectedRow]) -> list[str]:
    """A line per file and reason: the first such row, and how many more there are."""
    reasons: dict[tuple[str, str, str], list[RejectedRow]] = {}
    for row in rejected:
        reasons.setdefault((row.file, row.found, row.expected), []).append(row)
    listed = [f"{rows[0]}{and_more(len(rows) - 1, 'such row')}" for rows in reasons.values()]
    hidden = len(listed) - SHOWN
    return listed[:SHOWN] + ([f"and {hidden:,} more kind{'s' * (hidden > 1)} of bad rows"] if hidden > 0 else [])


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


def build_examples(
    task: Task, source: MappedSource, items: Iterable[Item], file: str, split: str, code: str, unit: str = "line"
) -> Examples:
    """The examples of one split and language, made from numbered records in batches.

    Ids and clusters are shared by all languages if the task is parallel, else they contain the language. Both count
    the records, bad ones included, so that leaving out a row does not shift the others. Of equal ids the first counts;
    sentences that come with each question about them are kept once.
    `file` says where records come from, `unit` what their numbers count.
    """
    kind, result = READ[task.type], Examples(pa.table({}))
    schema = pa.schema([*kind.SCHEMA, *((f"{BREAKDOWN}{name}", pa.string()) for name in task.breakdown)])
    outcomes = _outcomes(task, source, items, split, code)
    ids: set[str] = set()
    bad_rows: list[tuple[int, BadRow]] = []
    batches, lines_without_gold = [], []
    while batch := list(islice(outcomes, BATCH)):
        numbered = []
        for line, outcome in batch:
            if outcome is None:
                result.unlabelled += 1
            elif isinstance(outcome, BadRow):
                bad_rows.append((line, outcome))
            elif outcome["id"] in ids and outcome.get("of_context"):
                continue
            elif outcome["id"] in ids:
                bad_rows.append((line, BadRow(f"id '{outcome['id']}' a second time", "ids that are unique")))
            else:
                ids.add(outcome["id"])
                numbered.append((line, outcome))
        try:
            batches.append(pa.RecordBatch.from_pylist([example for _, example in numbered], schema))
        except UnicodeEncodeError:
            checked = [(line, example, invalid_text(example)) for line, example in numbered]
            bad_rows += [(line, bad) for line, _, bad in checked if bad]
            numbered = [(line, example) for line, example, bad in checked if not bad]
            batches.append(pa.RecordBatch.from_pylist([example for _, example in numbered], schema))
        if kind.GOLD:
            lines_without_gold += [line for line, example in numbered if example[kind.GOLD] is None]
    result.table = pa.Table.from_batches(batches, schema)
    result.withheld = 0 < len(lines_without_gold) == len(result.table)
    if lines_without_gold and not result.withheld and not kind.SPARSE_GOLD:
        missing = BadRow(f"no {kind.GOLD}", "a gold label, as other rows have")
        bad_rows += [(line, missing) for line in lines_without_gold]
        result.table = result.table.filter(pc.is_valid(result.table[kind.GOLD]))
    result.rejected = [RejectedRow(file, line, code, bad.found, bad.expected, unit) for line, bad in bad_rows]
    return result


def _outcomes(
    task: Task, source: MappedSource, items: Iterable[Item], split: str, code: str
) -> Iterator[tuple[int, Record | BadRow | None]]:
    """Yield the line of each example with the example, the reason why it is none, or None if it is unlabelled.

    A cluster is named by the number of the first record of a run with one value of the cluster's column (or one group
    of the file), of all with that value if rows are shuffled.
    """
    if source.shuffled:
        listed = list(items)
        items = (listed[i] for i in generator("rows of a shuffled file").permutation(len(listed)))
    prefix = split if task.parallel else f"{code}-{split}"
    first: dict[Any, int] = {}
    items = islice(items, *source.rows.get(split, (None,)))
    for i, (line, record) in enumerate(with_sentences(items) if task.pooled else items):
        try:
            if isinstance(record, BadRow):
                raise record
            named = {"id": f"{prefix}-{i}", **record}
            if named["id"] in (None, ""):
                raise BadRow("no id", "an id in every row")
            if source.cluster and source.cluster not in named:
                raise BadRow(f"no '{source.cluster}', which `cluster` names", "one of the row's columns")
            cluster = named[source.cluster] if source.cluster else record.get("group", i)
            if source.cluster != "id":
                if cluster not in first and not source.shuffled:
                    first.clear()
                cluster = first.setdefault(cluster, i)
            named |= {"cluster_id": f"{prefix}-{cluster}", "language": code}
            if split in source.numbered:
                named["id"] = f"{prefix}-{i}"
            values = {f"{BREAKDOWN}{name}": str(record[name]) for name in task.breakdown}
            labelled = _relabelled(named, source, task.type == "multilabel")
            if labelled is None:
                yield line, None
            else:
                yield from ((line, example | values) for example in READ[task.type].complete(labelled, task))
        except BadRow as bad:
            yield line, invalid_text(bad.found) or bad


def _relabelled(record: Record, source: MappedSource, several: bool) -> Record | None:
    """The record with the task's label words, a list of them if it may have `several`; None if the data says that it
    has no gold label."""
    if not source.unlabelled and not source.relabel:
        return record
    label, tokens, tags = (record.get(name) for name in ("label", "tokens", "tags"))
    if label is not None:
        words = label_list(label) if several else [label]
        if any(str(word) in source.unlabelled for word in words or [label]):
            return None
        relabelled = [source.relabel.get(str(word), word) for word in words or ()]
        if words is not None:
            record["label"] = relabelled if several else relabelled[0]
    if isinstance(tags, list) and isinstance(tokens, list) and len(tags) == len(tokens):
        labelled = [i for i, tag in enumerate(tags) if str(tag) not in source.unlabelled]
        record["tokens"] = [tokens[i] for i in labelled]
        record["tags"] = [source.relabel.get(str(tags[i]), tags[i]) for i in labelled]
    return record
