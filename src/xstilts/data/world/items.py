"""Pairs of sentences and questions as events, before any language: the same items in all languages."""

from collections.abc import Iterator
from typing import NamedTuple

from xstilts.data.world.concepts import (
    ABSENT,
    ADJECTIVES,
    ADPOSITIONS,
    ANTONYM,
    HYPERNYM,
    PLACES,
    PRACTICAL_VERBS,
    SOCIAL_VERBS,
    TENSES,
    TIMES,
    WHAT,
    WHERE,
    WHO,
)
from xstilts.data.world.semantics import Event, Profile, draw_events, sibling

ENTAILMENT, NEUTRAL, CONTRADICTION = "entailment", "neutral", "contradiction"
SCRAMBLED = 0.15
"""Share of restatements that reorder subject and object in a language whose case marking allows it."""


class Pair(NamedTuple):
    """Two events to be said one after the other, their label, and the draw that chooses among basic orders."""

    first: Event
    second: Event
    label: str
    style: float


class Question(NamedTuple):
    """Two events, which of them is asked about, and by which wh-word."""

    first: Event
    second: Event
    asked: int
    wh: int
    style: float


def _choose(options: list[int], draw: float) -> int:
    return options[int(draw * len(options))]


def _other(options: list[int], taken: int, draw: float) -> int:
    return _choose([option for option in options if option != taken], draw)


def _drop(event: Event, u: list[float], often: float = 0.5) -> Event:
    """The event with some of its modifiers left out."""
    if event.agent_adjective != ABSENT and u[0] < often:
        event = event._replace(agent_adjective=ABSENT)
    if event.patient_adjective != ABSENT and u[1] < often:
        event = event._replace(patient_adjective=ABSENT)
    if event.place != ABSENT and u[2] < often:
        event = event._replace(place=ABSENT, adposition=ABSENT)
    if event.time != ABSENT and u[3] < often:
        event = event._replace(time=ABSENT)
    return event


def _generalise(event: Event, u: list[float]) -> Event:
    """The event with a noun replaced by its hypernym, whose adjectives go with it."""
    if u[4] < 0.5:
        return event._replace(agent=HYPERNYM[event.agent])
    return event._replace(patient=HYPERNYM[event.patient])


def _entailed(event: Event, u: list[float]) -> Event:
    if event.negated:
        return event._replace(fronted=1)
    weaker = _drop(event, u)
    return _generalise(weaker, u) if u[5] < 0.35 or weaker == event else weaker


def _contradicted(event: Event, u: list[float]) -> Event:
    """The event denied, or one of its adjectives turned into the opposite."""
    described = [f for f in ("agent_adjective", "patient_adjective") if getattr(event, f) != ABSENT]
    if described and not event.negated and u[4] < 0.5:
        field = described[int(u[5] * len(described))]
        opposite = {field: ANTONYM[getattr(event, field)]}
        return _drop(event, u, 0.3)._replace(**opposite)
    return (event if event.negated else _drop(event, u, 0.3))._replace(negated=1 - event.negated)


def _changed_word(event: Event, u: list[float]) -> Event:
    """The event with agent and patient exchanged, or one noun or the verb replaced by another of its kind."""
    if event.verb in SOCIAL_VERBS and u[5] < 0.25:
        return swap_roles(event)
    if u[5] < 0.5:
        return event._replace(agent=sibling(event.agent, u[6]))
    if u[5] < 0.75:
        return event._replace(patient=sibling(event.patient, u[6]))
    verbs = SOCIAL_VERBS if event.verb in SOCIAL_VERBS else PRACTICAL_VERBS
    return event._replace(verb=_other(verbs, event.verb, u[6]))


def _undecided(event: Event, u: list[float], hard: float) -> Event:
    """An event that the first neither entails nor rules out."""
    if u[7] < hard:
        return _changed_word(_drop(event, u, 0.3), u)
    if event.negated or u[5] < 0.4:
        return (event if event.negated else _drop(event, u, 0.3))._replace(tense=_other(TENSES, event.tense, u[6]))
    if event.place != ABSENT and u[5] < 0.55:
        return event._replace(adposition=_other(ADPOSITIONS, event.adposition, u[6]))
    added = _added(event, u)
    return added if added != event else event._replace(tense=_other(TENSES, event.tense, u[6]))


