"""Carries a planned study out and gathers what its cells predicted."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.engine import Outcome, Plan, Report, Store, write_atomically, write_steps
from xstilts.errors import STEP_FAILED, XstiltsError
from xstilts.study.compare import ESTIMATES, compared, measured_seconds
from xstilts.study.freeze import study_facts
from xstilts.study.steps import Cell, StudyPlan

PLAN, STEPS, EVENTS = "plan.json", "steps.jsonl", "events.jsonl"
FACTS, CELLS = "study.json", "cells.json"
LEFT_OUT = "left-out.json"
PROGRESS_SECONDS = 10.0
"""How often a step's progress enters the log of events: a study of days would fill it."""


Executor = Callable[[Plan, Store, list[str], Report], Outcome]


def carry_out(planned: StudyPlan, store: Store, out: Path, executor: Executor, watch: Report) -> Outcome:
    """Runs every step that is not in the store and writes the run folder: plan, events, study, cells, predictions,
    and what steps took beside their estimates.

    Raises XstiltsError with code 4 where steps failed; what the other steps made is kept, and the predictions of
    the cells that are complete are written all the same.
    """
    freeze_plan(planned, out)
    store.sweep()
    told: dict[str, float] = {}
    with (out / EVENTS).open("a", encoding="utf-8") as log:

        def report(event: dict[str, Any]) -> None:
            now, progress = time.time(), event["event"] == "progress"
            if not progress or now - told.get(event["step"], 0.0) > PROGRESS_SECONDS:
                if progress:
                    told[event["step"]] = now
                log.write(json.dumps({"time": round(now, 2), **event}) + "\n")
                log.flush()
            watch(event)

        outcome = executor(planned.plan, store, planned.wanted, report)
        report({"event": "ended", "failed": len(outcome.failed)})
    rows = compared(planned.plan, measured_seconds(out / EVENTS))
    write_atomically(out / ESTIMATES, json.dumps(rows, indent=1))
    gather(planned, store, out)
    if outcome.failed:
        labels = [f"{planned.plan.steps[f].label}: {why}" for f, why in outcome.failed.items()]
        raise XstiltsError(
            f"{len(outcome.failed)} step{'s' if len(outcome.failed) > 1 else ''} failed; all others are kept",
            "\n".join(labels[:5]),
            "mend the cause and run the same command again: only what is missing is computed",
            STEP_FAILED,
        )
    return outcome


def freeze_plan(planned: StudyPlan, out: Path) -> None:
    """Writes what was decided before the first step, and the steps as such, so that each can be run alone; where an
    earlier plan differs, it is kept beside the new one."""
    description = planned.frozen.describe() | {"steps": list(planned.plan.steps)}
    file = out / PLAN
    if file.is_file():
        earlier = json.loads(file.read_text(encoding="utf-8"))
        if earlier["hash"] != description["hash"]:
            write_atomically(out / f"plan-{earlier['hash'][:8]}.json", json.dumps(earlier, indent=1))
    write_atomically(file, json.dumps(description, indent=1, ensure_ascii=False))
    write_steps(out / STEPS, planned.plan, planned.wanted)


def gather(planned: StudyPlan, store: Store, out: Path) -> None:
    """Writes `predictions/{target}.parquet`, a row per example of each complete cell, and the cells' budgets."""
    finished = store.finished(cell.predictions for cell in planned.cells)
    complete = [cell for cell in planned.cells if cell.predictions in finished]
    folder = out / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    for target in planned.frozen.study.targets:
        tables = [_labelled(planned, store, cell) for cell in complete if cell.target == target]
        if tables:
            temporary = folder / f".{target}.partial"
            pq.write_table(pa.concat_tables(tables), temporary)
            temporary.replace(folder / f"{target}.parquet")
    cells = [_budget(planned, store, cell) for cell in complete]
    write_atomically(out / CELLS, json.dumps(cells, ensure_ascii=False))
    write_atomically(out / LEFT_OUT, json.dumps(_left_out(planned, store), indent=1, ensure_ascii=False))
    write_atomically(out / FACTS, json.dumps(study_facts(planned.frozen), indent=1, ensure_ascii=False))


def _left_out(planned: StudyPlan, store: Store) -> list[dict[str, Any]]:
    """The rows that are not in the data that a study used: per task, split and language their number, and each."""
    found = []
    for fingerprint, step in planned.plan.steps.items():
        file = store.find(fingerprint, "left-out.json") if step.kind == "rows" else None
        if file:
            part = json.loads(file.read_text(encoding="utf-8"))
            if part["problems"] or part["unlabelled"]:
                found.append({"rows": step.label, **part})
    return found


def told(part: dict[str, Any]) -> str:
    """One record of `left-out.json` in words."""
    problems = part["problems"]
    words = [f"{part['unlabelled']:,} rows without a gold label"] if part["unlabelled"] else []
    if problems:
        first = problems[0]
        words.append(f"{len(problems):,} bad rows, the first in {first['unit']} {first['line']}: {first['found']}")
    return f"{part['rows']}: left out {' and '.join(words)}; all are in {LEFT_OUT}"


def _labelled(planned: StudyPlan, store: Store, cell: Cell) -> pa.Table:
    """A cell's predictions with the columns that say which cell it is."""
    table = pq.read_table(store.find(cell.predictions, "predictions.parquet"))
    task = planned.frozen.study.targets[cell.target]
    constant = {
        "task": cell.target,
        "arm": cell.arm,
        "encoder": cell.encoder,
        "replicate": cell.replicate,
        "split": task.test,
    }
    for position, (name, value) in enumerate(constant.items()):
        kind = pa.int32() if isinstance(value, int) else pa.string()
        column = pa.repeat(pa.scalar(value, kind), len(table))
        table = table.add_column(position, name, column if isinstance(value, int) else column.dictionary_encode())
    return table


def _budget(planned: StudyPlan, store: Store, cell: Cell) -> dict[str, Any]:
    """What a cell was trained on: languages, examples, updates and tokens of both phases, and its English-dev score;
    for retrieval the layer and how it was chosen."""
    result: dict[str, Any] = {name: getattr(cell, name) for name in ("target", "arm", "encoder", "replicate")}
    for phase, fingerprint in (("intermediate", cell.intermediate), ("training", cell.training)):
        file = store.find(fingerprint, "history.json") if fingerprint else None
        if file:
            summary = json.loads(file.read_text())
            first, last = summary["history"][0], summary["history"][-1]
            result[phase] = {
                "languages": _languages(planned.plan.steps[fingerprint].arguments["tasks"]),
                "examples": summary["examples"],
                "updates": summary["updates"],
                "tokens": summary["tokens"],
                "first_loss": first["loss"],
                "loss": last["loss"],
                "dev_score": last.get("score"),
            }
    chosen = store.find(cell.predictions, "retrieval.json")
    if chosen:
        result["retrieval"] = json.loads(chosen.read_text(encoding="utf-8"))
    return result


def _languages(tasks: dict[str, Any]) -> list[str]:
    """The languages of a training's tasks."""
    return list(dict.fromkeys(code for told in tasks.values() for code in told["languages"]))
