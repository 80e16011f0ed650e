"""What the numbers allow to be said, in sentences."""

from typing import Any

from xstilts.analysis.verdicts import BETTER, EQUIVALENT, UNDETERMINED, WORSE
from xstilts.report.console import interval, number, signed
from xstilts.report.tables import counted, targets, unbeaten

Result = dict[str, Any]

UNBEATEN = (
    "† Not shown to beat the baseline: the interval of the difference reaches zero or lies below it. "
    "Differences between such arms cannot be interpreted."
)

IDLE = (
    "encoder '{}' scores the same in both arms in every replicate, so it did not learn; disregard it. It makes the "
    "interval look narrower than it is."
)


def scope(result: Result) -> list[str]:
    """The scope of the conclusions that all verdicts share."""
    study, verdicts, encoders = result["study"], result["verdicts"], len(result["encoders"])
    lines = []
    if verdicts:
        each = f" ({verdicts[0]['level']:.1%} each)" if len(verdicts) > 1 else ""
        contrasts = f"{len(verdicts)} contrast{'s were' if len(verdicts) > 1 else ' was'}"
        replicates = " to ".join(map(str, sorted({row["replicates"] for row in verdicts})))
        lines += [
            f"{contrasts} declared before the run. Their intervals hold simultaneously with {study['level']:.0%} "
            f"confidence{each}, and a verdict follows from its interval alone.",
            f"Intervals account for variation between {replicates} paired replicates over all encoders and between "
            f"test items. They hold for {'this encoder' if encoders == 1 else f'these {encoders} encoders'}, which "
            f"{'was' if encoders == 1 else 'were'} chosen, not sampled.",
        ]
    primary = [target for target in targets(result) if target in study["primary"]]
    languages = "; ".join(f"{target}: {', '.join(counted(result, target)) or 'none'}" for target in primary)
    return [
        *lines,
        f"The score is the mean over held-out languages, on which no compared arm is trained ({languages}).",
        f"Differences within ±{study['equivalence']:g} points count as equivalent. Undetermined does not mean "
        "equivalent: the interval includes differences that matter.",
    ]


def remarks(judged: Result) -> list[str]:
    """Notes on one verdict: what would settle it, how single runs compare, and the multi-bootstrap's interval."""
    lines = [judged["decision"]["text"]] if judged["decision"] else []
    runs, bootstrap = judged["runs"], judged["bootstrap"]
    sd = runs["sd_difference"]
    spread = "" if sd is None else f"; the standard deviation of the difference over replicates is {sd:.1f} points"
    pair = f"A run of '{judged['left']}' beats a run of '{judged['right']}'"
    lines.append(f"{pair} with probability {runs['probability']:.2f}{spread}.")
    if bootstrap:
        corrected = interval({"low": bootstrap["corrected_low"], "high": bootstrap["corrected_high"]})
        method = "Multi-bootstrap over replicates and items, corrected for small samples"
        lines.append(f"{method}: {corrected} (uncorrected: {interval(bootstrap)}).")
    return lines


def caveats(result: Result) -> list[Result]:
    """What limits the verdicts: each `text` once, and whether it is a `warning`.

    A verdict may mean nothing although its interval is sound, if arms or encoders did not learn the task.
    """
    contrasts: dict[tuple[str, bool], list[str]] = {}
    for judged in result["verdicts"]:
        idle = [part["encoder"] for part in judged["parts"] if "encoder" in part and part["low"] == part["high"] == 0]
        for key in [(random_language_line(judged), False), *((IDLE.format(encoder), True) for encoder in idle)]:
            contrasts.setdefault(key, []).append(judged["contrast"])
    lines = [
        {"text": f"{', '.join(names)}: {text}", "warning": warning} for (text, warning), names in contrasts.items()
    ]
    compared = {judged[side] for judged in result["verdicts"] for side in ("left", "right")}
    for target in result["study"]["primary"]:
        if arms := [f"'{arm}'" for arm in unbeaten(result, target) if arm in compared]:
            text = f"{', '.join(arms)} {'is' if len(arms) == 1 else 'are'} not shown to beat the baseline on {target}."
            lines.append({"text": text, "warning": True})
    return lines


