"""The grammar of each language, read off the syntax features observed in the real language of its name, and the order
in which it puts the concepts of an event.

A feature that is not observed takes the mean of the values observed in the smallest branch of the family tree
that has any, in the end that of all languages of the world.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from xstilts.data.world import concepts
from xstilts.data.world.concepts import ABSENT, LANGUAGES, NOT, PATHS, PERSONS, WHAT, WHERE, WHO
from xstilts.data.world.semantics import Event
from xstilts.languages import syntax_features

Side = Literal["none", "before", "after"]


@dataclass(frozen=True)
class Grammar:
    """Typological parameters of one language."""

    orders: tuple[tuple[str, float], ...]
    """Basic orders of subject, verb and object with the cumulative probability of their use."""
    adposition: Side
    adjective: Side
    case: Side
    """The side of the noun phrase on which the marker of the object is."""
    negation: Literal["before", "after", "final"]
    tense: Side
    agreement: Side
    article: Side
    adverbials: Literal["medial", "final"]
    wh_fronting: bool

    def order(self, draw: float) -> str:
        """The basic order that a draw from [0, 1) falls on."""
        return next(order for order, upto in self.orders if draw < upto)


@cache
def _completed() -> dict[str, dict[str, float]]:
    """Features of each language by name, with those not observed filled from its relatives."""
    names, observed = syntax_features()
    completed: dict[str, dict[str, float]] = {}
    for language in LANGUAGES:
        values = np.array(observed[language], dtype=float)
        for depth in range(len(PATHS[language]), -1, -1):
            clade = [code for code in LANGUAGES if PATHS[code][:depth] == PATHS[language][:depth]]
            gaps = np.isnan(values)
            relatives = np.array([observed[code] for code in clade], dtype=float)[:, gaps]
            counts = (~np.isnan(relatives)).sum(axis=0)
            means = np.nansum(relatives, axis=0) / np.maximum(counts, 1)
            values[gaps] = np.where(counts > 0, means, np.nan)
        completed[language] = dict(zip(names, np.nan_to_num(values).tolist(), strict=True))
    return completed


_SIDES = {
    "adposition": ("ADPOSITION_BEFORE_NOUN", "ADPOSITION_AFTER_NOUN"),
    "adjective": ("ADJECTIVE_BEFORE_NOUN", "ADJECTIVE_AFTER_NOUN"),
    "case": ("CASE_PREFIX CASE_PROCLITIC", "CASE_SUFFIX CASE_ENCLITIC"),
    "negation": ("NEGATIVE_WORD_BEFORE_VERB NEGATIVE_PREFIX", "NEGATIVE_WORD_AFTER_VERB NEGATIVE_SUFFIX"),
    "tense": ("TEND_PREFIX TAM_PREFIX", "TEND_SUFFIX TAM_SUFFIX"),
    "article": (
        "ARTICLE_WORD_BEFORE_NOUN DEMONSTRATIVE_WORD_BEFORE_NOUN",
        "ARTICLE_WORD_AFTER_NOUN DEMONSTRATIVE_WORD_AFTER_NOUN",
    ),
}
"""The features that speak for a marker before its head, and those for one after it."""


def _side(lean: float) -> Literal["before", "after"]:
    return "after" if lean > 0 else "before"


@cache
def grammar(language: str) -> Grammar:
    """The grammar of a language of the world."""
    feature = _completed()[language]
    lean = {}
    for marker, features in _SIDES.items():
        before, after = (sum(feature[f"S_{name}"] for name in names.split()) for names in features)
        lean[marker] = after - before
    # Orders that are at least half observed are used in proportion to the squared value.
    weight = {order: feature[f"S_{order}"] ** 2 for order in ("SVO", "SOV", "VSO", "VOS", "OVS", "OSV")}
    used = {order: w for order, w in weight.items() if w >= 0.25} or {max(weight, key=lambda o: weight[o]): 1.0}
    upto = np.cumsum(list(used.values()))
    negation = _side(lean["negation"] or feature["S_NEGATIVE_WORD_ADJACENT_AFTER_VERB"])
    # A language with neither prefixes nor suffixes of tense has a free word, which goes before the verb.
    tense = _side(lean["tense"] - 0.5)
    verb_last = feature["S_OBJECT_BEFORE_VERB"] > feature["S_OBJECT_AFTER_VERB"]
    marks_objects = feature["S_CASE_MARK"] + feature["S_NOMINATIVE_VS_ACCUSATIVE_MARK"] > 1
    has_article = max(feature["S_DEFINITE_WORD"], feature["S_DEFINITE_AFFIX"]) >= 0.5
    return Grammar(
        orders=tuple((order, float(p)) for order, p in zip(used, upto / upto[-1], strict=True)),
        adposition=_side(lean["adposition"]),
        adjective=_side(lean["adjective"]),
        case=_side(lean["case"]) if marks_objects else "none",
        negation="final" if feature["S_NEGATIVE_WORD_FINAL"] >= 0.5 else negation,
        tense=tense,
        agreement=tense if feature["S_PROSUBJECT_AFFIX"] >= 0.5 else "none",
        article=_side(lean["article"]) if has_article else "none",
        adverbials="medial" if verb_last or feature["S_OBLIQUE_BEFORE_VERB"] >= 0.5 else "final",
        # No feature records the place of question words. They tend to stay in situ if the object precedes the
        # verb and if questions end in a particle.
        wh_fronting=not verb_last and feature["S_POLARQ_MARK_FINAL"] <= 0.5,
    )


def _attach(marker: int, phrase: list[int], side: Side) -> list[int]:
    """The phrase with a marker before or after it, or without one."""
    return {"none": phrase, "before": [marker, *phrase], "after": [*phrase, marker]}[side]


def _noun_phrase(grammar: Grammar, noun: int, adjective: int) -> list[int]:
    phrase = [noun] if adjective == ABSENT else _attach(adjective, [noun], grammar.adjective)
    return phrase if noun in concepts.PROPER else _attach(concepts.ARTICLE, phrase, grammar.article)


def linearise(grammar: Grammar, event: Event, order: str) -> list[int]:
    """The concepts of a statement, with the markers of the language, by a basic order; a wh-word stays in its place."""
    agent = _noun_phrase(grammar, event.agent, event.agent_adjective)
    patient = _noun_phrase(grammar, event.patient, event.patient_adjective)
    place = [event.place] if event.place == WHERE else _attach(event.adposition, [event.place], grammar.adposition)
    adverbials = [phrase for phrase, head in ((place, event.place), ([event.time], event.time)) if head != ABSENT]
    front = adverbials.pop() if event.fronted and adverbials else []
    verb = [event.verb, concepts.PASSIVE] if event.passive else [event.verb]
    if grammar.agreement != "none":
        is_person = (event.patient if event.passive else event.agent) in PERSONS
        verb = _attach(concepts.AGREE_PERSON if is_person else concepts.AGREE_OTHER, verb, grammar.agreement)
    if event.tense != ABSENT:
        verb = _attach(event.tense, verb, grammar.tense)
    if event.negated and grammar.negation != "final":
        verb = _attach(NOT, verb, grammar.negation)
    if event.passive:
        adverbials.insert(0, _attach(concepts.BY, agent, grammar.adposition))
        parts = {"S": patient, "V": verb, "O": []}
    else:
        parts = {"S": agent, "V": verb, "O": _attach(concepts.OBJECT, patient, grammar.case)}
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
