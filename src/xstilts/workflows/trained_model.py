"""What `train` does with a plan: run it, choose a training, and write its model into a folder with card and scores."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from xstilts.data.examples import load_examples
from xstilts.engine import Report, Store, write_atomically
from xstilts.errors import XstiltsError
from xstilts.evaluation.item_intervals import score_with_interval
from xstilts.hashing import checksum
from xstilts.models.published import published
from xstilts.report.model_card import model_card
from xstilts.report.write import write_report
from xstilts.runs.reader import BASELINE, read_run
from xstilts.study.freeze import Frozen
from xstilts.study.results import training_summary
from xstilts.study.run import run_study
from xstilts.study.source_languages import parts_of
from xstilts.study.steps import Cell, StudyPlan
from xstilts.tasks.task_types import FINE_TUNED, main_metric
from xstilts.workflows.model import CARD, FACTS, RUN, Model, facts_hash
from xstilts.workflows.prepare_training import Prepared, Row
from xstilts.workflows.push import model_files
from xstilts.workflows.user_study import USER_TASK

PUBLISHED_TASKS = {"pair": "xnli", "qa": "tydiqa"}
"""Kind of data → the task of published trainings that is most like it; of other kinds all of them count."""


def finish(prepared: Prepared, store: Store, out: Path, executor: Any, watch: Report) -> Model:
    """Run what was planned, choose a training, and write its model with card and scores into `out`.

    Raises XstiltsError if steps failed; the model is written all the same if the first arm is complete.
    """
    planned, result, failure = prepared.planned, None, None
    if prepared.tested:
        try:
            run_study(planned, store, out / RUN, executor, watch)
        except XstiltsError as error:
            if error.kind != "step-failed" or not _is_complete(planned, store, next(iter(prepared.study["arms"]))):
                raise
            failure = error
        result = write_report(out / RUN)
    else:
        wanted = [cell.training for cell in planned.cells if cell.training]
        with store.in_use(planned.plan.steps):
            outcome = executor(planned.plan, store, wanted, watch)
        if outcome.failed:
            failed = next(iter(outcome.failed))
            what, hint = f"'{planned.plan.steps[failed].label}' failed", "fix the cause and run the command again"
            raise XstiltsError("step-failed", what, outcome.failed[failed], hint)
    arm, recommendation = _recommended(prepared, result)
    cell, dev = _best_run(planned, store, arm)
    metric = main_metric(planned.frozen.tasks[USER_TASK])
    scores = _scores(out / RUN, cell, metric) if result else {}
    facts = {
        "kind": prepared.task.kind,
        "columns": prepared.task.columns,
        "language_column": prepared.task.language_column,
        "labels": prepared.task.labels,
        "task": planned.frozen.tasks[USER_TASK].model_dump(mode="json"),
        "language": planned.frozen.study.languages.anchor,
        "for": list(planned.frozen.study.languages.always_held_out),
        "arm": arm,
        "replicate": cell.replicate,
        "dev_score": dev,
        "dev_baseline": _dev_baseline(planned.frozen, metric),
        "metric": metric,
        "scores": scores,
        "recommendation": recommendation,
        "compared": len(prepared.study["arms"]),
        **_origins(planned, arm),
        "shots": prepared.shots if "shots" in arm.split("+") else {},
        "training": training_summary(store, cell.training),
        "intermediate": training_summary(store, cell.intermediate) if cell.intermediate else None,
        "step": cell.training,
        "identity": prepared.identity,
    }
    step = store.open(cell.training)
    names = model_files(step)[0]
    for name in names:
        shutil.copyfile(step / name, out / name)
    write_atomically(out / CARD, model_card(facts, prepared.study))
    checksums = {name: checksum(out / name) for name in names}
    facts |= {"checksums": checksums, "hash": facts_hash(json.loads(json.dumps(facts)), checksums)}
    write_atomically(out / FACTS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")  # last: it makes a model
    if failure:
        hint = f"{failure.hint}; until then {out} holds the best model of the trainings that finished"
        raise XstiltsError(failure.kind, failure.what, failure.why, hint)
    return Model(out)


def _is_complete(planned: StudyPlan, store: Store, arm: str) -> bool:
    """Whether every training and prediction of an arm is in the store."""
    finished = store.finished(planned.plan.steps)
    return all(step in finished for cell in planned.cells if cell.arm == arm for step in cell.steps)


def _recommended(prepared: Prepared, result: Row | None) -> tuple[str, str]:
    """The arm to take, and why: the best of those that are better than the first, else the first."""
    arms = list(prepared.study["arms"])
    if len(arms) == 1:
        return arms[0], ""
    held_out = [code for code in prepared.tested if code in prepared.study["languages"]["always_held_out"]]
    if result is None or not held_out:
        text = "nothing was measured in the languages that the model is for, because they have no labelled rows"
        return arms[0], f"'{arms[0]}', the first training: {text}. {_published_ranking(prepared)}"
    better = [row for row in result["verdicts"] if row["verdict"] == "better"]
    if better:
        best = max(better, key=lambda row: row["estimate"])
        return best["left"], best["sentence"]
    lines = [row["sentence"] for row in result["verdicts"]]
    lines += [row["decision"]["text"] for row in result["verdicts"] if row["decision"]][:1]
    return arms[0], f"'{arms[0]}', the first: no other training is shown to be better. {' '.join(lines)}"


def _published_ranking(prepared: Prepared) -> str:
    """What published trainings say about source languages for the languages of a model, in a sentence or two."""
    from xstilts.transfer.model_file import load_models
    from xstilts.transfer.rank_sources import rank_sources

    alike = PUBLISHED_TASKS.get(prepared.task.kind)
    if prepared.task.kind == "tagging":
        alike = "panx" if any(label.startswith("B-") for label in prepared.task.labels) else "udpos"
    models = [model for model in load_models() if alike in (None, model.results.task)]
    best = []
    for code in prepared.study["languages"]["always_held_out"]:
        first = rank_sources(models, code)[:3]
        best.append(f"for {code} {', '.join(row['source'] for row in first)}")
    tasks = " and ".join(model.results.task for model in models)
    learned = f"In published trainings of XLM-R Large ({tasks}) these sources added most: {'; '.join(best)}"
    return f"{learned}. `xstilts transfer rank` shows how certain that is."


def _best_run(planned: StudyPlan, store: Store, arm: str) -> tuple[Cell, float | None]:
    """The run of an arm with the best dev score (of equals the first), and that score."""
    cells = [cell for cell in planned.cells if cell.arm == arm and cell.target == USER_TASK and cell.training]
    summaries = {cell.training: training_summary(store, cell.training) or {} for cell in cells}
    best = max(cells, key=lambda cell: summaries[cell.training].get("dev_score") or 0.0)
    return best, summaries[best.training].get("dev_score")


def _dev_baseline(frozen: Frozen, metric: str) -> float:
    """The score of the trivial baseline on the development examples."""
    from xstilts.evaluation.predict import attach_example_ids

    task, code = frozen.tasks[USER_TASK], frozen.study.languages.anchor
    kind = FINE_TUNED[task.type]
    training, dev = (load_examples(task, split, code, frozen.data, {}).table for split in ("train", "validation"))
    trivial = attach_example_ids(dev, kind.baseline(training, dev, task))
    return float(kind.score(kind.statistics(trivial, metric).sum(0), metric))


def _scores(run_folder: Path, cell: Cell, metric: str) -> dict[str, Row]:
    """Per tested language the chosen run's score with its interval, and that of the baseline."""
    run, scores = read_run(run_folder), {}
    kind = run.study["types"][USER_TASK]
    table = run.predictions(USER_TASK, cell.arm, cell.encoder, cell.replicate)
    trivial = run.predictions(USER_TASK, BASELINE, "", 0)
    for code in dict.fromkeys(table["language"].to_pylist()):
        mine, floor = (part.filter(pc.equal(part["language"], code)) for part in (table, trivial))
        scores[code] = score_with_interval(mine, kind, metric, run.study["level"])
        scores[code]["baseline"] = score_with_interval(floor, kind, metric)["score"]
        scores[code]["baseline_name"] = FINE_TUNED[kind].BASELINE
    return scores


def _origins(planned: StudyPlan, arm: str) -> Row:
    """`licences`: name → licence of everything that the model is made from, "" for one that is not stated; `datasets`:
    the hub's data sets of its intermediate training."""
    study, tasks = planned.frozen.study, planned.frozen.tasks
    settings = study.arms[arm]
    name = settings.intermediate
    parts = [tasks[part.task] for part in parts_of(study, name).values()] if name else []
    loads = [study.encoders["encoder"].load]
    loads += [study.translators[name].load for name in [settings.target_training.translated] if name]
    licences = {model.name: model.licence for model in map(published, loads)}
    licences |= {task.name: task.licence for task in (tasks[USER_TASK], *parts)}
    repositories = [getattr(task.source, "hub", "") for task in parts]
    repositories = [getattr(task.source, "hub", "") for task in parts]
    return {"licences": licences, "datasets": [name for name in repositories if name]}
