"""From an event to a sentence: its concepts in the order of a grammar, with the markers of that grammar."""

from xstilts.data.world import concepts
from xstilts.data.world.concepts import ABSENT, NOT, PERSONS, WHAT, WHERE, WHO
from xstilts.data.world.grammar import Grammar, Side
from xstilts.data.world.semantics import Event


def _attach(marker: int, phrase: list[int], side: Side) -> list[int]:
    """The phrase with a marker before or after it, or without one."""
    return {"none": phrase, "before": [marker, *phrase], "after": [*phrase, marker]}[side]


def _noun_phrase(grammar: Grammar, noun: int, adjective: int) -> list[int]:
    phrase = [noun] if adjective == ABSENT else _attach(adjective, [noun], grammar.adjective)
    return phrase if noun in concepts.PROPER else _attach(concepts.ARTICLE, phrase, grammar.article)


def _verb_group(grammar: Grammar, event: Event, subject: int) -> list[int]:
    group = [event.verb, concepts.PASSIVE] if event.passive else [event.verb]
    if grammar.agreement != "none":
        group = _attach(concepts.AGREE_PERSON if subject in PERSONS else concepts.AGREE_OTHER, group, grammar.agreement)
    if event.tense != ABSENT:
        group = _attach(event.tense, group, grammar.tense)
    if event.negated and grammar.negation != "final":
        group = _attach(NOT, group, grammar.negation)
    return group


def linearise(grammar: Grammar, event: Event, order: str) -> list[int]:
    """The concepts of a statement in the order of the language, basic order `order`; a wh-word stays in its place."""
    agent = _noun_phrase(grammar, event.agent, event.agent_adjective)
    patient = _noun_phrase(grammar, event.patient, event.patient_adjective)
    place = [event.place] if event.place == WHERE else _attach(event.adposition, [event.place], grammar.adposition)
    adverbials = [phrase for phrase, head in ((place, event.place), ([event.time], event.time)) if head != ABSENT]
    front = adverbials.pop() if event.fronted and adverbials else []
    if event.passive:
        adverbials.insert(0, _attach(concepts.BY, agent, grammar.adposition))
        parts = {"S": patient, "V": _verb_group(grammar, event, event.patient), "O": []}
    else:
        case_marked = _attach(concepts.OBJECT, patient, grammar.case)
        parts = {"S": agent, "V": _verb_group(grammar, event, event.agent), "O": case_marked}
        if event.scrambled and grammar.case != "none":
            order = order.translate(str.maketrans("SO", "OS"))
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
    asked = {
        WHO: {"agent": WHO, "agent_adjective": ABSENT},
        WHAT: {"patient": WHAT, "patient_adjective": ABSENT},
        WHERE: {"place": WHERE},
    }
    words = linearise(grammar, event._replace(**asked[wh]), order)
    if grammar.wh_fronting:
        words.remove(wh)
        words.insert(0, wh)
    return [*words, concepts.QUESTION_MARK]
