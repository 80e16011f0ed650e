"""Equal budgets: all arms see as many examples in as many updates, and the same content in parallel languages."""

import numpy as np
import pyarrow as pa

from xstilts.errors import XstiltsError
from xstilts.tasks.encoding import Encoded


def choose_rows(
    tables: list[pa.Table], examples: int | None, parallel: bool, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Which rows are trained on: (table, row) of each example, in an order that all arms share.

    Item i is taken in language i mod k. Parallel tables: one draw of items, the same for every choice of languages;
    others: an equal share of rows of each language. `examples` None takes all items (or all rows).
    Raises XstiltsError where there are too few: repeating rows would make budgets unequal.
    """
    k = len(tables)
    if parallel:
        places = [{name: row for row, name in enumerate(table["id"].to_pylist())} for table in tables]
        shared = sorted(set(places[0]).intersection(*places[1:]))
        count = _enough(examples, len(shared), "items that all source languages share")
        items = [shared[i] for i in rng.permutation(len(shared))[:count]]
        return [(i % k, places[i % k][item]) for i, item in enumerate(items)]
    orders = [rng.permutation(len(table)) for table in tables]
    if examples is None:
        return [(j, int(row)) for j, order in enumerate(orders) for row in order]
    for j, table in enumerate(tables):
        _enough(len(range(j, examples, k)), len(table), f"rows in '{table['language'][0]}'")
    return [(i % k, int(orders[i % k][i // k])) for i in range(examples)]


def _enough(wanted: int | None, present: int, what: str) -> int:
    if wanted is not None and wanted > present:
        raise XstiltsError(
            f"{wanted} examples are wanted, and there are {present} {what}",
            "rows are never repeated to fill a budget: it would not be the same for all arms",
            "lower `examples` of the intermediate task, or leave the language out",
        )
    return present if wanted is None else wanted


def join(parts: list[Encoded], chosen: list[tuple[int, int]]) -> Encoded:
    """The sequences of the chosen (part, row) pairs in their order; `rows` numbers the pairs from 0."""
    spans = [np.searchsorted(part.rows, np.arange(part.rows[-1] + 2)) for part in parts]
    taken = [
        (number, parts[p], sequence)
        for number, (p, row) in enumerate(chosen)
        for sequence in range(spans[p][row], spans[p][row + 1])
    ]
    tokens = [slice(part.offsets[s], part.offsets[s + 1]) for _, part, s in taken]
    pieces = list(zip(taken, tokens, strict=True))
    first = parts[0]
    return Encoded(
        np.concatenate([part.ids[t] for (_, part, _), t in pieces]),
        np.concatenate([[0], np.cumsum([part.offsets[s + 1] - part.offsets[s] for _, part, s in taken])]),
        np.array([number for number, _, _ in taken], np.int64),
        np.concatenate([part.labels[t if part.labelled_per_token else slice(s, s + 1)] for (_, part, s), t in pieces]),
        None if first.segments is None else np.concatenate([_segments(part)[t] for (_, part, _), t in pieces]),
        together=first.together,
    )


def _segments(part: Encoded) -> np.ndarray:
    assert part.segments is not None
    return part.segments


def updates(encoded: Encoded, order: np.ndarray, size: int) -> list[np.ndarray]:
    """The sequences of each update of `size` examples: an example brings all its sequences."""
    spans = np.searchsorted(encoded.rows, np.arange(encoded.rows[-1] + 2))
    sequences = [np.arange(spans[example], spans[example + 1]) for example in range(len(spans) - 1)]
    return [
        np.concatenate([sequences[example] for example in order[start : start + size]])
        for start in range(0, len(order), size)
    ]
