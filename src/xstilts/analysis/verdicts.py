"""From an interval to a verdict, and from the verdicts of a study to its answer."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from xstilts.analysis.effects import Effect

BETTER, WORSE, EQUIVALENT, UNDETERMINED = "better", "worse", "equivalent", "undetermined"
NOT_INTERPRETABLE = "not interpretable"
"""In place of a verdict, if the interval of a difference is sound but means nothing."""


def verdict(effect: Effect, equivalence: float) -> str:
    """The verdict that follows from an interval and the equivalence margin in points.

    Inside the margin: equivalent. Else wholly on one side of zero: better or worse. Else, and without an interval:
    undetermined.
    """
    if effect.low is None or effect.high is None:
        return UNDETERMINED
    if -equivalence <= effect.low and effect.high <= equivalence:
        return EQUIVALENT
    if effect.low > 0:
        return BETTER
    return WORSE if effect.high < 0 else UNDETERMINED


def sentence(left: str, right: str, effect: Effect, equivalence: float, scope: str = "", doubt: str = "") -> str:
    """The verdict in words, with the interval that it rests on; `scope` says what it holds for, `doubt` why it cannot
    be interpreted. A difference that may be within the equivalence margin is said to be perhaps negligible."""
    word = NOT_INTERPRETABLE if doubt else verdict(effect, equivalence)
    ends = [abs(end) for end in (effect.low, effect.high) if end is not None]
    small = "; may be negligible" if word in (BETTER, WORSE) and min(ends) < equivalence else ""
    says = {
        BETTER: f"'{left}' is better than '{right}'{small}",
        WORSE: f"'{left}' is worse than '{right}'{small}",
        EQUIVALENT: f"'{left}' and '{right}' are equivalent within ±{equivalence:g} points",
        UNDETERMINED: f"no conclusion about '{left}' and '{right}'",
        NOT_INTERPRETABLE: f"no conclusion about '{left}' and '{right}', because {doubt}",
    }[word]
    numbers = (effect.estimate, effect.low, effect.high)
    estimate, *shown = (f"{round(number, 1) + 0.0:+.1f}" for number in numbers if number is not None)
    missing = "without an interval (one replicate does not show how much runs vary)"
    interval = f"[{', '.join(shown)}]" if shown else missing
    return f"{says}: {estimate} points {interval}{scope and f', {scope}'}."


def answer(verdicts: Sequence[tuple[str, str, str]], strategies: Mapping[str, str]) -> str:
    """What the declared contrasts together say about distance; "" if the study does not ask.

    Args:
        verdicts: (left arm, right arm, verdict) of each contrast; strategies: arm → its language strategy.

    If distant sources beat English, distance need not be the reason: any sources other than English might beat it.
    """
    by_strategies = {
        (strategies.get(left, ""), strategies.get(right, "")): word for left, right, word in reversed(verdicts)
    }
    english, near = by_strategies.get(("far", "english")), by_strategies.get(("far", "near"))
    if english is None:
        return ""
    opening = {
        BETTER: "Intermediate training in distant languages beats English-only intermediate training here",
        WORSE: "Intermediate training in distant languages does worse than English-only intermediate training here",
        EQUIVALENT: "Intermediate training in distant languages and in English only are practically equivalent here",
        UNDETERMINED: "It remains undetermined whether distant languages or English alone are better for "
        "intermediate training",
        NOT_INTERPRETABLE: "This run cannot show whether distant languages or English alone are better for "
        "intermediate training",
    }[english]
    if near is None:
        return f"{opening}; no contrast with near languages shows what distance itself does."
    if english == near == BETTER:
        return f"{opening}, and distant sources also beat near ones, so distance itself matters."
    closing = {
        NOT_INTERPRETABLE: "nor can it compare distant sources with near ones",
        BETTER: "distant sources do better than near ones",
        WORSE: "near sources do better than distant ones",
        EQUIVALENT: "distant and near sources are practically equivalent",
        UNDETERMINED: f"the comparison of distant with near sources is {'also ' * (english == near)}undetermined",
    }[near]
    return f"{opening}; {closing}{', so the gain cannot be attributed to distance' if english == BETTER else ''}."


def figures(
    judged: Mapping[str, Any], languages: int, encoders: int, artificial: bool, not_learned: Collection[str] = ()
) -> str:
    """The numbers behind a judged contrast in one sentence: difference, interval, targets, languages, encoders and
    replicates, and the differences on other targets.

    judged: a row of the analysis with `left`, `right`, `estimate`, `low`, `high`, `targets`, `replicates`, `parts`;
    not_learned: targets on which neither arm is shown to beat the baseline, so that their difference means nothing.
    """
    ends = f" [{judged['low']:.1f}, {judged['high']:.1f}]" if judged["low"] is not None else ""
    each = judged["replicates"] // encoders
    runs = f"{encoders} encoder{'s' * (encoders > 1)} × {each} replicate{'s' * (each > 1)}"
    others = [part for part in judged["parts"] if part.get("target", judged["targets"][0]) not in judged["targets"]]
    shown = {part["target"]: part["estimate"] for part in others if " " not in part["target"]}
    parts = [f"{gain:+.1f} on {target}" for target, gain in shown.items() if target not in not_learned]
    parts += [f"not interpretable on {target}" for target in shown if target in not_learned]
    where = "On artificial languages, " if artificial else ""
    text = f"{where}'{judged['left']}' minus '{judged['right']}': {judged['estimate']:+.1f} points{ends}"
    text += f" on {' and '.join(judged['targets'])}, {languages} held-out languages, {runs}"
    return "; ".join([text, ", ".join(parts)] if parts else [text]) + "."


def as_json(effect: Effect, **more: Any) -> dict[str, Any]:
    """An effect as a JSON object with six decimals, after what else is known of it."""
    return {**more, **rounded(vars(effect))}


def rounded(numbers: Mapping[str, Any], digits: int | None = 6) -> dict[str, Any]:
    """Numbers for JSON: None for NaN, other floats rounded unless `digits` is None."""
    result = dict(numbers)
    for name, value in numbers.items():
        if isinstance(value, float):
            result[name] = None if value != value else value if digits is None else round(value, digits)
    return result