def _added(event: Event, u: list[float]) -> Event:
    """The event with one more modifier where there is room for it."""
    if event.place == ABSENT and u[4] < 0.5:
        return event._replace(place=_choose(PLACES, u[6]), adposition=_choose(ADPOSITIONS, u[8]))
    if event.time == ABSENT:
        return event._replace(time=_choose(TIMES, u[6]))
    if event.patient_adjective == ABSENT and event.verb in PRACTICAL_VERBS:
        return event._replace(patient_adjective=_choose(ADJECTIVES, u[6]))
    return event


def swap_roles(event: Event) -> Event:
    """Agent and patient exchanged, each with its adjective."""
    return event._replace(
        agent=event.patient,
        agent_adjective=event.patient_adjective,
        patient=event.agent,
        patient_adjective=event.agent_adjective,
    )


def nli_pairs(seed: int, split: str, n: int, hard: float) -> Iterator[Pair]:
    """Premise and hypothesis; `hard` is the share of neutral pairs that differ by a content word or by roles."""
    for event, u in draw_events(seed, ("nli", f"hard={hard}"), split, n, Profile()):
        label = (ENTAILMENT, NEUTRAL, CONTRADICTION)[int(u[11] * 3)]
        if label == ENTAILMENT:
            second = _entailed(event, u)
        elif label == NEUTRAL:
            second = _undecided(event, u, hard)
        else:
            second = _contradicted(event, u)
        yield Pair(event, second, label, u[9])


def paws_pairs(seed: int, split: str, n: int, passive: float) -> Iterator[Pair]:
    """Sentences of the same words: "1" is a restatement, "0" also exchanges roles or adjectives."""
    profile = Profile(social=1, place=0.8, time=1)
    for event, u in draw_events(seed, ("paws", f"passive={passive}"), split, n, profile):
        second = event
        label = "1" if u[11] < 0.5 else "0"
        if label == "0":
            one, other = event.agent_adjective, event.patient_adjective
            if one != other and u[0] < 0.3 and ABSENT not in (one, other):
                second = event._replace(agent_adjective=other, patient_adjective=one)
            else:
                second = swap_roles(event)
        second = second._replace(passive=1) if u[1] < passive else second._replace(fronted=1)
        if u[2] < SCRAMBLED:
            second = second._replace(scrambled=1)
        first, second = (event, second) if u[3] < 0.5 else (second, event)
        yield Pair(first, second, label, u[9])


def questions(seed: int, split: str, n: int) -> Iterator[Question]:
    """Two events with different verbs and a question about one of them."""
    # One event in twelve has the verb of the one before it and cannot be paired: three for each question suffice.
    stream = draw_events(seed, ("qa",), split, 3 * n + 64, Profile(place=0.8, negated=0))
    waiting: Event | None = None
    given = 0
    for event, u in stream:
        if given == n:
            return
        if waiting is None or waiting.verb == event.verb:
            waiting = event
            continue
        pair, asked = (waiting, event), int(u[0] * 2)
        about = pair[asked]
        wh = _choose([WHO, WHERE] if about.place != ABSENT else [WHO], u[1])
        if u[2] < 0.4 and about.verb in PRACTICAL_VERBS:
            wh = WHAT
        yield Question(*pair, asked, wh, u[9])
        waiting, given = None, given + 1


def documents(seed: int, language: str, split: str, n: int) -> Iterator[Pair]:
    """Two sentences about one event for pretraining: restated, extended or contradicted; no two languages alike."""
    for event, u in draw_events(seed, ("text", language), split, n, Profile(), distinct=False):
        first, second = event, event
        if u[11] < 0.7:
            second = _drop(event, u)
            if u[5] < 0.3:
                second = _generalise(second, u)
            if u[6] < 0.3:
                second = second._replace(fronted=1)
            if u[7] < 0.05:
                second = second._replace(passive=1)
            if u[8] < SCRAMBLED:
                second = second._replace(scrambled=1)
            if u[11] < 0.3:
                first, second = second, first
        else:
            second = _contradicted(event, u)
        yield Pair(first, second, "", u[9])
