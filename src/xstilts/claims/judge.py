"""From a run to a result for each claim: supported, contradicted, undetermined, or not tested and what is missing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xstilts.analysis.comparison import compare_arms
from xstilts.analysis.effects import Effect, effect
from xstilts.analysis.verdicts import answer, as_json, verdict
from xstilts.claims.config_checks import CHECKS, other_encoders
from xstilts.claims.entries import Claim, Comparison, claims
from xstilts.claims.evidence import Pair, find_pairs
from xstilts.errors import XstiltsError
from xstilts.runs.reader import BASELINE, Run
from xstilts.tasks.xtreme import TARGETS

SUPPORTED, CONTRADICTED, UNDETERMINED, NOT_TESTED = "supported", "contradicted", "undetermined", "not tested"

Holds = bool | None
"""Whether a comparison shows what is claimed (True), shows that it is not so (False), or leaves it open (None)."""


@dataclass(frozen=True)
class Outcome:
    """How one claim fares; `rows` are its comparisons, `missing` what it would take to test it."""

    result: str
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def judge_claims(run: Run) -> list[dict[str, Any]]:
    """Every claim with its result in this run, as JSON objects.

    The comparisons of one claim share the study's level: each interval has level 1 − (1 − level) / m, m their number.
    Raises XstiltsError where predictions are there and cannot be read.
    """
    told = []
    for name, claim in claims().items():
        outcome = _by_makeup(claim, run) if claim.check else _by_comparisons(claim, run)
        told.append({"claim": name, **claim.model_dump(include={"says", "v1", "v2", "reference", "judged"}),
                     "result": outcome.result, "missing": outcome.missing, "notes": outcome.notes,
                     "comparisons": outcome.rows})  # fmt: skip
    return told


def _by_makeup(claim: Claim, run: Run) -> Outcome:
    held, missing = CHECKS[claim.check](run)
    if missing:
        return Outcome(NOT_TESTED, missing)
    return Outcome(CONTRADICTED if held else SUPPORTED, notes=held)


def _by_comparisons(claim: Claim, run: Run) -> Outcome:
    """Judges what the run has of a claim; with something missing it can be contradicted, but not supported."""
    found: list[tuple[Comparison, list[Pair]]] = []
    missing: list[str] = []
    if claim.encoder and (others := other_encoders(run)):
        missing.append(f"XLM-R Large as the encoder (the run has {', '.join(others)})")
    for comparison in claim.comparisons:
        pairs, lacks = find_pairs(comparison, run)
        found.append((comparison, pairs))
        missing += [] if comparison.beside else lacks
    m = sum(len(pairs) for _, pairs in found)
    parts: list[Holds] = []
    rows: list[dict[str, Any]] = []
    for comparison, pairs in found:
        try:
            own = [_row(comparison, pair, run, 1 - (1 - run.study["level"]) / m) for pair in pairs]
        except XstiltsError as error:
            missing.append(f"{error.what}: {error.why}")
            continue
        rows += own
        if own and not comparison.beside:
            parts.append(together([row["holds"] for row in own], comparison.count))
    unlearnt = _unlearnt(run, rows)
    if unlearnt:
        missing.append(f"an arm that scores better than the baseline on {', '.join(unlearnt)}")
    if unlearnt or (claim.encoder and missing):
        parts = []
    notes = _notes(claim, run, rows, not unlearnt)
    return Outcome(_result(parts, missing), list(dict.fromkeys(missing)), notes, rows)


def _unlearnt(run: Run, rows: list[dict[str, Any]]) -> list[str]:
    """The targets of comparisons where no arm that is compared beats the baseline on any of them: what nothing has
    learnt shows nothing. None where the run has no baselines to tell it by."""
    targets = list(dict.fromkeys(task for row in rows for task in (*row["targets"], row["over"]) if task))
    named = {row[side] for row in rows for side in ("left", "right")}
    arms = [arm for arm in run.arms if arm in named or not named <= set(run.arms)]
    beaten = [_beats_baseline(run, run.targets[task], arm) for task in targets for arm in arms]
    return targets if False in beaten and True not in beaten else []


def _beats_baseline(run: Run, target: str, arm: str) -> bool | None:
    """Whether an arm is better than the baseline in the held-out languages; None where that cannot be told."""
    try:
        return effect(compare_arms(run, arm, BASELINE, [target])).low > 0
    except XstiltsError:  # there is no baseline, or one replicate of the arm
        return None


def _result(parts: list[Holds], missing: list[str]) -> str:
    if False in parts:
        return CONTRADICTED
    if missing:
        return NOT_TESTED
    return SUPPORTED if all(parts) else UNDETERMINED


def together(holds: list[Holds], count: str) -> Holds:
    """Whether `all` comparisons hold, or `most` of them (more than half)."""
    if count == "all":
        return False if False in holds else (None if None in holds else True)
    if 2 * holds.count(True) > len(holds):
        return True
    return False if 2 * holds.count(False) >= len(holds) else None


def _large(effect: Effect, figure: float, margin: float) -> Holds:
    """More than half of what was claimed."""
    return _beyond(effect, figure / 2)


def _more(effect: Effect, figure: float, margin: float) -> Holds:
    """Above zero; not so where any difference is too small to matter."""
    if effect.low > 0:
        return True
    return False if effect.high <= margin else None


def _no_more(effect: Effect, figure: float, margin: float) -> Holds:
    """No gain that matters."""
    above = _beyond(effect, margin)
    return None if above is None else not above


def _not_less(effect: Effect, figure: float, margin: float) -> Holds:
    """Non-inferiority: at most so much worse as does not matter."""
    return _beyond(effect, -margin)


def _beyond(effect: Effect, points: float) -> Holds:
    if effect.low >= points:
        return True
    return False if effect.high < points else None


RELATIONS: dict[str, Callable[[Effect, float, float], Holds]] = {
    "large": _large, "more": _more, "no more": _no_more, "not less": _not_less,
}  # fmt: skip


def _row(comparison: Comparison, pair: Pair, run: Run, level: float) -> dict[str, Any]:
    margin = run.study["equivalence"]
    found = pair.measure(level)
    holds = RELATIONS[comparison.relation](found, comparison.figure, margin)
    return as_json(found, left=pair.left, right=pair.right, over=pair.over, targets=pair.targets, holds=holds,
                   relation=comparison.relation, figure=comparison.figure or None, beside=comparison.beside,
                   verdict=verdict(found, margin))  # fmt: skip


def _notes(claim: Claim, run: Run, rows: list[dict[str, Any]], learnt: bool) -> list[str]:
    """What a reader must know to weigh the result, with an answer where something was learnt."""
    if not rows:
        return []
    notes = []
    if claim.reference != "none" and (others := other_encoders(run)):
        notes.append(f"encoder {', '.join(others)}: what was claimed was claimed of XLM-R Large")
    averaged = {tuple(row["targets"]) for row in rows if len(row["targets"]) not in (1, len(TARGETS))}
    if any(c.targets in ("groups", "any") for c in claim.comparisons):
        notes += [f"mean over {len(t)} of XTREME's {len(TARGETS)} targets: {', '.join(t)}" for t in sorted(averaged)]
    if any(comparison.relation != "large" for comparison in claim.comparisons):
        notes.append(f"a difference inside ±{run.study['equivalence']:g} points counts as none that matters")
    notes += [
        warning for warning in run.plan["warnings"] if "same-task training" in warning and _concerns(warning, run, rows)
    ]
    kinds = {name: arm.languages for name, arm in run.arms.items()}
    if learnt and (told := answer([(row["left"], row["right"], row["verdict"]) for row in rows], kinds)):
        notes.append(told)
    return [*notes, f"for {len(run.encoders)} encoder{'s' if len(run.encoders) > 1 else ''} of this run"]


def _concerns(warning: str, run: Run, rows: list[dict[str, Any]]) -> bool:
    """Whether a warning of the plan names the intermediate training of an arm that is compared."""
    arms = [run.study["arms"].get(row[side], {}) for row in rows for side in ("left", "right")]
    return any(arm.get("intermediate") and f"intermediate '{arm['intermediate']}'" in warning for arm in arms)
