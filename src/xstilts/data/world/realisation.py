"""From an event to a sentence: concepts put in the order of a grammar, with its markers, then spelled."""

from xstilts.data.world.concepts import (
    ABSENT,
    AGREE_OTHER,
    AGREE_PERSON,
    ARTICLE,
    BY,
    NOT,
    OBJECT,
    PASSIVE,
    PERSONS,
    PROPER,
    QUESTION_MARK,
    WHAT,
    WHERE,
    WHO,
)
from xstilts.data.world.grammar import Grammar, Side
from xstilts.data.world.semantics import Event

_SCRAMBLE = str.maketrans("SO", "OS")


def _beside(marker: int, phrase: list[int], side: Side) -> list[int]:
    if side == "none":
        return phrase
    return [*phrase, marker] if side == "after" else [marker, *phrase]


def _noun_phrase(grammar: Grammar, noun: int, adjective: int) -> list[int]:
    phrase = [noun] if adjective == ABSENT else _beside(adjective, [noun], grammar.adjective)
    return phrase if noun in PROPER else _beside(ARTICLE, phrase, grammar.article)


def _verb_group(grammar: Grammar, event: Event, subject: int) -> list[int]:
    group = [event.verb, PASSIVE] if event.passive else [event.verb]
    if grammar.agreement != "none":
        group = _beside(AGREE_PERSON if subject in PERSONS else AGREE_OTHER, group, grammar.agreement)
    if event.tense != ABSENT:
        group = _beside(event.tense, group, grammar.tense)
    if event.negated and grammar.negation != "final":
        group = _beside(NOT, group, grammar.negation)
    return group


def _adverbials(grammar: Grammar, event: Event) -> list[list[int]]:
    """Place and time, the one that goes to the front of the sentence (if any does) last."""
    found = []
    if event.place == WHERE:
        found.append([WHERE])
    elif event.place != ABSENT:
        found.append(_beside(event.adposition, [event.place], grammar.adposition))
    if event.time != ABSENT:
        found.append([event.time])
    return found


def linearise(grammar: Grammar, event: Event, order: str) -> list[int]:
    """The concepts of a statement in the order in which the language says them; a wh-word stays in its place."""
    agent = _noun_phrase(grammar, event.agent, event.agent_adjective)
    patient = _noun_phrase(grammar, event.patient, event.patient_adjective)
    adverbials = _adverbials(grammar, event)
    front = adverbials.pop() if event.fronted and adverbials else []
    if event.passive:
        adverbials.insert(0, _beside(BY, agent, grammar.adposition))
        parts = {"S": patient, "V": _verb_group(grammar, event, event.patient), "O": []}
    else:
        case_marked = _beside(OBJECT, patient, grammar.case)
        parts = {"S": agent, "V": _verb_group(grammar, event, event.agent), "O": case_marked}
        if event.scrambled and grammar.case != "none":
            order = order.translate(_SCRAMBLE)
    core = [parts[role] for role in order]
    if event.negated and grammar.negation == "final":
        core.append([NOT])
    if grammar.adverbials == "medial":
        core[1:1] = adverbials[::-1]
    else:
        core += adverbials
    return [concept for phrase in (front, *core) for concept in phrase]


def ask(grammar: Grammar, event: Event, wh: int, order: str) -> list[int]:
    """The concepts of the question for the agent (who), the patient (what) or the place (where) of an event."""
    if wh == WHO:
        event = event._replace(agent=WHO, agent_adjective=ABSENT)
    elif wh == WHAT:
        event = event._replace(patient=WHAT, patient_adjective=ABSENT)
    else:
        event = event._replace(place=WHERE)
    concepts = linearise(grammar, event, order)
    if grammar.wh_fronting:
        concepts.remove(wh)
        concepts.insert(0, wh)
    return [*concepts, QUESTION_MARK]


def spell(concepts: list[int], forms: list[str]) -> str:
    """The words of a sentence, one space between them."""
    return " ".join([forms[concept] for concept in concepts])
