"""The comparisons that a run can make for a claim, and what it lacks for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from xstilts.analysis.comparison import compare_arms
from xstilts.analysis.effects import Effect, effect
from xstilts.claims.derived_arms import best, pooled, renamed, scaled, swapped
from xstilts.claims.entries import NINE, Comparison, canonical, means, wanted
from xstilts.runs.reader import Run
from xstilts.runs.score_table import ScoreTable
from xstilts.tasks.xtreme import TARGETS

GROUPS = ("classification", "tagging", "qa", "retrieval")
POOLED, BEST = "the arms together", "the best arm per target"


@dataclass(frozen=True)
class Pair:
    """One difference: arms by name, tasks of XTREME, the task whose gain is taken off, and the effect at a level."""

    left: str
    right: str
    targets: tuple[str, ...]
    over: str
    measure: Callable[[float], Effect]


def find_pairs(comparison: Comparison, run: Run) -> tuple[list[Pair], list[str]]:
    """The differences of a comparison that the run can show, or what it lacks to make the comparison, in words."""
    tasks, lacks = _targets(comparison, run)
    arms, lacking = _arms(comparison, run)
    if lacks or lacking:
        return [], lacks + lacking
    tables = {task: run.score_table(run.targets[task]) for task in dict.fromkeys((*tasks, *_others(comparison, run)))}
    pairs = [pair for left, right in arms for pair in _measures(comparison, run, tables, tasks, left, right)]
    return pairs, []


def _targets(comparison: Comparison, run: Run) -> tuple[tuple[str, ...], list[str]]:
    """The tasks of XTREME that a comparison is about, and those that the run lacks."""
    held = tuple(task for task in TARGETS if task in run.targets and _held_out(run, task))
    lacks = _lacking_groups(_others(comparison, run), GROUPS[:-1]) if comparison.over else []
    if isinstance(comparison.targets, tuple) or comparison.targets == "all":
        named = tuple(TARGETS) if comparison.targets == "all" else comparison.targets
        return named, [*(_lacking(run, task) for task in named if task not in held), *lacks]
    if comparison.targets == "groups":
        return held, _lacking_groups(held, GROUPS)
    return held, [] if held else ["a target of XTREME"]


def _lacking_groups(tasks: Sequence[str], groups: Sequence[str]) -> list[str]:
    there = {TARGETS[task].group for task in tasks}
    return [f"a {group} target of XTREME ({_names(group)})" for group in groups if group not in there]


def _others(comparison: Comparison, run: Run) -> list[str]:
    """The targets with training data whose gain is compared with, where a comparison asks for it."""
    if not comparison.over:
        return []
    return [task for task in TARGETS
            if task in run.targets and TARGETS[task].group != "retrieval" and _held_out(run, task)]  # fmt: skip


def _held_out(run: Run, task: str) -> list[str]:
    evaluated = run.plan["evaluated"][run.targets[task]]
    return [code for code in run.plan["held_out"] if code in evaluated]


def _lacking(run: Run, task: str) -> str:
    return f"a held-out language of {task}" if task in run.targets else f"{task} as a target"


def _names(group: str) -> str:
    return ", ".join(task for task, target in TARGETS.items() if target.group == group)


def _arms(comparison: Comparison, run: Run) -> tuple[list[tuple[list[str], str]], list[str]]:
    """Left arms (several where they are taken together) and right arm of each difference, and what the run lacks."""
    left, right = ([name for name, arm in run.arms.items() if means(side, arm)]
                   for side in (comparison.left, comparison.right))  # fmt: skip
    if isinstance(comparison.left.tasks, tuple):
        names = comparison.left.tasks
        left = sorted(left, key=lambda name: names.index(canonical(run.arms[name].tasks)[0]))[:1]
    lacks = []
    if len(left) < comparison.at_least:
        several = f" ({comparison.at_least} such arms; the run has {len(left)})" if comparison.at_least > 1 else ""
        lacks.append(wanted(comparison.left) + several)
    if not right:
        lacks.append(wanted(comparison.right))
    if comparison.every_task and right:
        there = {canonical(run.arms[name].tasks)[0] for name in right}
        lacks += [f"an arm with {task} alone in English" for task in NINE if task not in there]
    if lacks:
        return [], lacks
    if comparison.arms != "each":
        return [(left, right[0])], []
    pairs = [([one], other) for one in left for other in right
             if not comparison.same_tasks or run.arms[one].tasks == run.arms[other].tasks]  # fmt: skip
    return pairs, [] if pairs else [f"{wanted(comparison.right)}: the same tasks as in {', '.join(left)}"]


def _measures(
    comparison: Comparison,
    run: Run,
    tables: dict[str, ScoreTable],
    tasks: tuple[str, ...],
    left: list[str],
    right: str,
) -> list[Pair]:
    """The differences for one pair of arms: one over all tasks, or one for each task to be exceeded."""
    held = {task: _held_out(run, task) for task in tables}
    name = left[0]
    if comparison.arms == "pooled":
        name, tables = (
            POOLED,
            {task: pooled(table, left, POOLED) for task, table in tables.items()},
        )
    elif comparison.arms == "best":
        name = BEST
        tables = {task: renamed(table, best(table, left, held[task]), BEST) for task, table in tables.items()}

    def over_all(level: float) -> Effect:
        return _effect(run, {task: tables[task] for task in tasks}, name, right, level)

    def exceeding(other: str) -> Callable[[float], Effect]:
        both = {tasks[0]: tables[tasks[0]], other: swapped(tables[other], name, right)}
        return lambda level: scaled(_effect(run, both, name, right, level), 2.0)

    if comparison.over:
        return [Pair(name, right, tasks, other, exceeding(other)) for other in _others(comparison, run)]
    return [Pair(name, right, tasks, "", over_all)]


def _effect(run: Run, tables: dict[str, ScoreTable], left: str, right: str, level: float) -> Effect:
    """The difference of two arms in the held-out languages, mean over tasks of XTREME, as a contrast has it."""
    comparison = compare_arms(run, left, right, [run.targets[task] for task in tables], level=level)
    return effect(replace(comparison, tables=tuple(tables.values())))
