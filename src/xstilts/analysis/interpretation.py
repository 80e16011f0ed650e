"""What makes a verdict meaningless although its interval is sound: arms that did not learn, failed controls."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xstilts.analysis.verdicts import BETTER, WORSE

Row = Mapping[str, Any]
SAME_ARM, IN_LANGUAGE = "same arm", "in-language"
IRRELEVANT = ("role", "independent", "replicates")
"""Settings by which two arms that are trained alike may differ."""


def control_kind(study: Row, control: Row) -> str:
    """What a control checks by how its arms are defined: `SAME_ARM` (the same arm twice, no difference is expected),
    `IN_LANGUAGE` (trained on the held-out languages themselves, a gain is expected), or "" if nothing is expected."""
    if control["contrast"] in study.get("confounded", ()):
        return ""
    left, right = (
        {name: value for name, value in study["arms"].get(control[side], {}).items() if name not in IRRELEVANT}
        for side in ("left", "right")
    )
    return SAME_ARM if left == right else IN_LANGUAGE if left.get("languages") == "held-out" else ""


def failed_controls(study: Row, controls: Iterable[Row]) -> list[str]:
    """The controls that show the opposite of what is expected."""
    opposite = {SAME_ARM: (BETTER, WORSE), IN_LANGUAGE: (WORSE,)}
    return [row["contrast"] for row in controls if row["verdict"] in opposite.get(control_kind(study, row), ())]


def doubt_about(study: Row, contrast: Row, baselines: Sequence[Row], controls: Iterable[Row]) -> str:
    """Why a contrast cannot be interpreted, in words; "" if it can.

    baselines: rows of `target`, `arm` and `beaten`, None if there is no interval to tell.
    """
    if failed := failed_controls(study, controls):
        return f"the control '{failed[0]}' failed"
    beaten = {(row["target"], row["arm"]): row["beaten"] for row in baselines}
    arms = contrast["left"], contrast["right"]
    if all(beaten.get((target, arm)) is False for target in contrast["targets"] for arm in arms):
        return f"neither arm is shown to beat the baseline on {' or '.join(contrast['targets'])}"
    return ""
