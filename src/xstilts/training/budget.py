"""Equal budgets: all arms see as many examples in as many updates, and in parallel languages the same content."""

import numpy as np
import pyarrow as pa

from xstilts.errors import XstiltsError
from xstilts.randomness import derive
from xstilts.tasks.encoding import Encoded

Update = dict[int, np.ndarray]
"""The sequences of an update, by the number of their part."""


def choose_rows(
    tables: list[pa.Table], examples: int | None, parallel: bool, rng: np.random.Generator, first: float = 0.0
) -> list[tuple[int, int]]:
    """The examples of a training as (table, row) pairs, one table per language, in an order that all arms share.

    The languages take turns, see `turns`. Parallel tables share items; other tables give different examples of each
    language. The place of an item in the order depends only on its id, so that an item that one arm lacks (a rejected
    row, a lost translation) moves no other. `examples` None takes all. Raises XstiltsError if there are too few:
    repeated examples would make budgets unequal.
    """
    salt = int(rng.integers(2**62))
    ids = [table["id"].to_pylist() for table in tables]
    if parallel:
        rows_of = [{name: row for row, name in enumerate(names)} for names in ids]
        shared = set(rows_of[0]).intersection(*rows_of[1:])
        count = len(shared) if examples is None else examples
        _check_enough(count, len(shared), "items that all source languages share")
        items = sorted(shared, key=lambda item: derive(salt, item))[:count]
        return [(t, rows_of[t][item]) for t, item in zip(turns(count, len(tables), first), items, strict=True)]
    orders = [np.argsort([derive(salt, name) for name in names], kind="stable").tolist() for names in ids]
    if examples is None:
        return [(t, row) for t, order in enumerate(orders) for row in order]
    turn = turns(examples, len(tables), first)
    for t, table in enumerate(tables):
        _check_enough(turn.count(t), len(table), f"in '{table['language'][0]}'")
    rows = [iter(order) for order in orders]
    return [(t, next(rows[t])) for t in turn]


def turns(count: int, k: int, first: float = 0.0) -> list[int]:
    """Which of k languages each of `count` items is taken from: one after the other.

    first: if above 0, the share of the first language, evenly spread; the other languages take turns at the rest.

    >>> turns(6, 3)
    [0, 1, 2, 0, 1, 2]
    >>> turns(6, 3, first=0.5)
    [1, 0, 2, 0, 1, 0]
    """
    i = np.arange(count)
    if not first or k == 1:
        return (i % k).tolist()
    is_first = np.floor((i + 1) * first + 1e-9) > np.floor(i * first + 1e-9)
    others = np.cumsum(~is_first) - 1
    return np.where(is_first, 0, others % (k - 1) + 1).tolist()


def _check_enough(wanted: int, present: int, where: str) -> None:
    if wanted > present:
        why = "examples are never repeated to fill a budget: it would differ between arms"
        hint = "lower `examples` of the intermediate task, or leave the language out"
        raise XstiltsError("too-few", f"{wanted} examples are wanted, and there are {present} {where}", why, hint)


def _sequence_starts(parts: list[Encoded]) -> list[np.ndarray]:
    """The first sequence of each example, for each part int64 [examples + 1]."""
    return [np.searchsorted(part.examples, np.arange(part.examples[-1] + 2)) for part in parts]


def join(parts: list[Encoded], chosen: list[tuple[int, int]]) -> Encoded:
    """The sequences of the chosen (part, example) pairs in their order; their `examples` number the pairs from 0."""
    starts = _sequence_starts(parts)
    ranges = [range(*starts[p][example : example + 2]) for p, example in chosen]
    sequences = [(parts[p], s) for (p, _), numbers in zip(chosen, ranges, strict=True) for s in numbers]
    return take(sequences, np.repeat(np.arange(len(chosen)), [len(numbers) for numbers in ranges]))


def take(sequences: list[tuple[Encoded, int]], examples: np.ndarray) -> Encoded:
    """Sequences, as pairs of where each is and its number there, in their order; `examples` are their new ones."""
    tokens = [(part, slice(*part.offsets[s : s + 2])) for part, s in sequences]
    first = sequences[0][0]
    labels = tokens if first.labelled_per_token else [(part, slice(s, s + 1)) for part, s in sequences]

    def gather(name: str, spans: list[tuple[Encoded, slice]]) -> np.ndarray:
        return np.concatenate([getattr(part, name)[span] for part, span in spans])

    return Encoded(
        gather("ids", tokens),
        np.cumsum([0, *(span.stop - span.start for _, span in tokens)]),
        examples,
        gather("labels", labels),
        None if first.segments is None else gather("segments", tokens),
        together=first.together,
    )


def updates(parts: list[Encoded], order: np.ndarray, size: int) -> list[Update]:
    """The sequences of each update of `size` examples, by part; an example brings all its sequences.

    order: numbers of examples; those of the first part count first, then those of the second, and so on.
    """
    starts = _sequence_starts(parts)
    firsts = np.cumsum([0, *(len(start) - 1 for start in starts)])
    owners = np.searchsorted(firsts, order, side="right") - 1
    result = []
    for begin in range(0, len(order), size):
        chosen: dict[int, list[np.ndarray]] = {}
        for number, part in zip(order[begin : begin + size], owners[begin : begin + size], strict=True):
            example = number - firsts[part]
            chosen.setdefault(int(part), []).append(np.arange(*starts[part][example : example + 2]))
        result.append({part: np.concatenate(sequences) for part, sequences in chosen.items()})
    return result


def shares(sizes: list[int], sampling: str, temperature: float, cap: int) -> np.ndarray:
    """The weight of each of several tasks in the draws, float [tasks].

    'proportional' to its examples; 'temperature': to its share to the power 1 / temperature; 'uniform'; 'capped': to
    its examples, of which at most `cap` count (examples-proportional mixing of Raffel et al. 2020, §3.5.2).

    >>> shares([100, 300], "capped", 1.0, 200).round(2).tolist()
    [0.33, 0.67]
    """
    counted = np.minimum(sizes, cap if sampling == "capped" else np.inf)
    exponent = {"temperature": 1 / temperature, "uniform": 0.0}.get(sampling, 1.0)
    weights = (counted / counted.sum()) ** exponent
    return weights / weights.sum()


def interleave(updates: list[Update], others: list[Update]) -> list[Update]:
    """Both lists in their order as one, with the others evenly spread."""
    if not others:
        return updates
    total, queues = len(updates) + len(others), [iter(others), iter(updates)]
    return [next(queues[turn]) for turn in turns(total, 2, len(others) / total)]
