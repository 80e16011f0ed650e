"""What the numbers allow to be said, in sentences."""

from typing import Any

from xstilts.analysis.verdicts import BETTER, EQUIVALENT, UNDETERMINED, WORSE
from xstilts.report.tables import counted, interval, signed, targets, unbeaten

Result = dict[str, Any]

UNBEATEN = (
    "No better than the baseline ({baseline}), as far as this run can tell: the interval of the difference reaches "
    "zero or lies below it. Differences between such arms say little of the task."
)


def scope(result: Result) -> list[str]:
    """What the design allows to say of all verdicts together."""
    study, judged = result["study"], result["verdicts"]
    encoders, primary = len(result["encoders"]), [t for t in targets(result) if t in study["primary"]]
    lines = []
    if judged:
        each = f", {judged[0]['level']:.1%} each" if len(judged) > 1 else ""
        lines.append(
            f"{_count(len(judged), 'contrast')} declared before the run. The intervals hold together with "
            f"{study['level']:.0%} confidence{each}; the verdict follows from the interval alone."
        )
        replicates = sorted({row["replicates"] for row in judged})
        lines.append(
            f"Uncertainty counts {' to '.join(map(str, replicates))} paired replicates (over all encoders) and the "
            f"test items. It holds for {'this encoder' if encoders == 1 else f'these {encoders} encoders'}: "
            "encoders were chosen, not sampled."
        )
    languages = "; ".join(f"{target}: {', '.join(counted(result, target)) or 'none'}" for target in primary)
    lines.append(f"Judged is the mean over held-out languages, in which no arm compared here is trained ({languages}).")
    lines.append(
        f"Inside ±{study['equivalence']:g} points is practically equivalent. Undetermined is not equivalent: "
        "the interval leaves both a difference that matters and none possible."
    )
    return lines


def remarks(judged: Result) -> list[str]:
    """What a reader of one verdict ought to know beside it: the second reading, what would decide, run by run."""
    lines = [random_language_line(judged)]
    if judged["decision"]:
        lines.append(judged["decision"]["text"])
    runs = judged["runs"]
    chance = (
        f"One run of '{judged['left']}' beats one of '{judged['right']}' with probability {runs['probability']:.2f}"
    )
    sd = runs["sd_difference"]
    spread = "" if sd is None else f"; the standard deviation of the difference over replicates is {sd:.1f} points"
    lines.append(f"{chance}{spread}.")
    drawn = judged["bootstrap"]
    if drawn:
        shown = interval({"low": drawn["corrected_low"], "high": drawn["corrected_high"]})
        plain = interval(drawn)
        lines.append(
            f"Multi-bootstrap of replicates and items, corrected for their number: {shown} (without: {plain})."
        )
    return lines


def random_language_line(judged: Result) -> str:
    """What the contrast says of languages like the held-out ones, or why it says nothing."""
    own = judged["random_languages"]
    opening = "This holds for these held-out languages. Of languages like these"
    if "refused" in own:
        return f"{opening} nothing is said: {own['refused']}."
    counting = f"each of the {own['families']} families counting alike"
    return f"{opening}, {counting}: {signed(own['estimate'])} {interval(own)}."


def slope(found: Result) -> str:
    """A slope of the gain on distance in words."""
    if "missing" in found:
        return f"none: {found['missing']}"
    return f"{signed(found['slope'])} {interval(found)}, p {found['p']:.3f}, {found['languages']} languages"


def doubts(result: Result, judged: Result) -> list[str]:
    """Why a verdict may be empty though its interval is sound: arms or encoders that did not learn the task."""
    lines = []
    for part in judged["parts"]:
        if "encoder" in part and part["low"] == part["high"] == 0:
            lines.append(
                f"Encoder '{part['encoder']}' scores the same in both arms and in every replicate, as one that learned "
                "nothing would: it tells nothing, and it makes the interval look narrower than it is."
            )
    for target in result["study"]["primary"]:
        idle = [arm for arm in (judged["left"], judged["right"]) if arm in unbeaten(result, target)]
        if idle:
            names = " and ".join(f"'{arm}'" for arm in idle)
            lines.append(f"On {target}, {names} scored no better than the baseline, as far as this run can tell.")
    return lines


def purpose(result: Result) -> str:
    """What the controls of a study are: not all of them check the machine."""
    secondary = {row["contrast"] for row in result["controls"]} & _confounded(result)
    if not secondary:
        return "checks of the machine, not findings"
    told = "secondary comparisons that confound language with data set"
    return told if len(secondary) == len(result["controls"]) else f"checks of the machine, and {told}; not findings"


def expectation(result: Result, control: Result) -> tuple[str, str]:
    """What a control ought to show, and whether it did; both follow from how its arms are defined.

    Nothing is expected of a secondary comparison.
    """
    if control["contrast"] in _confounded(result):
        return (
            "Secondary: confounds language with data set. What differs is the data set as much as the language.",
            "",
        )
    arms, word = result["study"]["arms"], control["verdict"]
    left, right = arms.get(control["left"], {}), arms.get(control["right"], {})
    if _settings(left) == _settings(right):
        ought = "The same arm twice, with independent randomness: it ought to show no difference."
        did = {
            EQUIVALENT: "It shows none, as it ought to.",
            UNDETERMINED: "It shows none, but its interval is too wide to exclude one.",
        }.get(word, "It does show one: look for a fault, or for too few replicates, before believing any verdict.")
        return ought, did
    if left.get("languages") == "held-out":
        ought = "Trained in held-out languages themselves: it ought to be better."
        did = {
            BETTER: "It is, as it ought to be: this set-up can show a gain.",
            WORSE: "It is worse: look for a fault before believing any verdict.",
        }.get(word, "That is not shown: a gain in other arms may be too small for this set-up to show as well.")
        return ought, did
    return "A check declared by the study.", ""


def correlation(found: Result) -> str:
    """Rho and p of the gain against distance, or why there is none."""
    if found["rho"] is None:
        return "no rank correlation: too few languages with a distance, or no variation"
    draws = f"{found['permutations']:,} permutations of languages"
    return f"rho {signed(found['rho'])}, p {found['p']:.3f} ({draws})"


def budget_warning(rows: list[dict[str, Any]]) -> str:
    """Says where arms with an intermediate phase had unequal examples or updates; "" where they are equal."""
    differing = [name for name in ("examples", "updates") if len({row[name] for row in rows}) > 1]
    return f"The arms did not have equal {' and '.join(differing)} in the intermediate phase." if differing else ""


def components_line(result: dict[str, Any]) -> str:
    """Say which variance components the power was computed for, and where they come from."""
    assumed = "assumed, not measured; give --from RUN for those of a run"
    average = f" ({', '.join(result['contrasts'])}, on average)" if result["contrasts"] else ""
    origin = assumed if result["from"] == "assumed" else f"from {result['from']}{average}"
    values = ", ".join(f"{name.replace('_', ' × ')} {value:g}" for name, value in result["components"].items())
    return f"Variance components in points², {origin}: {values}"


def _confounded(result: Result) -> set[str]:
    """The controls whose arms differ in data set and language, as the study's facts say where they are new enough."""
    return set(result["study"].get("confounded", ()))


def _settings(arm: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arm.items() if name not in ("role", "independent")}


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
