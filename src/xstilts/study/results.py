"""What a study leaves for its analysis: its design, predictions, budgets, and the examples that were left out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.config.schema import parse_contrast
from xstilts.engine import Step, Store
from xstilts.evaluation.subwords import measure_subwords
from xstilts.runs import run_files
from xstilts.runs.verify import seal
from xstilts.study.freeze import confounded
from xstilts.study.steps import Cell, StudyPlan, some
from xstilts.tasks.task_types import main_metric


def gather(planned: StudyPlan, store: Store, out: Path, second: StudyPlan | None = None) -> None:
    """Write the run folder from the finished steps: a table of predictions per target, with a row per example of each
    complete cell, the cells' budgets, and all that is known of the examples, translations and tokenizers.

    second: the plan with another try for degenerate trainings, whose cells go to `predictions-after-retry`. Predictions
    by weights that held-out languages chose go to `predictions-by-oracle`.
    """
    complete = _write_predictions(planned, store, out / run_files.PREDICTIONS, planned.cells)
    cells = [_budget(planned, store, cell) for cell in complete]
    by_oracle = [replace(cell, predictions=cell.oracle) for cell in planned.cells if cell.oracle]
    _write_predictions(planned, store, out / run_files.BY_ORACLE, by_oracle)
    if not second:
        _write_predictions(planned, store, out / run_files.AFTER_RETRY, [])
    else:
        first = {cell.predictions for cell in planned.cells}
        complete = _write_predictions(second, store, out / run_files.AFTER_RETRY, second.cells)
        retried = [cell for cell in complete if cell.predictions not in first]
        cells += [{**_budget(second, store, cell), "attempt": 2} for cell in retried]
    facts = study_facts(planned, store)
    run_files.write_json(out, run_files.CELLS, cells)
    run_files.write_json(out, run_files.TRANSLATIONS, _step_files(planned, store, "quality.json", "translate"))
    run_files.write_json(out, run_files.LEFT_OUT, _step_files(planned, store, "left-out.json", "rows", "translate"))
    run_files.write_json(out, run_files.SUBWORDS, measure_subwords(facts, planned.plan.steps, store))
    run_files.write_json(out, run_files.STUDY, facts)
    seal(out)


def study_facts(planned: StudyPlan, store: Store) -> dict[str, Any]:
    """The content of `study.json`: the design, and where the examples and encoders of the run are."""
    frozen, study = planned.frozen, planned.frozen.study
    tasks = {target: frozen.task_of(target) for target in study.targets}
    examples = {}
    for target, entry in study.targets.items():
        name, split, withheld = tasks[target].name, entry.test, entry.labels_withheld
        codes = frozen.evaluated[target]
        examples[target] = {code: planned.examples.get((name, split, code, withheld), "") for code in codes}
    return {
        **study.model_dump(mode="json", include={"name", "seed", "equivalence", "level", "measure", "primary"}),
        "question": " ".join(study.question.split()),
        "contrasts": [parse_contrast(text, study.primary).model_dump() for text in study.contrasts],
        "controls": [parse_contrast(text, study.primary).model_dump() for text in study.controls],
        "confounded": confounded(study),
        "artificial": frozen.artificial,
        "roles": {name: arm.role for name, arm in study.arms.items()},
        "labels_withheld": [target for target, entry in study.targets.items() if entry.labels_withheld],
        "tasks": {target: task.name for target, task in tasks.items()},
        "metrics": {target: main_metric(task) for target, task in tasks.items()},
        "also": {target: list(task.metrics[1:]) for target, task in tasks.items()},
        "licences": {name: task.licence for name, task in frozen.tasks.items() if task.licence},
        "types": {target: task.type for target, task in tasks.items()},
        "arms": {name: arm.model_dump(mode="json", exclude_defaults=True) for name, arm in study.arms.items()},
        "store": store.place,
        "examples": examples,
        "encoder_steps": planned.encoders,
    }


def _write_predictions(planned: StudyPlan, store: Store, folder: Path, cells: list[Cell]) -> list[Cell]:
    """Write a table for each target, remove those that an earlier plan left, and return the complete cells."""
    finished = store.finished(cell.predictions for cell in cells)
    complete = [cell for cell in cells if cell.predictions in finished]
    scored = {f"{cell.target}.parquet" for cell in complete}
    for file in folder.glob("*.parquet"):
        if file.name not in scored:
            file.unlink(missing_ok=True)
    for target, entry in planned.frozen.study.targets.items():
        tables = []
        for cell in (cell for cell in complete if cell.target == target):
            table = pq.read_table(store.find(cell.predictions, "predictions.parquet"))
            replicate = pa.scalar(cell.replicate, pa.int32())
            facts = {"task": target, "arm": cell.arm, "encoder": cell.encoder, "replicate": replicate}
            for position, (name, value) in enumerate({**facts, "split": entry.test}.items()):
                column = pa.repeat(value, len(table))
                table = table.add_column(position, name, column if name == "replicate" else column.dictionary_encode())
            tables.append(table)
        if tables:
            run_files.write_table(folder / f"{target}.parquet", pa.concat_tables(tables))
    return complete


def _step_files(planned: StudyPlan, store: Store, name: str, *kinds: str) -> list[dict[str, Any]]:
    """The content, if it says anything, of a JSON file of all steps of some kinds, with the examples that they read."""
    steps, records = planned.plan.steps, []
    translators = {fingerprint: name for name, fingerprint in reversed(planned.translators.items())}
    for fingerprint, step in steps.items():
        file = store.find(fingerprint, name) if step.kind in kinds else None
        content = json.loads(file.read_text(encoding="utf-8")) if file else {}
        if not content or ("problems" in content and not content["problems"] and not content["unlabelled"]):
            continue
        translated = step.kind == "translate"
        prepared = steps[step.inputs["rows"]].arguments if translated else step.arguments
        into_another = translated and not step.arguments["roundtrip"]
        facts = {
            "label": step.label,
            "step": fingerprint,
            "task": prepared["task"]["name"],
            "split": prepared["split"],
            "language": step.arguments["to"] if into_another else prepared["language"],
            "translator": translators[step.inputs["model"]] if translated else "",
        }
        records.append(facts | content)
    return records


def describe_left_out(record: dict[str, Any]) -> str:
    """One record of `left-out.json` in words."""
    problems, parts = record["problems"], []
    if record["unlabelled"]:
        parts.append(f"{record['unlabelled']:,} examples without a gold label")
    if problems:
        first = problems[0]
        parts.append(f"{len(problems):,} bad examples, the first in {first['unit']} {first['line']}: {first['found']}")
    return f"{record['label']}: left out {' and '.join(parts)}; all are in {run_files.LEFT_OUT}"


def _budget(planned: StudyPlan, store: Store, cell: Cell) -> dict[str, Any]:
    """What a cell was trained on in both phases, and its English-dev score; for retrieval how its layer was chosen."""
    result = some(cell, "target", "arm", "encoder", "replicate")
    for phase, fingerprint in cell.trainings.items():
        if summary := training_summary(store, fingerprint):
            step = planned.plan.steps[fingerprint]
            languages = dict.fromkeys(code for task in step.arguments["tasks"].values() for code in task["languages"])
            languages |= dict.fromkeys(step.arguments.get("shots", ()))
            group = {"comparison_group": comparison_group(phase, step)}
            result[phase] = {"languages": list(languages), **group, **summary}
    if retrieval := store.find(cell.predictions, "retrieval.json"):
        result["retrieval"] = json.loads(retrieval.read_text(encoding="utf-8"))
    return result


def training_summary(store: Store, fingerprint: str) -> dict[str, Any] | None:
    """Examples, updates, tokens, first and last loss and the curve between of a finished training, and the English-dev
    score of the weights that it left; None if it is not finished."""
    file = store.find(fingerprint, "history.json")
    if not file:
        return None
    record = json.loads(file.read_text(encoding="utf-8"))
    losses = {"first_loss": record["history"][0]["loss"], "loss": record["history"][-1]["loss"]}
    losses["curve"] = [(row["update"], round(row["loss"], 4)) for row in record["history"]]
    return {name: record[name] for name in ("examples", "updates", "tokens", "dev_score")} | losses


def comparison_group(phase: str, step: Step) -> str:
    """A name shared by trainings that can be compared by loss and English dev: of the same phase and tasks, with as
    much masked text, the same text column withheld, and the same kind of training."""
    arguments = step.arguments
    tasks, masked = " + ".join(arguments["tasks"]), arguments["mlm"]["share"] if arguments["mlm"] else 0
    longer = ", lengthened" if "longer" in step.inputs else ""
    weighted = any("class_weights" in task for task in arguments["tasks"].values())
    kinds = {"adapters": "lora" in arguments, "class weights": weighted, "shots": "shots" in arguments}
    special = "".join(f", {kind}" for kind, given in kinds.items() if given)
    return f"{phase}: {tasks}, {masked:g} masked, '{arguments['mask_column']}' withheld{longer}{special}"
