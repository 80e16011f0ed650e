"""What a run shows of one claim: the comparisons that it can make, what it lacks for others, and the result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal

from xstilts.analysis.comparison import Comparison, compare_arms
from xstilts.analysis.effects import Effect, effect, weighted
from xstilts.analysis.verdicts import answer, as_json, verdict
from xstilts.errors import XstiltsError
from xstilts.runs.reader import BASELINE, Run
from xstilts.tasks.xtreme import GROUPS, TARGETS

SUPPORTED, CONTRADICTED, UNDETERMINED, NOT_TESTED = "supported", "contradicted", "undetermined", "not tested"
NINE = ("anli_plus", "mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "ccg", "cosmosqa", "commonsenseqa")
"""The nine intermediate tasks of Phang et al. 2020. The abstract of v2 names three; the others are unconfirmed."""
ALIASES = {"squad": "squad_v1"}
LARGE = "xlm-roberta-large"
TASKS: dict[str, tuple[str, Callable[[set[str]], bool]]] = {
    "none": ("no intermediate task", lambda tasks: not tasks),
    "any": ("any intermediate task", bool),
    "one": ("one of the nine intermediate tasks", lambda tasks: len(tasks) == 1 and tasks <= set(NINE)),
    "some": ("some of the nine intermediate tasks", lambda tasks: bool(tasks) and tasks <= set(NINE)),
    "all": ("all nine intermediate tasks together", lambda tasks: tasks == set(NINE)),
}
Derive = Callable[[Comparison, Sequence[str]], Comparison]
Relation = Literal["large", "more", "no more", "not less"]
Holds = bool | None
"""Whether a comparison shows what is claimed (True), shows the opposite (False), or leaves it open (None)."""


@dataclass(frozen=True)
class Outcome:
    """The result of one claim; `missing` is what the run lacks to test it."""

    result: str
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    comparisons: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Difference:
    """A comparison with the relation that is claimed of it.

    arms: those of the run that take part; targets: tasks of XTREME; figure: the points that were claimed; over: the
    task whose gain is subtracted, "" for none; judged: False if it is only shown.
    """

    comparison: Comparison
    arms: tuple[str, ...]
    targets: tuple[str, ...]
    relation: Relation
    figure: float = 0.0
    over: str = ""
    judged: bool = True

    def estimate(self, level: float) -> Effect:
        """The mean over targets, or the difference between the gains on the first and the second."""
        comparison = replace(self.comparison, level=level)
        if not self.over:
            return effect(comparison)
        signs = zip(comparison.languages, (1, -1), strict=True)
        return weighted(comparison, [{code: sign / len(codes) for code in codes} for codes, sign in signs])

    def row(self, level: float, margin: float) -> dict[str, Any]:
        """The estimate as a JSON object, and whether it has the relation, as docs/claims.md explains it.

        Raises XstiltsError if there is no interval.
        """
        gain, left, right = self.estimate(level), self.comparison.left, self.comparison.right
        if gain.low is None or gain.high is None:
            what = f"'{left} - {right}' has 1 replicate"
            raise XstiltsError("too-few", what, "one replicate gives no interval", "raise `replicates`")
        holds, fails = {
            "large": (gain.low >= self.figure / 2, gain.high < self.figure / 2),
            "more": (gain.low > 0, gain.high <= margin),
            "no more": (gain.high < margin, gain.low >= margin),
            "not less": (gain.low >= -margin, gain.high < -margin),
        }[self.relation]
        return as_json(
            gain, left=left, right=right, over=self.over, targets=self.targets,
            holds=True if holds else False if fails else None, relation=self.relation, figure=self.figure or None,
            beside=not self.judged, verdict=verdict(gain, margin),
        )  # fmt: skip


@dataclass
class Check:
    """Collects the comparisons that a claim needs, and in `missing` what the run lacks for them.

    Methods that select arms or targets return nothing if the run lacks what is needed; a comparison with nothing is not
    made. `published`: whether the claim is about XLM-R Large and all of XTREME.
    """

    run: Run
    published: bool = True
    missing: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def need(self, names: Sequence[str], words: str, least: int = 1) -> tuple[str, ...]:
        """The names if there are enough of them; else `words` are missing."""
        if len(names) >= least:
            return tuple(names)
        self.missing.append(words + (f" ({least} such arms; the run has {len(names)})" if least > 1 else ""))
        return ()

    def arms(
        self, tasks: str, languages: str = "english", mlm: bool | None = False, translated: bool | None = False,
        least: int = 1, same_tasks_as: Sequence[str] = (),
    ) -> tuple[str, ...]:  # fmt: skip
        """Arms by intermediate tasks (a key of TASKS, or names joined by "or") and languages (a strategy or "any").

        mlm, translated: None means with or without; least: how many arms are needed; same_tasks_as: arms of which one
        must have the same tasks. Controls and baselines never count.
        """
        words, matches = TASKS.get(tasks, (tasks, lambda names: len(names) == 1 and names <= set(tasks.split(" or "))))
        same = {self.run.arms[name].tasks for name in same_tasks_as}
        names = [
            name
            for name, arm in self.run.arms.items()
            if arm.role == "arm" and matches({ALIASES.get(task, task) for task in arm.tasks})
            if languages in ("any", arm.languages) and mlm in (None, arm.mlm) and translated in (None, arm.translated)
            if not same or arm.tasks in same
        ]
        words += {"english": " in English", "any": ""}.get(languages, f" in {languages} languages")
        words += " with masked language modelling mixed in" * bool(mlm) + " on translated data" * bool(translated)
        words += f" and the same tasks as {' or '.join(map(repr, same_tasks_as))}" * bool(same)
        return self.need(names, f"an arm with {words}", least)

    def no_phase(self) -> tuple[str, ...]:
        """The arms without an intermediate phase."""
        return self.arms("none", "any", translated=None)

    def each_of_the_nine(self, mlm: bool | None = False) -> tuple[str, ...]:
        """The English arms with one of the nine tasks alone; all nine are needed."""
        arms = self.arms("one", mlm=mlm, least=0)
        tasks = {ALIASES.get(task, task) for arm in arms for task in self.run.arms[arm].tasks}
        lacking = [self.need((), f"an arm with {task} alone in English") for task in NINE if task not in tasks]
        return () if lacking else arms

    def groups(self, *groups: str) -> tuple[str, ...]:
        """The run's targets of XTREME that have held-out languages; one is needed of each of the groups."""
        names, evaluated = self.run.targets, self.run.plan["evaluated"]
        scored = [task for task in TARGETS if task in names]
        tasks = [task for task in scored if set(self.run.plan["held_out"]).intersection(evaluated[names[task]])]
        lacking = [group for group in groups if not set(GROUPS[group]) & set(tasks)]
        for group in lacking:
            self.need((), f"a {group} target of XTREME ({', '.join(GROUPS[group])})")
        return () if lacking else tuple(tasks)

    def targets(self, *tasks: str) -> tuple[str, ...]:
        """Named tasks of XTREME, all of which are needed."""
        lacking = [task for task in tasks if task not in self.groups()]
        for task in lacking:
            self.need((), f"a held-out language of {task}" if task in self.run.targets else f"{task} as a target")
        return () if lacking else tasks

    def need_large(self) -> None:
        """XLM-R Large is needed as the only encoder."""
        if others := other_encoders(self.run):
            self.need((), f"XLM-R Large as the encoder (the run has {', '.join(others)})")

    def compare(
        self, left: Sequence[str], right: Sequence[str], tasks: tuple[str, ...], relation: Relation,
        derive: Derive | None = None, same_tasks: bool = False, **facts: Any,
    ) -> None:  # fmt: skip
        """Compare each arm on the left, or an arm that is derived from all of them, with each on the right.

        same_tasks: only arms that have the same intermediate tasks; facts: see `Difference`.
        """
        run = self.run
        pairs = [([a], b) for a in left for b in right if not same_tasks or run.arms[a].tasks == run.arms[b].tasks]
        scored = [run.targets[task] for task in (*tasks, *([facts["over"]] if "over" in facts else ()))]
        for group, other in ([(left, right[0])] if derive and pairs else pairs) if tasks else ():
            comparison = compare_arms(run, group[0], other, scored)
            comparison = derive(comparison, group) if derive else comparison
            self.differences.append(Difference(comparison, (*group, other), tasks, relation, **facts))

    def configuration(self, contradictions: list[str]) -> Outcome:
        """The outcome of a claim about the study's configuration; the contradictions are its notes."""
        if self.missing:
            return Outcome(NOT_TESTED, self.missing)
        return Outcome(CONTRADICTED if contradictions else SUPPORTED, notes=contradictions)

    def outcome(self, most: bool = False) -> Outcome:
        """Judge the comparisons together. If something is missing, a claim can be contradicted, but not supported.

        The m comparisons share the study's level: each interval has level 1 − (1 − level) / m. With `most`, more than
        half of the comparisons on each target must hold instead of all.
        """
        level = 1 - (1 - self.run.study["level"]) / max(len(self.differences), 1)
        missing, rows = list(self.missing), []
        holds: dict[tuple[str, ...], list[Holds]] = {}
        for each in self.differences:
            try:
                row = each.row(level, self.run.study["equivalence"])
            except XstiltsError as error:
                missing.append(f"{error.what}: {error.why}")
                continue
            rows.append(row)
            if each.judged:
                holds.setdefault(each.targets if most else (), []).append(row["holds"])
        if not_learnt := self._not_learnt():
            missing.append(f"an arm that scores better than the baseline on {', '.join(not_learnt)}")
        shown = [_together(values, most) for values in holds.values()] if not not_learnt else []
        result = SUPPORTED if shown and all(shown) else UNDETERMINED
        result = CONTRADICTED if False in shown else NOT_TESTED if missing else result
        return Outcome(result, list(dict.fromkeys(missing)), self._notes(rows, not not_learnt), rows)

    def _not_learnt(self) -> list[str]:
        """The targets of the comparisons if no arm beats the baseline on any of them, none if that is not known.

        Arms that did not learn their targets are no evidence for or against a claim.
        """
        tasks = list(dict.fromkeys(task for each in self.differences for task in (*each.targets, each.over) if task))
        arms = dict.fromkeys(arm for each in self.differences for arm in each.arms)
        beaten = [beats_baseline(self.run, arm, self.run.targets[task]) for task in tasks for arm in arms]
        return tasks if False in beaten and True not in beaten else []

    def _notes(self, rows: list[dict[str, Any]], learnt: bool) -> list[str]:
        """What a reader must know to weigh the comparisons, with an answer if the arms learnt their targets."""
        run, notes = self.run, []
        if not rows:
            return []
        if self.published and (others := other_encoders(run)):
            notes.append(f"encoder {', '.join(others)}: the claim is about XLM-R Large")
        averages = {row["targets"] for row in rows if self.published and 1 < len(row["targets"]) < len(TARGETS)}
        notes += [f"mean over {len(of)} of XTREME's {len(TARGETS)} targets: {', '.join(of)}" for of in sorted(averages)]
        if any(row["relation"] != "large" for row in rows):
            notes.append(f"a difference within ±{run.study['equivalence']:g} points counts as practically none")
        compared = [run.study["arms"].get(arm, {}) for row in rows for arm in (row["left"], row["right"])]
        about = tuple(f"intermediate '{arm['intermediate']}'" for arm in compared if arm.get("intermediate"))
        notes += [warning for warning in run.plan["warnings"] if warning.startswith(about)]
        strategies = {name: arm.languages for name, arm in run.arms.items()}
        if learnt and (text := answer([(row["left"], row["right"], row["verdict"]) for row in rows], strategies)):
            notes.append(text)
        return [*notes, f"for {len(run.encoders)} encoder{'s' if len(run.encoders) > 1 else ''} of this run"]


def _together(holds: list[Holds], most: bool) -> Holds:
    """Whether all of several comparisons hold, or more than half of them."""
    if most:
        return True if 2 * holds.count(True) > len(holds) else False if 2 * holds.count(False) >= len(holds) else None
    return False if False in holds else None if None in holds else True


def beats_baseline(run: Run, arm: str, target: str) -> bool | None:
    """Whether an arm is better than the baseline in the held-out languages; None if there is no interval to tell."""
    try:
        low = effect(compare_arms(run, arm, BASELINE, [target])).low
    except XstiltsError:  # there is no baseline, or no paired replicate
        return None
    return None if low is None else low > 0


def other_encoders(run: Run) -> list[str]:
    """The study's encoders other than XLM-R Large, recognised by the name of their repository or folder."""
    entries = run.plan["study"]["encoders"].items()
    return [name for name, entry in entries if PurePath(entry.get("load") or "").name.lower() != LARGE]
