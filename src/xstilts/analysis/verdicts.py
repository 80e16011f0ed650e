"""From an interval to a word, and from words to the answer."""

from collections.abc import Mapping
from typing import Any

from xstilts.analysis.effects import Effect

BETTER, WORSE, EQUIVALENT, UNDETERMINED = "better", "worse", "equivalent", "undetermined"


def verdict(effect: Effect, equivalence: float) -> str:
    """Inside the region of practical equivalence → equivalent; else wholly on one side of zero → better or worse;
    else undetermined. `equivalence` is half the width of that region, in points."""
    if -equivalence <= effect.low and effect.high <= equivalence:
        return EQUIVALENT
    if effect.low > 0:
        return BETTER
    if effect.high < 0:
        return WORSE
    return UNDETERMINED


def sentence(left: str, right: str, effect: Effect, word: str, equivalence: float, encoders: int) -> str:
    """The verdict in words, with the interval that it rests on."""
    scope = f"for {'this encoder' if encoders == 1 else f'these {encoders} encoders'}"
    shown = [f"{round(value, 1) + 0.0:+.1f}" for value in (effect.estimate, effect.low, effect.high)]
    interval = f"{shown[0]} points [{shown[1]}, {shown[2]}]"
    says = {
        BETTER: f"'{left}' is better than '{right}'",
        WORSE: f"'{left}' is worse than '{right}'",
        EQUIVALENT: f"'{left}' and '{right}' are equivalent within ±{equivalence:g} points",
        UNDETERMINED: f"whether '{left}' or '{right}' is better is undetermined",
    }[word]
    return f"{says}: {interval}, {scope}."


def answer(verdicts: list[tuple[str, str, str]], kinds: dict[str, str]) -> str:
    """What the declared contrasts together say of distance; "" where the study does not ask.

    Args:
        verdicts: (left arm, right arm, verdict) of each contrast; `kinds`: language strategy of each arm.

    That distant sources beat English is not yet that distance does it: any language that is not English might.
    """
    found: dict[tuple[str, str], str] = {}
    for left, right, word in verdicts:
        found.setdefault((kinds.get(left, ""), kinds.get(right, "")), word)
    english, near = found.get(("far", "english")), found.get(("far", "near"))
    if english is None:
        return ""
    opening = {
        BETTER: "Intermediate training in distant languages beats English-only intermediate training here",
        WORSE: "Intermediate training in distant languages does worse than English-only intermediate training here",
        EQUIVALENT: "Intermediate training in distant languages and in English only are practically equivalent here",
        UNDETERMINED: "Whether distant languages or English only make the better intermediate training is undetermined",
    }[english]
    if near is None:
        return f"{opening}; without an arm of near languages, nothing can be said of distance itself."
    if english == near == BETTER:
        return f"{opening}, and distant sources also beat near ones, so distance itself matters."
    closing = {
        BETTER: "distant sources do better than near ones",
        WORSE: "near sources do better than distant ones",
        EQUIVALENT: "distant and near sources are practically equivalent",
        UNDETERMINED: "whether distant or near sources do better is undetermined",
    }[near]
    return f"{opening}; {closing}{', so distance is not to be credited' if english == BETTER else ''}."


def as_json(effect: Effect, **more: Any) -> dict[str, Any]:
    """An effect as a JSON object with six decimals, beside what else is known of it."""
    return {**more, **rounded(vars(effect))}


def rounded(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The same with six decimals."""
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in numbers.items()}
