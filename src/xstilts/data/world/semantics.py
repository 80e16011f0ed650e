"""Events of the world: who does what to whom, where and when, by sparse preferences that all languages share."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xstilts.data.world.concepts import (
    ABSENT,
    ADJECTIVES,
    ADPOSITIONS,
    ANIMATE,
    CONCEPTS,
    MEMBERS,
    NAMES,
    PLACES,
    PRACTICAL_VERBS,
    SOCIAL_VERBS,
    TENSES,
    THINGS,
    TIMES,
)
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.randomness import generator

SPLITS = {"train": range(2, 10), "validation": range(1, 2), "test": range(1)}
"""Tenths of the space of events that each split draws from, so that no event is in two splits."""

_BLOCK = 512
_EXTRA = 12
"""Draws from [0, 1) that come with each event, for what an item does with it."""


class Event(NamedTuple):
    """Concepts in their roles; `ABSENT` where there is none. The last three fields are matters of form only."""

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


@dataclass(frozen=True)
class Profile:
    """How often events have which parts."""

    social: float = 0.5
    adjective: float = 0.5
    place: float = 0.6
    time: float = 0.5
    negated: float = 0.2


def _preferences(seed: int, purpose: str, rows: int, columns: int, favoured: int, mass: float) -> NDArray[np.float64]:
    """Cumulative distributions: each row puts `mass` on a few favoured columns, the rest on all alike."""
    draws = generator(seed, "world", "preferences", purpose)
    table = np.full((rows, columns), (1 - mass) / columns)
    for row in table:
        row[np.argsort(draws.random(columns))[:favoured]] += mass / favoured
    return np.cumsum(table, axis=1)


@cache
def _world(seed: int) -> dict[str, NDArray[np.float64]]:
    verbs = len(SOCIAL_VERBS) + len(PRACTICAL_VERBS)
    return {
        "agent": _preferences(seed, "agent", verbs, len(ANIMATE), 8, 0.85),
        "somebody": _preferences(seed, "somebody", verbs, len(ANIMATE), 8, 0.85),
        "something": _preferences(seed, "something", verbs, len(THINGS), 6, 0.85),
        "place": _preferences(seed, "place", verbs, len(PLACES), 2, 0.8),
        "adposition": _preferences(seed, "adposition", len(PLACES), len(ADPOSITIONS), 1, 0.5),
        "time": _preferences(seed, "time", verbs, len(TIMES), 2, 0.8),
        "adjective": _preferences(seed, "adjective", len(CONCEPTS), len(ADJECTIVES), 3, 0.8),
    }


def _pick(cumulative: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    picked: NDArray[np.int64] = (draws[:, None] >= cumulative).sum(axis=1)
    return np.minimum(picked, cumulative.shape[1] - 1)


def _where(present: NDArray[np.bool_], concepts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(present, concepts, ABSENT)


def _block(seed: int, profile: Profile, u: NDArray[np.float64]) -> NDArray[np.int64]:
    """Events as rows, in the order of the fields of `Event`, from one row of draws each."""
    world = _world(seed)
    animate, things, adjectives = np.array(ANIMATE), np.array(THINGS), np.array(ADJECTIVES)
    social = u[:, 0] < profile.social
    verb = (u[:, 1] * len(SOCIAL_VERBS)).astype(np.int64) + np.where(social, 0, len(SOCIAL_VERBS))
    agent = animate[_pick(world["agent"][verb], u[:, 2])]
    somebody = animate[_pick(world["somebody"][verb], u[:, 3])]
    patient = np.where(social, somebody, things[_pick(world["something"][verb], u[:, 3])])
    place = _pick(world["place"][verb], u[:, 4])
    has_place = u[:, 5] < profile.place
    described = [
        _where((u[:, 6 + k] < profile.adjective) & ~np.isin(noun, NAMES), adjectives[picked])
        for k, noun in enumerate((agent, patient))
        for picked in (_pick(world["adjective"][noun], u[:, 8 + k]),)
    ]
    columns = [
        agent,
        described[0],
        np.array([*SOCIAL_VERBS, *PRACTICAL_VERBS])[verb],
        patient,
        described[1],
        _where(has_place, np.array(ADPOSITIONS)[_pick(world["adposition"][place], u[:, 10])]),
        _where(has_place, np.array(PLACES)[place]),
        _where(u[:, 11] < profile.time, np.array(TIMES)[_pick(world["time"][verb], u[:, 12])]),
        np.array(TENSES)[(u[:, 13] * len(TENSES)).astype(np.int64)],
        (u[:, 14] < profile.negated).astype(np.int64),
    ]
    return np.stack(columns, axis=1)


def _tenth(events: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tenth of the space that an event lies in: a fixed hash of who does what to whom."""
    agent, verb, patient = events[:, 0], events[:, 2], events[:, 3]
    mixed = (np.minimum(agent, patient) * 7919 + np.maximum(agent, patient) * 104729 + verb * 1299709) % 2147483647
    return (mixed * 48271 % 2147483647) // 65536 % 10


def draw_events(
    seed: int, purpose: tuple[str, ...], split: str, n: int, profile: Profile, distinct: bool = True
) -> Iterator[tuple[Event, list[float]]]:
    """The first n events of a stream that `seed`, `purpose` and `split` determine, with spare draws for each."""
    if split not in SPLITS:
        hint = did_you_mean(split, SPLITS) or f"choose one of {', '.join(SPLITS)}"
        raise XstiltsError("unknown-name", f"the artificial world has no split '{split}'", "its splits are fixed", hint)
    seen: set[Event] = set()
    block = given = 0
    while given < n:
        u = generator(seed, "world", *purpose, split, block).random((_BLOCK, 15 + _EXTRA))
        events = _block(seed, profile, u)
        kept = np.isin(_tenth(events), SPLITS[split]) & (events[:, 0] != events[:, 3])
        for row, spare in zip(events[kept].tolist(), u[kept, 15:].tolist(), strict=True):
            event = Event(*row)
            if distinct and event in seen:
                continue
            seen.add(event)
            yield event, spare
            given += 1
            if given == n:
                return
        block += 1


def sibling(noun: int, draw: float) -> int:
    """Another noun of the same kind: a name for a name, else a member of the same category."""
    kin = next(members for members in (NAMES, *MEMBERS.values()) if noun in members)
    others = [k for k in kin if k != noun]
    return others[int(draw * len(others))]
