"""Gains of intermediate training: one for each arm, replicate, target and language of a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xstilts.errors import XstiltsError
from xstilts.runs.reader import Run


@dataclass(frozen=True)
class Gain:
    """What one intermediate training gained in one language over the same replicate without it, in points.

    training: run, encoder and replicate; intermediate: names of the intermediate tasks, joined by +; examples: of the
    intermediate training, over all its languages, NaN if unknown.
    """

    run: str
    encoder: str
    training: str
    arm: str
    intermediate: str
    sources: tuple[str, ...]
    target: str
    language: str
    points: float
    examples: float = 1.0


def groups(gains: Sequence[Gain]) -> list[np.ndarray]:
    """Positions of the gains that can be compared: those of one training, target and language."""
    members: dict[tuple[str, str, str], list[int]] = {}
    for i, gain in enumerate(gains):
        members.setdefault((gain.training, gain.target, gain.language), []).append(i)
    return [np.array(positions) for positions in members.values()]


def gains(runs: Sequence[Run], target: str = "") -> list[Gain]:
    """The gains of all runs, of one target task if it is named.

    Languages that the model was trained on (the anchor and the arm's sources), baselines, and arms that mix in masked
    language modelling are left out. Raises XstiltsError if a run has no arm without the intermediate phase, or no run
    has gains on the target.
    """
    collected = [gain for run in runs for gain in _run_gains(run, target)]
    if not collected:
        tasks = ", ".join(sorted({task for run in runs for task in run.study["tasks"].values()}))
        what = f"there are no gains to learn from{f' on {target}' if target else ''}"
        why = f"the targets are {tasks}; each needs finished arms with and without an intermediate task"
        raise XstiltsError("too-few", what, why, "finish the run, or choose another run or target")
    return collected


def _run_gains(run: Run, only: str) -> Iterator[Gain]:
    without = [arm for arm, facts in run.arms.items() if not facts.tasks and not facts.mlm and facts.role == "arm"]
    if not without:
        what = f"{run.folder} has no arm without the intermediate phase"
        raise XstiltsError("inconsistent", what, "a gain is the difference from it", "add `none: {}` to the arms")
    trained = [budget for budget in run.budgets if budget.get("intermediate")]
    examples = {(b["arm"], b["encoder"], b["replicate"]): b["intermediate"]["examples"] for b in trained}
    arms = {arm: facts for arm, facts in run.arms.items() if facts.tasks and not facts.mlm and facts.role != "baseline"}
    anchor = run.plan["study"]["languages"]["anchor"]
    for target in run.scored:
        task = run.study["tasks"][target]
        if only not in ("", task):
            continue
        table = run.score_table(target)
        for cell in [cell for arm in arms for cell in table.cells(arm)]:
            arm, encoder, replicate = cell
            base = (without[0], encoder, replicate)
            sources, count = run.sources(*cell), float(examples.get(cell) or np.nan)
            label = "+".join(arms[arm].tasks) + (" translated" if arms[arm].translated else "")
            training = f"{run.name}:{encoder}:{replicate}"
            for code in table.languages if base in table.cluster_stats else ():
                if code not in (*sources, anchor):
                    points = table.score(cell, code) - table.score(base, code)
                    yield Gain(run.name, encoder, training, arm, label, sources, task, code, points, count)


def signal(gains: Sequence[Gain]) -> list[dict]:
    """Test for each run and target whether arms differ by more than their replicates do.

    This is the F test of a randomised block design: the arms' mean gains with trainings as blocks, over the languages
    that all arms have. `p` is None if fewer than two arms or trainings are complete.
    """
    tests = []
    for run, target in dict.fromkeys((gain.run, gain.target) for gain in gains):
        group = [gain for gain in gains if (gain.run, gain.target) == (run, target)]
        arms, trainings = (sorted({getattr(gain, name) for gain in group}) for name in ("arm", "training"))
        shared = set.intersection(*({gain.language for gain in group if gain.arm == arm} for arm in arms))
        points: dict[tuple[str, str], list[float]] = {}
        for gain in group:
            if gain.language in shared:
                points.setdefault((gain.arm, gain.training), []).append(gain.points)
        complete = [training for training in trainings if all((arm, training) in points for arm in arms)]
        a, b, p = len(arms), len(complete), None
        if min(a, b) > 1:
            means = np.array([[np.mean(points[arm, training]) for training in complete] for arm in arms])
            residual = means - means.mean(1, keepdims=True) - means.mean(0) + means.mean()
            between, within = b * means.mean(1).var(ddof=1), (residual**2).sum() / ((a - 1) * (b - 1))
            p = stats.f.sf(between / within, a - 1, (a - 1) * (b - 1)) if within > 0 else between == 0
        tests.append({"run": run, "target": target, "arms": a, "units": b, "p": None if p is None else float(p)})
    return tests
