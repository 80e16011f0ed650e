"""What the numbers allow to be said, in sentences."""

from typing import Any

from xstilts.analysis.interpretation import IN_LANGUAGE, SAME_ARM, control_kind
from xstilts.analysis.verdicts import BETTER, EQUIVALENT, UNDETERMINED, WORSE
from xstilts.report.console import interval, number, signed
from xstilts.report.tables import target_table, targets

Result = dict[str, Any]


def artificial_note(result: Result) -> str:
    """What artificial data mean for the results; "" if there are none."""
    targets = result["study"].get("artificial", [])
    if not targets:
        return ""
    where = "" if len(targets) == len(result["study"]["types"]) else f" on {', '.join(targets)}"
    meaning = "each has the grammar of the real language of its name, and the results say nothing about the real ones"
    return f"Artificial languages{where}: {meaning}."


def verdict_words(judged: Result) -> str:
    """A verdict, and that it may be negligible if its sentence says so."""
    return str(judged["verdict"]) + ", may be negligible" * ("may be negligible" in judged["sentence"])


def scope(result: Result) -> list[str]:
    """The scope of the conclusions that all verdicts share."""
    study, verdicts, encoders = result["study"], result["verdicts"], len(result["encoders"])
    lines = []
    if verdicts:
        each = f" ({verdicts[0]['level']:.1%} each)" if len(verdicts) > 1 else ""
        contrasts = f"{len(verdicts)} contrast{'s were' if len(verdicts) > 1 else ' was'}"
        replicates = " to ".join(map(str, sorted({row["replicates"] for row in verdicts})))
        chosen = "this encoder, which was" if encoders == 1 else f"these {encoders} encoders, which were"
        lines += [
            f"{contrasts} declared before the run; the intervals hold simultaneously with {study['level']:.0%} "
            f"confidence{each}. They cover {replicates} paired replicates and the test items, for {chosen} chosen, "
            "not sampled.",
        ]
    primary = [target_table(result, target) for target in targets(result) if target in study["primary"]]
    languages = "; ".join(f"{table['target']}: {', '.join(table['languages']) or 'none'}" for table in primary)
    return [
        *lines,
        f"Scores are means over held-out languages, in which no compared arm is trained{not_zero_shot(result)} "
        f"({languages}).",
        f"Differences within ±{study['equivalence']:g} points count as equivalent; undetermined does not mean "
        "equivalent.",
    ]


def not_zero_shot(result: Result) -> str:
    """The arms that are trained in held-out languages on purpose, as an exception to a statement; "" without any."""
    kinds = {"translated": "machine translations", "shots": "labelled examples"}
    changes = {arm: settings.get("target_training", {}) for arm, settings in result["study"]["arms"].items()}
    named = [f"'{arm}' ({kinds[key]})" for arm, settings in changes.items() for key in kinds if settings.get(key)]
    return f", except {' and '.join(named)}" if named else ""


def remarks(judged: Result) -> list[str]:
    """Notes on one verdict: how single runs compare, and the multi-bootstrap's interval."""
    lines = []
    sd, probability, bootstrap = judged["runs"]["sd_difference"], judged["runs"]["probability"], judged["bootstrap"]
    spread = "" if sd is None else f"; the standard deviation of the difference over replicates is {sd:.1f} points"
    pair = f"'{judged['left']}' scores higher than '{judged['right']}'"
    lines.append(f"{pair} in {probability:.0%} of the pairs of runs (ties count half){spread}.")
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
        by_language, inference = judged["random_languages"], "Random-language inference"
        if "refused" in by_language:
            opening = "This holds only for these held-out languages"
            text = f"{opening}. {inference} is not possible: {by_language['refused']}."
        else:
            value = f"{signed(by_language['estimate'])} {interval(by_language)}"
            text = f"{inference} ({by_language['families']} families, weighted equally): {value}."
        contrasts.setdefault((text, False), []).append(judged["contrast"])
        for part in judged["parts"]:
            if "encoder" in part and part["low"] == part["high"] == 0:
                idle = f"encoder '{part['encoder']}' scores the same in both arms in every replicate"
                text = f"{idle}, so it did not learn; disregard it. It makes the interval look narrower than it is."
                contrasts.setdefault((text, True), []).append(judged["contrast"])
    lines = [{"text": f"{', '.join(names)}: {text}", "warning": idle} for (text, idle), names in contrasts.items()]
    compared = {judged[side] for judged in result["verdicts"] for side in ("left", "right")}
    for target in [name for name in result["study"]["primary"] if name in targets(result)]:
        if arms := [f"'{arm}'" for arm in target_table(result, target)["unbeaten"] if arm in compared]:
            text = f"{', '.join(arms)} {'is' if len(arms) == 1 else 'are'} not shown to beat the baseline on {target}."
            lines.append({"text": text, "warning": True})
    return lines


def footnote(result: Result) -> str:
    """What the mark † at scores means; "" if no score has it."""
    if not any(target_table(result, target)["unbeaten"] for target in targets(result)):
        return ""
    meaning = "the interval of the difference includes zero or is below zero"
    return f"† Not shown to beat the baseline: {meaning}. Differences between such arms cannot be interpreted."


def purpose(result: Result) -> str:
    """What the controls of a study are for; `confounded` ones differ in data set and language."""
    confounded = result["study"].get("confounded", ())
    secondary = [row for row in result["controls"] if row["contrast"] in confounded]
    comparisons = "secondary comparisons that confound language with data set"
    if not secondary:
        return "sanity checks"
    return comparisons if len(secondary) == len(result["controls"]) else f"sanity checks, and {comparisons}"


def expectation(result: Result, control: Result) -> tuple[str, str]:
    """What a control is expected to show, and whether it does; both follow from how its arms are defined.

    Nothing is expected of a secondary comparison.
    """
    if control["contrast"] in result["study"].get("confounded", ()):
        return "Secondary comparison: its arms differ in their data set as well as in their language.", ""
    kind = control_kind(result["study"], control)
    if kind == SAME_ARM:
        expected = "The same arm twice, with independent randomness: no difference is expected."
        other = "Failed: look for a bug, or run more replicates, before believing any verdict."
        outcomes = {EQUIVALENT: "Passed.", UNDETERMINED: "Inconclusive: no difference is shown, and none is excluded."}
    elif kind == IN_LANGUAGE:
        expected = "Trained on the held-out languages themselves: a gain is expected."
        other = "Not shown: this setup may also miss the gains of other arms."
        worse = "Failed: look for a bug before believing any verdict."
        outcomes = {BETTER: "Passed: this setup can detect a gain.", WORSE: worse}
    else:
        return "A sanity check declared by the study.", ""
    return expected, outcomes.get(control["verdict"], other)


def correlation(gains: Result) -> str:
    """Rho and p of the gain against distance, or why there is none."""
    if gains["rho"] is None:
        return "no rank correlation: too few languages with a distance, or no variation"
    return f"rho {signed(gains['rho'])}, p {gains['p']:.3f} ({gains['permutations']:,} permutations of languages)"


def slope(line: Result) -> str:
    """A slope of the gain on distance in words."""
    if "missing" in line:
        return f"not estimated: {line['missing']}"
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
