"""From a person's data to a model in a folder: infer, plan, train, compare, take the best out."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xstilts.config.load import load_study
from xstilts.data.examples import load_examples
from xstilts.engine import Report, Store, write_atomically
from xstilts.errors import XstiltsError
from xstilts.evaluation.item_intervals import score_with_interval
from xstilts.models.hardware import cores, device_class
from xstilts.models.published import published
from xstilts.report.model_card import model_card
from xstilts.report.write import write_report
from xstilts.runs.reader import BASELINE, read_run
from xstilts.study.executors import local_executor
from xstilts.study.freeze import Frozen, freeze
from xstilts.study.overview import bill
from xstilts.study.plan import build_plan
from xstilts.study.results import training_summary
from xstilts.study.run import run_study
from xstilts.study.source_languages import parts_of
from xstilts.study.steps import Cell, StudyPlan
from xstilts.tasks.task_types import FINE_TUNED, main_metric
from xstilts.workflows.columns import OwnTask, describe_duplicates, duplicates, split, text_keys, understand
from xstilts.workflows.labelled_data import LabelledData, labelled
from xstilts.workflows.model import CARD, DATA, FACTS, RUN, STUDY, Model
from xstilts.workflows.own_data import read_table
from xstilts.workflows.own_study import OWN, Wishes, own_study, own_task, write_examples
from xstilts.workflows.push import model_files
from xstilts.workflows.row_languages import codes_of
from xstilts.workflows.task_examples import counted

Row = dict[str, Any]


@dataclass
class Prepared:
    """What `train` is about to do: the inferred task, lines about it, the study, and its plan.

    tested: languages with labelled rows to score on; shots: language → ids of the labelled rows to train on.
    """

    task: OwnTask
    notes: list[str]
    study: Row
    planned: StudyPlan
    tested: list[str]
    shots: dict[str, list[str]]


def train(
    data: Any, for_: Sequence[str], out: str | Path, *, text: str | Sequence[str] | None = None,
    label: str | None = None, language: str | None = None, kind: str | None = None, test: LabelledData = None,
    shots: LabelledData = None, intermediate: str = "", sources: str = "", compare: Sequence[str] = (),
    examples: int | None = None, encoder: str = "", translator: str = "", seeds: int = 1,
    epochs: int | None = None, learning_rate: float | None = None, batch_size: int = 32, max_length: int | None = None,
    lora: bool = False, class_weights: str = "", checkpoint: str = "last", seed: int = 1, licence: str = "",
    store: str | Path = "runs/store", device: str = "auto", jobs: int | None = None,
    watch: Report = lambda event: None, note: Callable[[str], None] = lambda line: None,
) -> Model:  # fmt: skip
    """Train a model on labelled data in one language, for use in others, and write it into a folder.

    Args:
        data: a file (CSV, TSV, JSONL, JSON, Parquet, CoNLL, SQuAD), a DataFrame, a `datasets.Dataset`, columns, or
            dictionaries.
        for_: codes of the languages that the model is for.
        out: the folder of the model; `run/` in it has the study's run with its report.
        text, label, language, kind: columns and kind of the data, if they cannot be inferred.
        test: labelled rows to score on: a pattern with `{lang}`, language → data, or data with a column of languages.
        shots: a few labelled rows in the languages of the model to train on as well, given like `test`.
        intermediate, sources: a task to train on first, and languages for it, such as `near:3`.
        examples: of the intermediate task, by default 10,000.
        compare: several trainings, of which the best is taken: parts with `+` between them, which are `none`,
            `TASK[@STRATEGY[:COUNT]]`, `translate` and `shots`.
        encoder, translator: a folder or `OWNER/NAME[@REVISION]`; by default multilingual-e5-small and M2M-100 (418M)
            from the hub.
        seeds: runs of each training.
        max_length: tokens of a text that are read; by default 128, and 384 of a question with its context.
        lora: train low-rank adapters instead of all weights; needs the package peft.
        class_weights: `balanced` makes rare labels count more, for one label a row.
        checkpoint: the weights that are kept: `last`, `best` on the development rows, or `average` over the last ones.
        licence: of the data, for the model's card, such as `CC BY 4.0`.
        store: where finished steps are kept.
        watch, note: called with events of steps, and with lines about what was inferred.

    Raises XstiltsError if the data cannot be understood, or a step fails.
    """
    wishes = Wishes(
        codes_of(for_), chosen_arms(compare, intermediate, sources, shots is not None), encoder, translator,
        seeds=seeds, examples=examples, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size,
        max_length=max_length, lora=lora, class_weights=class_weights, checkpoint=checkpoint, seed=seed,
        licence=licence,
    )  # fmt: skip
    columns: Row = {"text": text, "label": label, "language": language, "kind": kind}
    prepared = prepare(data, wishes, Path(out), columns, test=test, shots=shots, device=device)
    for line in prepared.notes:
        note(line)
    executor = local_executor(jobs, None, prepared.planned.frozen.device)
    return finish(prepared, Store(store), Path(out), executor, watch)


def prepare(
    data: Any, wishes: Wishes, out: Path, columns: Row, *, test: LabelledData = None, shots: LabelledData = None,
    device: str = "auto",
) -> Prepared:  # fmt: skip
    """Understand the data, write the examples and the study below `out`, and plan it; nothing is trained.

    columns: `text`, `label`, `language` and `kind`, as `understand` takes them, None if they are to be inferred.
    """
    own = understand(read_table(data), **columns)
    notes, (anchor, rows) = list(own.notes), _of_one_language(own)
    if others := len(own.examples) - len(rows):
        notes.append(f"warning: {counted(others, 'row')} in other languages than {anchor} not used: give those in the "
                     "languages of the model as shots or test rows")  # fmt: skip
    training, dev = split(rows, 0.1, wishes.seed)
    notes.append(f"dev: {len(dev):,} of {len(rows):,} rows, seed {wishes.seed}")
    facts = (own.kind, own.columns, own.labels)
    added, shot_notes = labelled(shots, wishes.languages, *facts)
    tests, test_notes = labelled(test, wishes.languages, *facts, also=anchor)
    notes += [*shot_notes, *test_notes]
    for code, table in tests.items():
        tests[code], more = _without_shots(table, added.get(code), code)
        notes += [*more, *_repeated(rows, tests[code], code)]
    notes += [f"shots: {counted(len(table), 'labelled row')} in {code} to train on" for code, table in added.items()]
    untested = [code for code in wishes.languages if code not in tests]
    notes += [f"warning: '{code}' has no labelled rows: its score will be unknown" for code in untested]
    examples = {("train", anchor): training, ("validation", anchor): dev}
    examples |= {("shots", code): table for code, table in added.items()}
    examples |= {("test", code): table for code, table in tests.items()}
    folder = out / RUN / DATA
    write_examples(folder, examples)
    open_questions = own.kind == "qa" and not all(own.examples["answers"].to_pylist())
    names = [name for name in own.examples.column_names if name not in ("id", "language")]
    languages = (anchor, *wishes.languages)
    task = own_task(own.kind, own.labels, names, languages, wishes.max_length, open_questions, wishes.licence)
    study = own_study(out.name, task, anchor, len(training), wishes)
    write_atomically(out / STUDY, json.dumps(study, indent=1, ensure_ascii=False) + "\n")
    frozen = freeze(load_study(str(out / STUDY)), folder.resolve(), device_class(device), allow_few=True, resolved=True)
    ids = {code: table["id"].to_pylist() for code, table in added.items()}
    return Prepared(own, notes, study, build_plan(frozen), list(tests), ids)


def finish(prepared: Prepared, store: Store, out: Path, executor: Any, watch: Report) -> Model:
    """Run what was planned, choose a training, and write its model with card and scores into `out`."""
    planned, result = prepared.planned, None
    if prepared.tested:
        run_study(planned, store, out / RUN, executor, watch)
        result = write_report(out / RUN)
    else:
        wanted = [cell.training for cell in planned.cells if cell.training]
        outcome = executor(planned.plan, store, wanted, watch)
        if outcome.failed:
            failed = next(iter(outcome.failed))
            what, hint = f"'{planned.plan.steps[failed].label}' failed", "fix the cause and run the command again"
            raise XstiltsError("step-failed", what, outcome.failed[failed], hint)
    arm, recommendation = _recommended(prepared, result)
    cell, dev = _best_run(planned, store, arm)
    metric = main_metric(planned.frozen.tasks[OWN])
    scores = _scores(out / RUN, cell, metric) if result else {}
    facts = {
        "kind": prepared.task.kind,
        "columns": prepared.task.columns,
        "labels": prepared.task.labels,
        "task": planned.frozen.tasks[OWN].model_dump(mode="json"),
        "language": planned.frozen.study.languages.anchor,
        "for": list(planned.frozen.study.languages.always_held_out),
        "arm": arm,
        "replicate": cell.replicate,
        "dev_score": dev,
        "dev_baseline": _dev_baseline(planned.frozen, metric),
        "metric": metric,
        "scores": scores,
        "recommendation": recommendation,
        **_origins(planned, arm),
        "shots": prepared.shots if "shots" in arm.split("+") else {},
        "training": training_summary(store, cell.training),
        "intermediate": training_summary(store, cell.intermediate) if cell.intermediate else None,
        "step": cell.training,
    }
    step = store.open(cell.training)
    for name in model_files(step)[0]:
        shutil.copyfile(step / name, out / name)
    write_atomically(out / FACTS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    write_atomically(out / CARD, model_card(facts, prepared.study))
    return Model(out)


def chosen_arms(compare: Sequence[str], intermediate: str, sources: str, shots: bool) -> tuple[str, ...]:
    """The arms to train: those of `compare`, or the one that `intermediate`, `sources` and `shots` describe.

    Raises XstiltsError if these do not go together.
    """
    if sources and not intermediate:
        why, hint = "languages are those of an intermediate task", "name one with `intermediate`"
        raise XstiltsError("bad-argument", "`sources` is given without `intermediate`", why, hint)
    if compare and intermediate:
        why, hint = "`compare` lists all trainings", "name the task in one of them"
        raise XstiltsError("bad-argument", "both `compare` and `intermediate` are given", why, hint)
    if compare:
        used = any("shots" in arm.split("+") for arm in compare)
        if used != shots:
            what = "`compare` names `shots`, but no such rows are given" if used else "no arm of `compare` uses `shots`"
            why, hint = "labelled rows in the languages of the model are used by arms that say so", "write none,shots"
            raise XstiltsError("bad-argument", what, why, hint)
        return tuple(compare)
    first = f"{intermediate}@{sources}" if sources else intermediate
    return ("+".join(filter(None, [first, "shots" * shots])) or "none",)


def _of_one_language(own: OwnTask) -> tuple[str, pa.Table]:
    """The language with most rows, and its examples."""
    [(most, _)] = Counter(own.examples["language"].to_pylist()).most_common(1)
    return most, own.examples.filter(pc.equal(own.examples["language"], most))


def _without_shots(test: pa.Table, shots: pa.Table | None, code: str) -> tuple[pa.Table, list[str]]:
    """Test rows without those whose texts are trained on as shots, and a note if there are any."""
    known = set(duplicates(shots, test)) if shots is not None else set()
    if not known:
        return test, []
    left = test.filter(pa.array([key not in known for key in text_keys(test)]))
    if not len(left):
        hint = "give other rows to score on"
        raise XstiltsError("leak", f"all test rows of {code} are shots", "rows that are trained on cannot score", hint)
    return left, [f"{counted(len(test) - len(left), 'test row')} of {code} not scored: they are among the shots"]


def _repeated(training: pa.Table, test: pa.Table, code: str) -> list[str]:
    """A warning about texts that are trained on in another language and scored in this one."""
    repeated = duplicates(training, test)
    what = f"warning: the training data and the test rows of {code}: {describe_duplicates(repeated)}"
    return [what] if repeated else []


def _recommended(prepared: Prepared, result: Row | None) -> tuple[str, str]:
    """The arm to take, and why: the best of those that are better than the first, else the first."""
    arms = list(prepared.study["arms"])
    if len(arms) == 1:
        return arms[0], ""
    held_out = [code for code in prepared.tested if code in prepared.study["languages"]["always_held_out"]]
    if result is None or not held_out:
        text = "nothing was measured in the languages that the model is for: they have no labelled rows"
        return arms[0], f"'{arms[0]}', the simplest training: {text}."
    better = [row for row in result["verdicts"] if row["verdict"] == "better"]
    if better:
        best = max(better, key=lambda row: row["estimate"])
        return best["left"], best["sentence"]
    lines = [row["sentence"] for row in result["verdicts"]]
    lines += [row["decision"]["text"] for row in result["verdicts"] if row["decision"]][:1]
    return arms[0], f"'{arms[0]}', the first: no other training is shown to be better. {' '.join(lines)}"


def _best_run(planned: StudyPlan, store: Store, arm: str) -> tuple[Cell, float | None]:
    """The run of an arm with the best dev score (of equals the first), and that score."""
    cells = [cell for cell in planned.cells if cell.arm == arm and cell.target == OWN and cell.training]
    summaries = {cell.training: training_summary(store, cell.training) or {} for cell in cells}
    best = max(cells, key=lambda cell: summaries[cell.training].get("dev_score") or 0.0)
    return best, summaries[best.training].get("dev_score")


def _dev_baseline(frozen: Frozen, metric: str) -> float:
    """The score of the trivial baseline on the development examples."""
    task, code = frozen.tasks[OWN], frozen.study.languages.anchor
    kind = FINE_TUNED[task.type]
    training, dev = (load_examples(task, split, code, frozen.data, {}).table for split in ("train", "validation"))
    trivial = pa.table({"language": dev["language"], **kind.baseline(training, dev, task)})
    return float(kind.score(kind.statistics(trivial, metric).sum(0), metric))


def _scores(run_folder: Path, cell: Cell, metric: str) -> dict[str, Row]:
    """Per tested language the chosen run's score with its interval, and that of the baseline."""
    run, scores = read_run(run_folder), {}
    kind = run.study["types"][OWN]
    table = run.predictions(OWN, cell.arm, cell.encoder, cell.replicate)
    trivial = run.predictions(OWN, BASELINE, "", 0)
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
    name, encoder = study.arms[arm].intermediate, published(study.encoders["encoder"].load)
    parts = [tasks[part.task] for part in parts_of(study, name).values()] if name else []
    licences = {encoder.name: encoder.licence, **{task.name: task.licence for task in (tasks[OWN], *parts)}}
    repositories = [getattr(task.source, "hub", "") for task in parts]
    return {"licences": licences, "datasets": [name for name in repositories if name]}


def estimate(prepared: Prepared, store: Store) -> Row:
    """What a prepared training costs: `runs`, and the `hours` that this machine needs."""
    planned, device = prepared.planned, prepared.planned.frozen.device
    finished = store.finished(planned.plan.steps)
    facts = bill(planned, planned.estimates, finished, cores() if device == "cpu" else 1)
    return {"runs": facts["training_runs"], "hours": facts["to_run"]["makespan_hours"]}