def footnote(result: Result) -> str:
    """What the mark † at scores means; "" if no score has it."""
    return UNBEATEN if any(unbeaten(result, target) for target in targets(result)) else ""


def random_language_line(judged: Result) -> str:
    """What a contrast shows by random-language inference, or why that is not possible."""
    effect = judged["random_languages"]
    opening = "This holds for these held-out languages"
    if "refused" in effect:
        return f"{opening}, not for languages like them: {effect['refused']}."
    how = f"random-language inference, each of the {effect['families']} families weighted equally"
    return f"{opening}. For languages like them ({how}): {signed(effect['estimate'])} {interval(effect)}."


def purpose(result: Result) -> str:
    """What the controls of a study are for."""
    secondary = {row["contrast"] for row in result["controls"]} & _confounded(result)
    comparisons = "secondary comparisons that confound language with data set"
    if not secondary:
        return "sanity checks"
    return comparisons if len(secondary) == len(result["controls"]) else f"sanity checks, and {comparisons}"


def expectation(result: Result, control: Result) -> tuple[str, str]:
    """What a control is expected to show, and whether it does; both follow from how its arms are defined.

    Nothing is expected of a secondary comparison.
    """
    if control["contrast"] in _confounded(result):
        return "Secondary comparison: its arms differ in their data set as well as in their language.", ""
    arms, word = result["study"]["arms"], control["verdict"]
    left, right = arms.get(control["left"], {}), arms.get(control["right"], {})
    if _settings(left) == _settings(right):
        expected = "The same arm twice, with independent randomness: no difference is expected."
        other = "Failed: look for a bug, or run more replicates, before believing any verdict."
        outcomes = {EQUIVALENT: "Passed.", UNDETERMINED: "No difference is shown, but one cannot be excluded."}
    elif left.get("languages") == "held-out":
        expected = "Trained on the held-out languages themselves: a gain is expected."
        other = "Not shown: gains of other arms may be too small for this set-up as well."
        worse = "Failed: look for a bug before believing any verdict."
        outcomes = {BETTER: "Passed: this set-up can show a gain.", WORSE: worse}
    else:
        return "A sanity check declared by the study.", ""
    return expected, outcomes.get(word, other)


def correlation(gains: Result) -> str:
    """Rho and p of the gain against distance, or why there is none."""
    if gains["rho"] is None:
        return "no rank correlation: too few languages with a distance, or no variation"
    return f"rho {signed(gains['rho'])}, p {gains['p']:.3f} ({gains['permutations']:,} permutations of languages)"


def slope(line: Result) -> str:
    """A slope of the gain on distance in words."""
    if "missing" in line:
        return f"none: {line['missing']}"
    return f"{signed(line['slope'])} {interval(line)}, p {number(line['p'], 3)}, {line['languages']} languages"


def budget_warning(rows: list[Result]) -> str:
    """Warn of arms with unequal examples or updates in the intermediate phase; "" if they are equal."""
    differing = [name for name in ("examples", "updates") if len({row[name] for row in rows}) > 1]
    return f"The arms did not have equal {' and '.join(differing)} in the intermediate phase." if differing else ""


def components_line(result: Result) -> str:
    """Say which variance components the power was computed for, and where they come from."""
    average = f" ({', '.join(result['contrasts'])}, on average)" if result["contrasts"] else ""
    assumed = "assumed, not measured; give --from RUN for those of a run"
    origin = assumed if result["from"] == "assumed" else f"from {result['from']}{average}"
    values = ", ".join(f"{name.replace('_', ' × ')} {value:g}" for name, value in result["components"].items())
    return f"Variance components in points², {origin}: {values}"


def _confounded(result: Result) -> set[str]:
    """The controls whose arms differ in data set and language; none in runs that do not record them."""
    return set(result["study"].get("confounded", ()))


def _settings(arm: Result) -> Result:
    return {name: value for name, value in arm.items() if name not in ("role", "independent")}
