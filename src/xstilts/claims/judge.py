"""What a run shows of one claim: the comparisons that it can make, what it lacks for others, and the result."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal

from xstilts.analysis.effects import Comparison, compare_arms, effect, weighted
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
Names = Sequence[str]
Derive = Callable[[Comparison, Names], Comparison]
Relation = Literal["large", "more", "no more", "not less"]


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

    def row(self, level: float, margin: float) -> dict[str, Any]:
        """The estimate as a JSON object, and whether it has the relation, as docs/claims.md explains it.

        Raises XstiltsError if there is no interval.
        """
        comparison = replace(self.comparison, level=level)
        left, right = comparison.left, comparison.right
        if self.over:
            signs = zip(comparison.languages, (1, -1), strict=True)
            gain = weighted(comparison, [{code: sign / len(codes) for code in codes} for codes, sign in signs])
        else:
            gain = effect(comparison)
        if gain.low is None or gain.high is None:
            what = f"'{left} - {right}' has 1 replicate"
            raise XstiltsError("too-few", what, "one replicate gives no interval", "raise `replicates`")
        holds, fails = {
            "large": (gain.low >= self.figure / 2, gain.high < self.figure / 2),
            "more": (gain.low > 0, gain.high <= margin),
            "no more": (gain.high < margin, gain.low >= margin),
            "not less": (gain.low >= -margin, gain.high < -margin),
        }[self.relation]
        facts: dict[str, Any] = {"left": left, "right": right, "over": self.over, "targets": self.targets}
        facts |= {"relation": self.relation, "figure": self.figure or None, "for_information": not self.judged}
        facts |= {"holds": True if holds else False if fails else None, "verdict": verdict(gain, margin)}
        return as_json(gain, **facts)


@dataclass
class Check:
    """Collects the comparisons that a claim needs, and in `missing` what the run lacks for them.

    Methods that select arms or targets return nothing if the run lacks what is needed; a comparison with nothing is not
    made. published: whether the claim is about XLM-R Large and all of XTREME; most: more than half of the comparisons
    on each target must hold instead of all; everything_needed: the claim can also not be contradicted if something is
    missing; contradictions: what contradicts a claim about the study's configuration, None for a claim about scores.
    """

    run: Run
    published: bool = True
    most: bool = False
    everything_needed: bool = False
    contradictions: list[str] | None = None
    missing: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def arms(
        self, tasks: str, languages: str = "english", least: int = 1, same_as: Names = (), **extras: bool | None
    ) -> tuple[str, ...]:
        """Arms by intermediate tasks (a key of TASKS, or names joined by "or") and languages (a strategy or "any").

        least: how many arms are needed; same_as: arms of which one must have the same tasks; extras: `mlm` and
        `translated`, False unless given, None for with or without. Controls and baselines never count.
        """
        words, matches = TASKS.get(tasks, (tasks, lambda names: len(names) == 1 and names <= set(tasks.split(" or "))))
        same = {self.run.arms[name].tasks for name in same_as}
        extras = {"mlm": False, "translated": False, **extras}
        names = [
            name
            for name, arm in self.run.arms.items()
            if arm.role == "arm" and matches({ALIASES.get(task, task) for task in arm.tasks})
            if languages in ("any", arm.languages) and (not same or arm.tasks in same)
            if all(wanted in (None, getattr(arm, extra)) for extra, wanted in extras.items())
        ]
        if len(names) >= least:
            return tuple(names)
        words += {"english": " in English", "any": ""}.get(languages, f" in {languages} languages")
        words += " with masked language modelling mixed in" if extras["mlm"] else ""
        words += " on translated data" if extras["translated"] else ""
        words += f" and the same tasks as {' or '.join(map(repr, same_as))}" if same else ""
        words += f" ({least} such arms; the run has {len(names)})" if least > 1 else ""
        self.missing.append(f"an arm with {words}")
        return ()

    def no_phase(self) -> tuple[str, ...]:
        """The arms without an intermediate phase."""
        return self.arms("none", "any", translated=None)

    def each_of_the_nine(self, mlm: bool | None = False) -> tuple[str, ...]:
        """The English arms with one of the nine tasks alone; all nine are needed."""
        arms = self.arms("one", mlm=mlm, least=0)
        tasks = {ALIASES.get(task, task) for arm in arms for task in self.run.arms[arm].tasks}
        lacking = [f"an arm with {task} alone in English" for task in NINE if task not in tasks]
        self.missing += lacking
        return () if lacking else arms

    def groups(self, *groups: str) -> tuple[str, ...]:
        """The run's targets of XTREME that have held-out languages; one is needed of each of the groups."""
        names, held_out, evaluated = self.run.targets, set(self.run.plan["held_out"]), self.run.plan["evaluated"]
        tasks = tuple(task for task in TARGETS if task in names and held_out.intersection(evaluated[names[task]]))
        lacking = [group for group in groups if not set(GROUPS[group]).intersection(tasks)]
        self.missing += [f"a {group} target of XTREME ({', '.join(GROUPS[group])})" for group in lacking]
        return () if lacking else tasks

    def targets(self, *tasks: str) -> tuple[str, ...]:
        """Named tasks of XTREME, all of which are needed."""
        lacking = [task for task in tasks if task not in self.groups()]
        for task in lacking:
            self.missing.append(f"a held-out language of {task}" if task in self.run.targets else f"{task} as a target")
        return () if lacking else tasks

    def need_large(self) -> None:
        """XLM-R Large is needed as the only encoder."""
        if others := other_encoders(self.run):
            self.missing.append(f"XLM-R Large as the encoder (the run has {', '.join(others)})")

    def compare(
        self, left: Names, right: Names, targets: Names, relation: Relation, derive: Derive | None = None, **facts: Any
    ) -> None:
        """Compare each arm on the left, or an arm that is derived from all of them, with each on the right.

        facts: see `Difference`.
        """
        scored = [self.run.targets[task] for task in (*targets, facts.get("over")) if task]
        groups = [left] if derive else [[arm] for arm in left]
        for group, arm in itertools.product(groups, right[:1] if derive else right):
            if group and targets:
                comparison = compare_arms(self.run, group[0], arm, scored)
                comparison = derive(comparison, group) if derive else comparison
                self.differences.append(Difference(comparison, (*group, arm), tuple(targets), relation, **facts))

    def compare_same_tasks(self, left: Names, right: Names, targets: Names, relation: Relation, **facts: Any) -> None:
        """Compare the arms that have the same intermediate tasks."""
        for arm in left:
            same = [name for name in right if self.run.arms[name].tasks == self.run.arms[arm].tasks]
            self.compare([arm], same, targets, relation, **facts)

    def outcome(self) -> dict[str, Any]:
        """The `result`, what the run is `missing` to test the claim, the `comparisons` that it can make, and `notes`.

        If something is missing, a claim can be contradicted, but not supported. The m comparisons share the study's
        level: each interval has level 1 − (1 − level) / m. Arms of which none beats the baseline on any target did not
        learn, and are no evidence for or against a claim.
        """
        if self.contradictions is not None:
            result = NOT_TESTED if self.missing else CONTRADICTED if self.contradictions else SUPPORTED
            notes = [] if self.missing else self.contradictions
            return {"result": result, "missing": self.missing, "notes": notes, "comparisons": []}
        level = 1 - (1 - self.run.study["level"]) / max(len(self.differences), 1)
        missing, rows = list(self.missing), []
        holds: dict[tuple[str, ...], list[bool | None]] = {}
        for each in self.differences:
            try:
                row = each.row(level, self.run.study["equivalence"])
            except XstiltsError as error:
                missing.append(f"{error.what}: {error.why}")
                continue
            rows.append(row)
            if each.judged:
                holds.setdefault(each.targets if self.most else (), []).append(row["holds"])
        tasks = dict.fromkeys(task for each in self.differences for task in (*each.targets, each.over) if task)
        arms = dict.fromkeys(arm for each in self.differences for arm in each.arms)
        beaten = {beats_baseline(self.run, arm, self.run.targets[task]) for task in tasks for arm in arms}
        learnt = True in beaten or False not in beaten
        if not learnt:
            missing.append(f"an arm that scores better than the baseline on {', '.join(tasks)}")
        supported, contradicted = [], []
        for values in holds.values() if learnt else ():
            needed = len(values) // 2 + 1 if self.most else len(values)
            supported.append(values.count(True) >= needed)
            contradicted.append(values.count(False) > len(values) - needed)
        result = SUPPORTED if supported and all(supported) else UNDETERMINED
        result = CONTRADICTED if any(contradicted) else result
        result = NOT_TESTED if missing and (self.everything_needed or not any(contradicted)) else result
        missing = list(dict.fromkeys(missing))
        return {"result": result, "missing": missing, "notes": self._notes(rows, learnt), "comparisons": rows}

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
