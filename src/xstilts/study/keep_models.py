"""Which trained models stay in the store while a study runs: all, none, or the best of each target and encoder."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

from xstilts.engine import Report, Store
from xstilts.study.results import training_summary
from xstilts.study.steps import StudyPlan

KeepModels = Literal["none", "best", "all"]
Group = tuple[str, str]
"""A target and an encoder."""


class ModelKeeper:
    """Lets models go of which the engine says that no step needs them any more (event `unneeded`).

    The best model of a target and an encoder is the one with the highest score on the target's development examples, of
    equals the first in the plan; those of a baseline that withholds text do not compete. A model that another running
    study needs stays until `finish`, or until that study's.
    """

    def __init__(self, planned: StudyPlan, store: Store, keep: KeepModels) -> None:
        self.planned, self.store, self.keep = planned, store, keep
        self.groups: dict[str, list[Group]] = {}
        self.best: dict[Group, tuple[float, int, str]] = {}
        """The score, the place in the plan (negative) and the fingerprint of the best model so far."""
        self.in_use: set[str] = set()
        self.deleted = 0
        self.add(planned)

    def add(self, planned: StudyPlan) -> None:
        """Let the trainings of a plan compete; those of second tries follow those of the study."""
        if self.keep == "best":
            self.groups |= groups_of(planned)
            self.places = {fingerprint: number for number, fingerprint in enumerate(self.groups)}

    def watching(self, report: Report) -> Report:
        """`report`, but without the events `unneeded`, which are acted upon."""

        def watch(event: dict[str, Any]) -> None:
            if event["event"] == "unneeded":
                self._let_go(event["step"])
            else:
                report(event)

        return watch

    def finish(self) -> None:
        """Deletes the models that another study needed, if it does not any more, and what killed processes left of
        others. Of two studies the one that ends last does that, if each calls it when it does not use the store any
        more."""
        for fingerprint in sorted(self.in_use):
            self._delete(fingerprint)
        if self.keep != "all":
            steps = self.planned.plan.steps
            for fingerprint in self.store.discarded(f for f, step in steps.items() if step.kind == "train"):
                self.store.discard_model(fingerprint)

    def _let_go(self, fingerprint: str) -> None:
        if self.keep == "all":
            return
        loses = {fingerprint}
        if groups := self.groups.get(fingerprint):
            score = (training_summary(self.store, fingerprint) or {}).get("dev_score")
            rank = (-1.0 if score is None else score, -self.places[fingerprint], fingerprint)
            loses |= {self.best[group][2] for group in groups if group in self.best}
            self.best |= {group: max(rank, self.best.get(group, rank)) for group in groups}
        for loser in loses - {fingerprint for _, _, fingerprint in self.best.values()}:
            self._delete(loser)

    def _delete(self, fingerprint: str) -> None:
        if self.store.discard_model(fingerprint):
            self.in_use.discard(fingerprint)
            self.deleted += 1
        else:
            self.in_use.add(fingerprint)


def groups_of(planned: StudyPlan) -> dict[str, list[Group]]:
    """The fingerprint of each training whose model scores targets → those targets, each with the encoder."""
    groups: dict[str, dict[Group, None]] = defaultdict(dict)
    arms = planned.frozen.study.arms
    for cell in planned.cells:
        if cell.training and not arms[cell.arm].mask_column:
            groups[cell.training][cell.target, cell.encoder] = None
    return {fingerprint: list(pairs) for fingerprint, pairs in groups.items()}


def disk_needed(planned: StudyPlan, sizes: Mapping[str, float], live: float) -> dict[KeepModels, float]:
    """The most bytes that a store holds while the study runs, for each choice.

    sizes: the bytes that each step leaves; live: those of the models that steps still need, at most at one time.
    """
    trained = sum(sizes[f] for f, step in planned.plan.steps.items() if step.kind == "train")
    total, largest = sum(sizes.values()), defaultdict[Group, float](float)
    for fingerprint, groups in groups_of(planned).items():
        for group in groups:
            largest[group] = max(largest[group], sizes[fingerprint])
    least = total - trained + live
    return {"all": total, "best": min(total, least + sum(largest.values())), "none": least}
