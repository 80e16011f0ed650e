"""Events of the world: who does what to whom, where and when, by sparse preferences that all languages share."""

from collections.abc import Iterator
from functools import cache
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xstilts.data.world import concepts
from xstilts.data.world.concepts import ABSENT, PRACTICAL_VERBS, SOCIAL_VERBS
from xstilts.randomness import generator

SPLITS = {"train": range(2, 10), "validation": range(1, 2), "test": range(1)}
"""Tenths of the space of events that each split draws from: no event is in two splits."""

_BLOCK = 512
_EXTRA = 12
"""Spare draws from [0, 1) that come with each event, for the items made of it."""


class Event(NamedTuple):
    """Concepts in their roles, `ABSENT` if there is none. The last three fields change the form, not the meaning."""

    agent: int
    agent_adjective: int
    verb: int
    patient: int
    patient_adjective: int
    adposition: int
    place: int
    time: int
    tense: int
    negated: int
    passive: int = 0
    fronted: int = 0
    scrambled: int = 0


SHARES = {"social": 0.5, "adjective": 0.5, "place": 0.6, "time": 0.5, "negated": 0.2}
"""The share of events that have each part."""


@cache
def _world(seed: int) -> dict[str, NDArray[np.float64]]:
    """Cumulative preferences [rows, columns]: of verbs for their parts, of places for adpositions, of nouns for
    adjectives. A row puts `mass` on a few favoured columns, the rest on all equally."""
    verbs, places = len(SOCIAL_VERBS) + len(PRACTICAL_VERBS), len(concepts.PLACES)
    shapes = {
        "agent": (verbs, len(concepts.ANIMATE), 8, 0.85),
        "somebody": (verbs, len(concepts.ANIMATE), 8, 0.85),
        "something": (verbs, len(concepts.THINGS), 6, 0.85),
        "place": (verbs, places, 2, 0.8),
        "adposition": (places, len(concepts.ADPOSITIONS), 1, 0.5),
        "time": (verbs, len(concepts.TIMES), 2, 0.8),
        "adjective": (len(concepts.CONCEPTS), len(concepts.ADJECTIVES), 3, 0.8),
    }
    world = {}
    for purpose, (rows, columns, favoured, mass) in shapes.items():
        draws = generator(seed, "world", "preferences", purpose)
        table = np.full((rows, columns), (1 - mass) / columns)
        for row in table:
            row[np.argsort(draws.random(columns))[:favoured]] += mass / favoured
        world[purpose] = np.cumsum(table, axis=1)
    return world


def _block(seed: int, shares: dict[str, float], u: NDArray[np.float64]) -> NDArray[np.int64]:
    """Events as rows, in the order of the fields of `Event`, from one row of draws each."""
    world = _world(seed)

    def pick(purpose: str, given: NDArray[np.int64], column: int) -> NDArray[np.int64]:
        cumulative = world[purpose][given]
        return np.minimum((u[:, column, None] >= cumulative).sum(axis=1), cumulative.shape[1] - 1)

    def some(words: list[int], chosen: NDArray[np.int64], present: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.where(present, np.array(words)[chosen], ABSENT)

    social = u[:, 0] < shares["social"]
    verb = (u[:, 1] * len(SOCIAL_VERBS)).astype(np.int64) + np.where(social, 0, len(SOCIAL_VERBS))
    agent = np.array(concepts.ANIMATE)[pick("agent", verb, 2)]
    somebody = np.array(concepts.ANIMATE)[pick("somebody", verb, 3)]
    patient = np.where(social, somebody, np.array(concepts.THINGS)[pick("something", verb, 3)])
    place, has_place = pick("place", verb, 4), u[:, 5] < shares["place"]
    adjectives = []
    for k, noun in enumerate((agent, patient)):
        described = (u[:, 6 + k] < shares["adjective"]) & ~np.isin(noun, concepts.NAMES)
        adjectives.append(some(concepts.ADJECTIVES, pick("adjective", noun, 8 + k), described))
    columns = [
        agent,
        adjectives[0],
        np.array([*SOCIAL_VERBS, *PRACTICAL_VERBS])[verb],
        patient,
        adjectives[1],
        some(concepts.ADPOSITIONS, pick("adposition", place, 10), has_place),
        some(concepts.PLACES, place, has_place),
        some(concepts.TIMES, pick("time", verb, 12), u[:, 11] < shares["time"]),
        np.array(concepts.TENSES)[(u[:, 13] * len(concepts.TENSES)).astype(np.int64)],
        (u[:, 14] < shares["negated"]).astype(np.int64),
    ]
    return np.stack(columns, axis=1)


def draw_events(
    seed: int, purpose: tuple[str, ...], split: str, distinct: bool = True, **shares: float
) -> Iterator[tuple[Event, list[float]]]:
    """Yield without end the events that `seed`, `purpose`, `split` and `shares` (other than `SHARES`) determine, with
    spare draws for each."""
    concepts.check_known("split", split, SPLITS)
    seen: set[Event] = set()
    for block in count():
        u = generator(seed, "world", *purpose, split, block).random((_BLOCK, 15 + _EXTRA))
        events = _block(seed, SHARES | shares, u)
        agent, verb, patient = events[:, 0], events[:, 2], events[:, 3]
        mixed = (np.minimum(agent, patient) * 7919 + np.maximum(agent, patient) * 104729 + verb * 1299709) % 2147483647
        tenth = (mixed * 48271 % 2147483647) // 65536 % 10  # a fixed hash of who does what to whom
        usable = np.isin(tenth, SPLITS[split]) & (agent != patient)
        for row, spare in zip(events[usable].tolist(), u[usable, 15:].tolist(), strict=True):
            event = Event(*row)
            if not (distinct and event in seen):
                seen.add(event)
                yield event, spare
