"""Equal budgets: all arms see as many examples in as many updates, and the same content in parallel languages."""

import numpy as np
import pyarrow as pa

from xstilts.errors import XstiltsError
from xstilts.randomness import derive
from xstilts.tasks.encoding import Encoded


def choose_rows(
    tables: list[pa.Table], examples: int | None, parallel: bool, rng: np.random.Generator, first: float = 0.0
) -> list[tuple[int, int]]:
    """Which rows are trained on: (table, row) of each example, in an order that all arms share.

    Item i is taken in the language of its turn, see `turns`. Parallel tables share items; others give rows of each
    language's own. The place of an item in the order follows from its id alone, so that an item that one arm lacks
    (a row left out, a lost translation) moves no other. `examples` None takes all items (or all rows). Raises
    XstiltsError where there are too few: repeating rows would make budgets unequal.
    """
    salt = int(rng.integers(2**62))
    if parallel:
        places = [{name: row for row, name in enumerate(table["id"].to_pylist())} for table in tables]
        shared = set(places[0]).intersection(*places[1:])
        count = _enough(examples, len(shared), "items that all source languages share")
        items = sorted(shared, key=lambda item: derive(salt, item))[:count]
        return [(t, places[t][item]) for t, item in zip(turns(count, len(tables), first), items, strict=True)]
    orders = [_by_id(table, salt) for table in tables]
    if examples is None:
        return [(j, row) for j, order in enumerate(orders) for row in order]
    turn = turns(examples, len(tables), first)
    for j, table in enumerate(tables):
        _enough(turn.count(j), len(table), f"rows in '{table['language'][0]}'")
    rows = [iter(order) for order in orders]
    return [(t, next(rows[t])) for t in turn]


def _by_id(table: pa.Table, salt: int) -> list[int]:
    ids = table["id"].to_pylist()
    return sorted(range(len(ids)), key=lambda row: derive(salt, ids[row]))


def turns(count: int, k: int, first: float = 0.0) -> list[int]:
    """Which of k languages each of `count` items is taken in: one after the other.

    first: where it is above 0, the share of the first language, evenly spread; the others take turns at the rest.
    """
    i = np.arange(count)
    if not first or k == 1:
        return (i % k).tolist()
    own = np.floor((i + 1) * first + 1e-9) > np.floor(i * first + 1e-9)
    others = np.cumsum(~own) - 1
    return np.where(own, 0, others % (k - 1) + 1).tolist()


def _enough(wanted: int | None, present: int, what: str) -> int:
    if wanted is not None and wanted > present:
        raise XstiltsError(
            "too-few",
            f"{wanted} examples are wanted, and there are {present} {what}",
            "rows are never repeated to fill a budget: it would not be the same for all arms",
            "lower `examples` of the intermediate task, or leave the language out",
        )
    return present if wanted is None else wanted


def join(parts: list[Encoded], chosen: list[tuple[int, int]]) -> Encoded:
    """The sequences of the chosen (part, row) pairs in their order; `rows` numbers the pairs from 0."""
    spans = [np.searchsorted(part.examples, np.arange(part.examples[-1] + 2)) for part in parts]
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


def updates(parts: list[Encoded], order: np.ndarray, size: int) -> list[dict[int, np.ndarray]]:
    """The sequences of each update of `size` examples, by part: an example brings all its sequences.

    order: examples by their number, those of the first part counted first, then those of the second, ….
    """
    spans = [np.searchsorted(part.examples, np.arange(part.examples[-1] + 2)) for part in parts]
    starts = np.cumsum([0, *(len(span) - 1 for span in spans)])
    owner = np.searchsorted(starts, order, side="right") - 1
    result = []
    for begin in range(0, len(order), size):
        chosen: dict[int, list[np.ndarray]] = {}
        for example, part in zip(order[begin : begin + size], owner[begin : begin + size], strict=True):
            own = example - starts[part]
            chosen.setdefault(int(part), []).append(np.arange(spans[part][own], spans[part][own + 1]))
        result.append({part: np.concatenate(sequences) for part, sequences in chosen.items()})
    return result


def shares(sizes: list[int], sampling: str, temperature: float, cap: int) -> np.ndarray:
    """Weight of each task among draws of several, float [tasks].

    'proportional' to its examples; 'temperature': to its share to the power 1 / temperature; 'uniform'; 'capped': to
    its examples, of which at most `cap` count (examples-proportional mixing of Raffel et al. 2020, §3.5.2).
    """
    counted = np.array(sizes, float)
    if sampling == "capped":
        counted = np.minimum(counted, cap)
    exponent = {"temperature": 1 / temperature, "uniform": 0.0}.get(sampling, 1.0)
    weights = (counted / counted.sum()) ** exponent
    return weights / weights.sum()


def interleave(
    updates: list[dict[int, np.ndarray]], others: list[dict[int, np.ndarray]]
) -> list[dict[int, np.ndarray]]:
    """Both lists in their order as one, in which the others are evenly spread."""
    total = len(updates) + len(others)
    every = turns(total, 2, len(others) / total) if others else [1] * total
    queues = [iter(others), iter(updates)]
    return [next(queues[turn]) for turn in every]
