"""Pairs of sentences and questions as events, before any language: the same items in all languages.

Each function is an endless stream whose items follow from its arguments.
"""

from collections.abc import Iterator

from xstilts.data.world import concepts
from xstilts.data.world.concepts import ABSENT, PRACTICAL_VERBS, SOCIAL_VERBS
from xstilts.data.world.semantics import Event, draw_events

SCRAMBLED = 0.15
"""Share of restatements that reorder subject and object in a language whose case marking allows it."""
MODIFIERS = (("agent_adjective",), ("patient_adjective",), ("place", "adposition"), ("time",))
"""Fields of an event that can be left out, those that belong together."""
Pair = tuple[Event, Event, str, float]
"""Two events to be said one after the other, their label, and the draw that chooses among basic orders."""


def _choose(options: list[int], draw: float, but: int = ABSENT) -> int:
    """One of the options other than `but`."""
    options = [option for option in options if option != but]
    return options[int(draw * len(options))]


def _sibling(noun: int, draw: float) -> int:
    """Another noun of the same kind: a name for a name, else a member of the same category."""
    kin = next(members for members in (concepts.NAMES, *concepts.MEMBERS.values()) if noun in members)
    return _choose(kin, draw, but=noun)


def _drop(event: Event, u: list[float], often: float = 0.5) -> Event:
    """The event with some of its modifiers left out."""
    dropped = [name for names, draw in zip(MODIFIERS, u, strict=False) if draw < often for name in names]
    return event._replace(**dict.fromkeys(dropped, ABSENT))


def _generalise(event: Event, u: list[float]) -> Event:
    """The event with a noun replaced by its hypernym, whose adjectives go with it."""
    role = "agent" if u[4] < 0.5 else "patient"
    return event._replace(**{role: concepts.HYPERNYM[getattr(event, role)]})


def _contradicted(event: Event, u: list[float]) -> Event:
    """The event denied, or one of its adjectives turned into the opposite."""
    described = [f for f in ("agent_adjective", "patient_adjective") if getattr(event, f) != ABSENT]
    if described and not event.negated and u[4] < 0.5:
        field = described[int(u[5] * len(described))]
        return _drop(event, u, 0.3)._replace(**{field: concepts.ANTONYM[getattr(event, field)]})
    return (event if event.negated else _drop(event, u, 0.3))._replace(negated=1 - event.negated)


def _swap_roles(event: Event) -> Event:
    """Agent and patient exchanged, each with its adjective."""
    agent, agent_adjective, verb, patient, patient_adjective, *rest = event
    return Event(patient, patient_adjective, verb, agent, agent_adjective, *rest)


def _undecided(event: Event, u: list[float], hard: float) -> Event:
    """An event that the first neither entails nor rules out: the roles, a word, the tense or the adposition differs, or
    a modifier is added."""
    if u[7] < hard:
        event = _drop(event, u, 0.3)
        if event.verb in SOCIAL_VERBS and u[5] < 0.25:
            return _swap_roles(event)
        if u[5] < 0.5:
            return event._replace(agent=_sibling(event.agent, u[6]))
        if u[5] < 0.75:
            return event._replace(patient=_sibling(event.patient, u[6]))
        verbs = SOCIAL_VERBS if event.verb in SOCIAL_VERBS else PRACTICAL_VERBS
        return event._replace(verb=_choose(verbs, u[6], but=event.verb))
    tense = _choose(concepts.TENSES, u[6], but=event.tense)
    if event.negated or u[5] < 0.4:
        return (event if event.negated else _drop(event, u, 0.3))._replace(tense=tense)
    if event.place != ABSENT and u[5] < 0.55:
        return event._replace(adposition=_choose(concepts.ADPOSITIONS, u[6], but=event.adposition))
    if event.place == ABSENT and u[4] < 0.5:
        place, adposition = _choose(concepts.PLACES, u[6]), _choose(concepts.ADPOSITIONS, u[8])
        return event._replace(place=place, adposition=adposition)
    if event.time == ABSENT:
        return event._replace(time=_choose(concepts.TIMES, u[6]))
    if event.patient_adjective == ABSENT and event.verb in PRACTICAL_VERBS:
        return event._replace(patient_adjective=_choose(concepts.ADJECTIVES, u[6]))
    return event._replace(tense=tense)


def nli_pairs(seed: int, split: str, hard: float) -> Iterator[Pair]:
    """Yield premises and hypotheses; `hard`: share of neutral pairs that differ by a content word or by roles."""
    for event, u in draw_events(seed, ("nli", f"hard={hard}"), split):
        label = ("entailment", "neutral", "contradiction")[int(u[11] * 3)]
        if label == "neutral":
            second = _undecided(event, u, hard)
        elif label == "contradiction":
            second = _contradicted(event, u)
        elif event.negated:  # a denial does not entail the denial of less: only the form changes
            second = event._replace(fronted=1)
        else:
            weaker = _drop(event, u)
            second = _generalise(weaker, u) if u[5] < 0.35 or weaker == event else weaker
        yield event, second, label, u[9]


def paws_pairs(seed: int, split: str, passive: float) -> Iterator[Pair]:
    """Yield sentences of the same words: "1" is a restatement, "0" also exchanges roles or adjectives."""
    for event, u in draw_events(seed, ("paws", f"passive={passive}"), split, social=1, place=0.8, time=1):
        second, label = event, "1" if u[11] < 0.5 else "0"
        if label == "0":
            adjectives = event.agent_adjective, event.patient_adjective
            if len({ABSENT, *adjectives}) == 3 and u[0] < 0.3:
                second = event._replace(agent_adjective=adjectives[1], patient_adjective=adjectives[0])
            else:
                second = _swap_roles(event)
        second = second._replace(passive=1) if u[1] < passive else second._replace(fronted=1)
        if u[2] < SCRAMBLED:
            second = second._replace(scrambled=1)
        first, second = (event, second) if u[3] < 0.5 else (second, event)
        yield first, second, label, u[9]


def questions(seed: int, split: str) -> Iterator[tuple[tuple[Event, Event], int, int, float]]:
    """Yield two events with different verbs, which of them is asked about, by which wh-word, and the draw that chooses
    among basic orders."""
    waiting: Event | None = None
    for event, u in draw_events(seed, ("qa",), split, place=0.8, negated=0):
        if waiting is None or waiting.verb == event.verb:
            waiting = event
            continue
        asked = int(u[0] * 2)
        about = (waiting, event)[asked]
        wh = _choose([concepts.WHO, concepts.WHERE] if about.place != ABSENT else [concepts.WHO], u[1])
        if u[2] < 0.4 and about.verb in PRACTICAL_VERBS:
            wh = concepts.WHAT
        yield (waiting, event), asked, wh, u[9]
        waiting = None


def documents(seed: int, language: str, split: str) -> Iterator[Pair]:
    """Yield two sentences about one event for pretraining: restated, extended or contradicted. Each language has its
    own events: no two languages are parallel."""
    for event, u in draw_events(seed, ("text", language), split, distinct=False):
        if u[11] >= 0.7:
            yield event, _contradicted(event, u), "", u[9]
            continue
        second = _drop(event, u)
        if u[5] < 0.3:
            second = _generalise(second, u)
        forms = {"fronted": u[6] < 0.3, "passive": u[7] < 0.05, "scrambled": u[8] < SCRAMBLED}
        second = second._replace(**{form: 1 for form, drawn in forms.items() if drawn})
        first, second = (second, event) if u[11] < 0.3 else (event, second)
        yield first, second, "", u[9]
