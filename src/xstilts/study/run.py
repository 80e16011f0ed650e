"""Runs a planned study: freezes its plan, executes its steps, tries degenerate trainings again, gathers results."""

import json
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from xstilts.costs.estimate import record
from xstilts.engine import Outcome, Plan, Report, Store, write_steps
from xstilts.errors import XstiltsError
from xstilts.hashing import digest
from xstilts.runs.events import event_log
from xstilts.runs.run_files import ESTIMATES, PLAN, STEPS, STUDY, write_json
from xstilts.runs.store_runs import record_run
from xstilts.study.keep_models import KeepModels, ModelKeeper
from xstilts.study.plan import build_plan
from xstilts.study.results import comparison_group, gather, training_summary
from xstilts.study.steps import StudyPlan
from xstilts.training.schedule import degenerate

Executor = Callable[[Plan, Store, list[str], Report], Outcome]


def run_study(
    planned: StudyPlan, store: Store, out: Path, executor: Executor, watch: Report, keep: KeepModels = "all"
) -> None:
    """Run every step that is not in the store and write the run folder.

    keep: which trained models stay once no step needs them; only an executor that reports those lets any go.

    Raises XstiltsError "step-failed" if steps failed; the results of the other steps are kept, and the predictions of
    the cells that are complete are written all the same.
    """
    store.sweep()
    keeper = ModelKeeper(planned, store, keep)
    with store.in_use(planned.plan.steps):
        record_run(store, out)
        try:
            with event_log(out, watch) as report:
                for change in freeze_plan(planned, out):
                    report({"event": "note", "why": change})
                outcome, second = _execute(planned, store, out, executor, report, keeper)
        finally:
            store.sweep()  # what stopped workers were writing
        if error := store.gone():
            raise error
        write_json(out, ESTIMATES, record(planned.plan, planned.frozen.device, outcome.device_seconds))
        gather(planned, store, out, second)
    keeper.finish()
    if count := len(outcome.failed):
        labels = [f"{planned.plan.steps[f].label}: {why}" for f, why in outcome.failed.items()]
        what = f"{count} step{'s' * (count > 1)} failed; the results of all others are kept"
        hint = "fix the cause and run the same command again: it computes only what is missing"
        raise XstiltsError("step-failed", what, "\n".join(labels[:5]), hint)


def _execute(
    planned: StudyPlan, store: Store, out: Path, executor: Executor, report: Report, keeper: ModelKeeper
) -> tuple[Outcome, StudyPlan | None]:
    """The outcome of all steps, and the plan of second tries, which are added to the study's, if there are any."""
    outcome = executor(planned.plan, store, planned.wanted, keeper.watching(report))
    second = second_tries(planned, store)
    if second:
        report({"event": "note", "why": "degenerate trainings are tried once more with another seed"})
        planned.plan.steps |= second.plan.steps
        planned.translators |= second.translators
        write_steps(out / STEPS, planned.plan, [*planned.wanted, *second.wanted])
        keeper.add(second)
        with store.in_use(second.plan.steps):
            retried = executor(planned.plan, store, second.wanted, keeper.watching(report))
        outcome = Outcome(
            outcome.seconds | retried.seconds,
            outcome.device_seconds | retried.device_seconds,
            outcome.failed | retried.failed,
        )
    if keeper.deleted:
        models = f"{keeper.deleted:,} model{'s' * (keeper.deleted > 1)}"
        report({"event": "note", "why": f"deleted {models} that no step needs any more (--keep-models {keeper.keep})"})
    for (target, encoder), (_, _, fingerprint) in keeper.best.items():
        report({"event": "note", "why": f"best model of {target} · {encoder}: {store.path(fingerprint)}"})
    return outcome, second


def second_tries(planned: StudyPlan, store: Store) -> StudyPlan | None:
    """The plan with another seed for each degenerate training, and what follows from it; None if there is none."""
    groups: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in planned.cells:
        for phase, fingerprint in cell.trainings.items():
            groups[comparison_group(phase, planned.plan.steps[fingerprint])][fingerprint] = None
    retried: set[str] = set()
    for trainings in groups.values():
        finished = {name: summary for name in trainings if (summary := training_summary(store, name))}
        flags = degenerate(list(finished.values()))
        retried |= {name for name, is_degenerate in zip(finished, flags, strict=True) if is_degenerate}
    return build_plan(planned.frozen, frozenset(retried), planned.ranks) if retried else None


def freeze_plan(planned: StudyPlan, out: Path) -> list[str]:
    """Write what was decided before the first step, and the steps, so that each can be run on its own.

    An earlier plan that differs is kept under another name, with its `study.json`, whose predictions have another split
    of languages; the differences are returned in words. Raises XstiltsError for a `plan.json` that is no plan.
    """
    description = json.loads(json.dumps(planned.frozen.describe() | {"steps": list(planned.plan.steps)}))
    changes: list[str] = []
    if (out / PLAN).is_file():
        try:
            earlier = json.loads((out / PLAN).read_bytes())
            known, identity = set(earlier["steps"]), digest([earlier["hash"], earlier["steps"]])[:8]
        except (ValueError, KeyError, TypeError):
            what, hint = f"{out} holds something other than a run", "name another run folder, or remove the file"
            raise XstiltsError("not-a-run", what, f"{PLAN} is no plan of a study", hint) from None
        changes = differences(earlier, description)
        if new := [step.label for f, step in planned.plan.steps.items() if not step.inputs and f not in known]:
            labels = ", ".join(new[:3]) + ", …" * (len(new) > 3)
            changes.append(f"{len(new)} steps that read data or encoders are new: {labels}")
        if changes:
            write_json(out, f"plan-{identity}.json", earlier)
            changes.insert(0, f"this plan differs from the earlier one, which is kept as plan-{identity}.json")
            with suppress(FileNotFoundError):
                (out / STUDY).replace(out / f"study-{identity}.json")
    write_json(out, PLAN, description)
    write_steps(out / STEPS, planned.plan, planned.wanted)
    return changes


def differences(earlier: Any, later: Any, where: str = "") -> list[str]:
    """The settings of two plans that differ, each in words; not hash, steps and warnings, which follow from them.

    >>> differences({"study": {"seed": 1}, "hash": "a"}, {"study": {"seed": 2}, "hash": "b"})
    ['study.seed: 1 is now 2']
    """
    if not isinstance(earlier, dict) or not isinstance(later, dict):
        texts = [json.dumps(value, ensure_ascii=False) for value in (earlier, later)]
        before, now = (text if len(text) < 60 else text[:57] + "..." for text in texts)
        return [] if earlier == later else [f"{where}: {before} is now {now}"]
    names = [n for n in dict.fromkeys([*earlier, *later]) if where or n not in ("hash", "steps", "warnings")]
    places = {name: f"{where}.{name}" if where else name for name in names}
    return [text for name in names for text in differences(earlier.get(name), later.get(name), places[name])]
