"""Equal budgets: every arm sees the same number of examples, and the same content where languages are parallel."""

import numpy as np
import pyarrow as pa

from xstilts.errors import XstiltsError
from xstilts.tasks.encoding import Encoded


def choose_rows(
    tables: list[pa.Table], examples: int | None, parallel: bool, rng: np.random.Generator
) -> list[np.ndarray]:
    """Which rows of each language's table are trained on, in all `examples` rows.

    Parallel tables: one draw of items, the same for every choice of languages; item i is taken in language i mod k.
    Others: an equal share of rows of each language. `examples` None takes all items (or all rows).
    Raises XstiltsError where there are too few: repeating rows would make budgets unequal.
    """
    k = len(tables)
    if parallel:
        ids = [np.array(table["id"].to_pylist()) for table in tables]
        shared = ids[0][np.isin(ids[0], list(set(ids[0]).intersection(*ids[1:])))]
        items = rng.permutation(np.sort(shared))[: _enough(examples, len(shared), "items shared by all")]
        places = [{name: row for row, name in enumerate(column)} for column in ids]
        return [np.array([places[j][item] for item in items[j::k]], np.int64) for j in range(k)]
    if examples is None:
        return [np.arange(len(table)) for table in tables]
    shares = [len(range(j, examples, k)) for j in range(k)]
    orders = [rng.permutation(len(table)) for table in tables]
    for table, share in zip(tables, shares, strict=True):
        _enough(share, len(table), f"rows in '{table['language'][0]}'")
    return [order[:share] for order, share in zip(orders, shares, strict=True)]


def _enough(wanted: int | None, present: int, what: str) -> int:
    if wanted is not None and wanted > present:
        raise XstiltsError(
            f"{wanted} examples are wanted, and there are {present} {what} source languages"
            if "shared" in what
            else f"{wanted} examples are wanted, and there are {present} {what}",
            "rows are never repeated to fill a budget: it would not be the same for all arms",
            "lower `examples` of the intermediate task, or leave the language out",
        )
    return present if wanted is None else wanted


def join(parts: list[Encoded], chosen: list[np.ndarray]) -> Encoded:
    """One Encoded with the sequences of the chosen rows of each part; its `rows` are those of the parts."""
    taken = [_take(part, rows) for part, rows in zip(parts, chosen, strict=True)]
    starts = np.cumsum([0, *(len(part.ids) for part in taken)])
    return Encoded(
        np.concatenate([part.ids for part in taken]),
        np.concatenate([[0], *(part.offsets[1:] + start for part, start in zip(taken, starts, strict=False))]),
        np.concatenate([part.rows for part in taken]),
        np.concatenate([part.labels for part in taken]),
        None if taken[0].segments is None else np.concatenate([part.segments for part in taken]),
    )


def _take(part: Encoded, rows: np.ndarray) -> Encoded:
    """The sequences of the given rows, in their order in the part."""
    sequences = np.flatnonzero(np.isin(part.rows, rows))
    lengths = part.lengths[sequences]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.repeat(part.offsets[sequences] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Encoded(
        part.ids[tokens],
        offsets,
        part.rows[sequences],
        part.labels[tokens if part.labelled_per_token else sequences],
        None if part.segments is None else part.segments[tokens],
    )
