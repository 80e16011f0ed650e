"""What a study leaves behind for its analysis: predictions, budgets, facts, and the rows that were left out."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.engine import Step, Store, write_atomically
from xstilts.evaluation.subwords import write_subwords
from xstilts.study.freeze import study_facts
from xstilts.study.source_languages import encoder_names
from xstilts.study.steps import Cell, StudyPlan

FACTS, CELLS, LEFT_OUT = "study.json", "cells.json", "left-out.json"
TRANSLATIONS = "translations.json"
PREDICTIONS, AFTER_RETRY, BY_ORACLE = "predictions", "predictions-after-retry", "predictions-by-oracle"


def gather(planned: StudyPlan, store: Store, out: Path, second: StudyPlan | None = None) -> None:
    """Writes `predictions/{target}.parquet`, a row per example of each complete cell, the cells' budgets, and what the
    encoders' tokenizers make of the languages.

    second: the plan with another try for dead trainings, whose cells go to `predictions-after-retry`. What is
    predicted by weights that held-out languages chose goes to `predictions-by-oracle`.
    """
    written = _write_predictions(planned, store, out / PREDICTIONS, planned.cells)
    cells = [_budget(planned, store, cell) for cell in written]
    for folder in (AFTER_RETRY, BY_ORACLE):
        shutil.rmtree(out / folder, ignore_errors=True)
    chosen = [replace(cell, predictions=cell.oracle) for cell in planned.cells if cell.oracle]
    if chosen:
        _write_predictions(planned, store, out / BY_ORACLE, chosen)
    if second:
        first = {cell.predictions for cell in planned.cells}
        written = _write_predictions(second, store, out / AFTER_RETRY, second.cells)
        tried = [cell for cell in written if cell.predictions not in first]
        cells += [{**_budget(second, store, cell), "attempt": 2} for cell in tried]
    write_atomically(out / CELLS, json.dumps(cells, ensure_ascii=False))
    write_atomically(out / TRANSLATIONS, json.dumps(_translations(planned, store), indent=1, ensure_ascii=False))
    write_atomically(out / LEFT_OUT, json.dumps(_left_out(planned, store), indent=1, ensure_ascii=False))
    write_subwords(out, planned.plan.steps, encoder_names(planned.frozen.study), store)
    write_atomically(out / FACTS, json.dumps(study_facts(planned.frozen), indent=1, ensure_ascii=False))


def _write_predictions(planned: StudyPlan, store: Store, folder: Path, cells: list[Cell]) -> list[Cell]:
    """Writes a table for each target, removes what an earlier plan left of others, and returns the complete cells."""
    finished = store.finished(cell.predictions for cell in cells)
    complete = [cell for cell in cells if cell.predictions in finished]
    folder.mkdir(parents=True, exist_ok=True)
    for target in planned.frozen.study.targets:
        tables = [_labelled(planned, store, cell) for cell in complete if cell.target == target]
        if not tables:
            (folder / f"{target}.parquet").unlink(missing_ok=True)
        else:
            temporary = folder / f".{target}.partial"
            pq.write_table(pa.concat_tables(tables), temporary)
            temporary.replace(folder / f"{target}.parquet")
    return complete


def _left_out(planned: StudyPlan, store: Store) -> list[dict[str, Any]]:
    """The rows that are not in the data that a study used: per task, split and language their number, and each."""
    found = []
    for fingerprint, step in planned.plan.steps.items():
        file = store.find(fingerprint, "left-out.json") if step.kind in ("rows", "translate") else None
        if file:
            part = json.loads(file.read_text(encoding="utf-8"))
            if part["problems"] or part["unlabelled"]:
                found.append({"rows": step.label, **part})
    return found


def _translations(planned: StudyPlan, store: Store) -> list[dict[str, Any]]:
    """How good each translation seems to be: what `quality.json` of the steps that translate says."""
    files = [
        (step.label, store.find(f, "quality.json")) for f, step in planned.plan.steps.items() if "to" in step.arguments
    ]  # two translators may go the same way
    return [{"label": label, **json.loads(file.read_text(encoding="utf-8"))} for label, file in files if file]


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
        found = learnt(store, fingerprint) if fingerprint else None
        if found:
            step = planned.plan.steps[fingerprint]
            result[phase] = {
                "languages": _languages(step.arguments["tasks"]),
                "comparison_group": comparison_group(phase, step),
                **found,
            }
    chosen = store.find(cell.predictions, "retrieval.json")
    if chosen:
        result["retrieval"] = json.loads(chosen.read_text(encoding="utf-8"))
    return result


def learnt(store: Store, fingerprint: str) -> dict[str, Any] | None:
    """What a finished training was given and how it went: examples, updates, tokens, first and last loss, and the
    English-dev score of the weights that it left; None where it is not finished."""
    file = store.find(fingerprint, "history.json")
    if not file:
        return None
    summary = json.loads(file.read_text())
    first, last = summary["history"][0], summary["history"][-1]
    return {
        **{name: summary[name] for name in ("examples", "updates", "tokens", "dev_score")},
        "first_loss": first["loss"],
        "loss": last["loss"],
    }


def comparison_group(phase: str, step: Step) -> str:
    """A name that trainings share which can be compared by loss and English dev: of the same phase and tasks, with as
    much masked text and the same text withheld."""
    arguments = step.arguments
    masked = arguments["mlm"]["share"] if arguments["mlm"] else 0
    longer = ", lengthened" if "longer" in step.inputs else ""
    return (
        f"{phase}: {' + '.join(arguments['tasks'])}, {masked:g} masked, '{arguments['mask_column']}' withheld{longer}"
    )


def _languages(tasks: dict[str, Any]) -> list[str]:
    """The languages of a training's tasks."""
    return list(dict.fromkeys(code for told in tasks.values() for code in told["languages"]))
