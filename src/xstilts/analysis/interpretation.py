"""What limits a run: arms that did not learn, controls that failed, and what a partly finished run lacks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xstilts.analysis.verdicts import BETTER, WORSE
from xstilts.engine import read_steps
from xstilts.runs.reader import Run
from xstilts.runs.run_files import EVENTS, STEPS
from xstilts.runs.score_table import ScoreTable
from xstilts.runs.verify import verified_events

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


def missing_cells(run: Run, tables: Mapping[str, ScoreTable]) -> list[str]:
    """What a partly finished run lacks, in words: targets, replicates of arms, and the steps that failed last."""
    frozen, lacking = run.plan["study"], []
    for target in run.labelled:
        if target not in tables:
            lacking.append(f"'{target}' is not scored yet")
            continue
        for arm, entry in frozen.get("arms", {}).items():
            if (only := frozen["targets"].get(target, {}).get("arms")) and arm not in only:
                continue
            planned = min(frozen["replicates"], entry.get("replicates") or frozen["replicates"]) * len(run.encoders)
            scored = len(tables[target].cells(arm))
            if scored < planned and (scored or not entry.get("mask_column")):
                lacking.append(f"'{target}' has {scored} of {planned} runs of arm '{arm}'")
    return lacking + _failures(run)


def _failures(run: Run) -> list[str]:
    """The steps that failed when the study was last started, each with the reason."""
    events = verified_events(run.folder)
    if events is None:
        return [f"{EVENTS} is missing or was changed after the study wrote it: which steps failed is not known"]
    last = [event for event in events if event.get("session") == events[-1].get("session")]
    failed = {event["step"]: event["why"] for event in last if event["event"] == "failed"}
    if not failed:
        return []
    steps = read_steps(run.folder / STEPS)[0].steps
    labels = {name: steps[name].label if name in steps else name for name in failed}
    return [f"step '{labels[name]}' failed: {why}" for name, why in failed.items()]
