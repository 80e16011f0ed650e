"""From a person's data to a model in a folder: infer, plan, train, compare, take the best out."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xstilts.config.load import load_study
from xstilts.engine import Report, Store, write_atomically
from xstilts.errors import XstiltsError
from xstilts.evaluation.item_intervals import score_with_interval
from xstilts.languages import language
from xstilts.models.hardware import cores, device_class
from xstilts.report.model_card import model_card
from xstilts.report.write import write_report
from xstilts.runs.reader import BASELINE, read_run
from xstilts.study.executors import local_executor
from xstilts.study.freeze import freeze
from xstilts.study.overview import bill
from xstilts.study.plan import build_plan
from xstilts.study.results import training_summary
from xstilts.study.run import run_study
from xstilts.study.steps import Cell, StudyPlan
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.workflows.columns import OwnTask, duplicates, split, understand
from xstilts.workflows.model import CARD, FACTS, STUDY, Model
from xstilts.workflows.own_data import read_table
from xstilts.workflows.own_study import DEFAULT_ENCODER, OWN, Wishes, own_study, write_examples
from xstilts.workflows.push import model_files

RUN, DATA = "run", "data"
"""Below the model's folder: the run of its study, and the examples that this reads."""
Row = dict[str, Any]


@dataclass
class Prepared:
    """What `train` is about to do: the inferred task, lines about it, the study, and its plan."""

    task: OwnTask
    notes: list[str]
    study: Row
    planned: StudyPlan
    tested: list[str]


def train(
    data: Any, for_: Sequence[str], out: str | Path, *, text: str | Sequence[str] | None = None,
    label: str | None = None, language_: str | None = None, kind: str | None = None,
    test: str | Mapping[str, Any] | None = None, intermediate: str = "", sources: str = "",
    compare: Sequence[str] = (), encoder: str = "", seeds: int = 1,
    epochs: int | None = None, learning_rate: float | None = None, batch_size: int = 32, max_length: int = 128,
    seed: int = 1, store: str | Path = "runs/store", device: str = "auto", jobs: int | None = None,
    watch: Report = lambda event: None, note: Callable[[str], None] = lambda line: None,
) -> Model:  # fmt: skip
    """Train a model on labelled data in one language, for use in others, and write it into a folder.

    Args:
        data: a file (CSV, TSV, JSONL, JSON, Parquet), a DataFrame, a `datasets.Dataset`, columns, or dictionaries.
        for_: codes of the languages that the model is for.
        out: the folder of the model; `run/` in it has the study's run with its report.
        text, label, language_, kind: columns and kind of the data, if they cannot be inferred.
        test: labelled rows to score on: a pattern with `{lang}`, or language → data.
        intermediate, sources: a task to train on first, and languages for it, such as `near:3`.
        compare: several such trainings, `none` or `TASK[@STRATEGY[:COUNT]]`, of which the best is taken.
        encoder: a folder or `OWNER/NAME[@REVISION]`; by default multilingual-e5-small from the hub.
        seeds: runs of each training.
        store: where finished steps are kept.
        watch, note: called with events of steps, and with lines about what was inferred.

    Raises XstiltsError if the data cannot be understood, or a step fails.
    """
    wishes = Wishes(
        codes_of(for_), tuple(compare) or (single_arm(intermediate, sources),), encoder or DEFAULT_ENCODER,
        seeds=seeds, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size, max_length=max_length,
        seed=seed,
    )  # fmt: skip
    prepared = prepare(
        data, wishes, Path(out), text=text, label=label, language_=language_, kind=kind, test=test, device=device
    )
    for line in prepared.notes:
        note(line)
    executor = local_executor(jobs, None, prepared.planned.frozen.device)
    return finish(prepared, Store(store), Path(out), executor, watch)


def prepare(
    data: Any, wishes: Wishes, out: Path, *, text: str | Sequence[str] | None = None, label: str | None = None,
    language_: str | None = None, kind: str | None = None, test: str | Mapping[str, Any] | None = None,
    device: str = "auto",
) -> Prepared:  # fmt: skip
    """Understand the data, write the examples and the study below `out`, and plan it; nothing is trained."""
    own = understand(read_table(data), text=text, label=label, language=language_, kind=kind)
    notes, (anchor, rows) = list(own.notes), _of_one_language(own)
    training, dev = split(rows, 0.1, wishes.seed)
    notes.append(f"dev: {len(dev):,} of {len(rows):,} rows, seed {wishes.seed}")
    tests = {
        code: labelled_rows(source, code, own.kind, own.columns, own.labels)
        for code, source in test_sources(test, (anchor, *wishes.languages))
    }
    for code, table in tests.items():
        if repeated := duplicates(rows, table):
            notes.append(f"warning: {len(repeated):,} texts are in the training data and in the test rows of {code}: "
                         f"'{repeated[0][:60]}'")  # fmt: skip
    for code in wishes.languages:
        if code not in tests:
            notes.append(f"warning: '{code}' has no labelled rows: its score will be unknown")
    study = own_study(out.name, own.kind, own.labels, anchor, len(training), wishes)
    examples = {("train", anchor): training, ("validation", anchor): dev}
    folder = out / RUN / DATA
    write_examples(folder, examples | {("test", code): table for code, table in tests.items()})
    write_atomically(out / STUDY, json.dumps(study, indent=1, ensure_ascii=False) + "\n")
    frozen = freeze(load_study(str(out / STUDY)), folder.resolve(), device_class(device), allow_few=True, resolved=True)
    return Prepared(own, notes, study, build_plan(frozen), list(tests))


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
    scores = _scores(out / RUN, cell) if result else {}
    facts = {
        "kind": prepared.task.kind,
        "columns": prepared.task.columns,
        "task": planned.frozen.tasks[OWN].model_dump(mode="json"),
        "language": planned.frozen.study.languages.anchor,
        "for": list(planned.frozen.study.languages.always_held_out),
        "arm": arm,
        "replicate": cell.replicate,
        "dev": {"score": dev, "metric": "accuracy"},
        "metric": "accuracy",
        "scores": scores,
        "recommendation": recommendation,
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


def single_arm(intermediate: str, sources: str) -> str:
    """The arm that `--intermediate` and `--sources` describe."""
    if sources and not intermediate:
        why, hint = "languages are those of an intermediate task", "name one with `intermediate`"
        raise XstiltsError("bad-argument", "`sources` is given without `intermediate`", why, hint)
    return f"{intermediate}@{sources}" if sources else intermediate or "none"


def codes_of(names: Sequence[str]) -> tuple[str, ...]:
    """Languages by any name, as codes; raises XstiltsError if there is none, or for a name that is unknown."""
    codes = tuple(dict.fromkeys(language(name).code for name in names))
    if not codes:
        hint = "name the languages in which the model will be used"
        raise XstiltsError("bad-argument", "no language is given", "a model is trained for some", hint)
    return codes


def _of_one_language(own: OwnTask) -> tuple[str, pa.Table]:
    """The language with most rows, and its examples."""
    [(most, _)] = Counter(own.examples["language"].to_pylist()).most_common(1)
    return most, own.examples.filter(pc.equal(own.examples["language"], most))


def test_sources(test: str | Mapping[str, Any] | None, codes: Sequence[str]) -> list[tuple[str, Any]]:
    """The labelled rows of each language that has some."""
    if test is None:
        return []
    if isinstance(test, Mapping):
        return [(language(code).code, data) for code, data in test.items()]
    if "{lang}" not in test:
        what, hint = (
            f"'{test}' does not say which language it is",
            "write {lang} where its code stands: test-{lang}.csv",
        )
        raise XstiltsError("bad-argument", what, "test rows are scored by language", hint)
    present = [(code, Path(test.replace("{lang}", code))) for code in codes]
    if found := [(code, path) for code, path in present if path.is_file()]:
        return found
    looked = ", ".join(str(path) for _, path in present)
    raise XstiltsError("missing-file", f"no test file fits '{test}'", f"looked for {looked}", "check the pattern")


def labelled_rows(source: Any, code: str, kind: str, columns: Mapping[str, str], labels: Sequence[str]) -> pa.Table:
    """Labelled rows in one language, read by the columns and labels of the training data."""
    text = [columns[name] for name in ("text_a", "text_b") if name in columns]
    return understand(
        read_table(source), text=text if len(text) > 1 else text[0], label=columns["label"], language=code, kind=kind,
        labels=labels,
    ).examples  # fmt: skip


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


def _scores(run_folder: Path, cell: Cell) -> dict[str, Row]:
    """Per tested language the chosen run's score with its interval, and that of the baseline."""
    run, scores = read_run(run_folder), {}
    kind = run.study["types"][OWN]
    table = run.predictions(OWN, cell.arm, cell.encoder, cell.replicate)
    trivial = run.predictions(OWN, BASELINE, "", 0)
    for code in dict.fromkeys(table["language"].to_pylist()):
        mine, floor = (part.filter(pc.equal(part["language"], code)) for part in (table, trivial))
        scores[code] = score_with_interval(mine, kind, "accuracy", run.study["level"])
        scores[code]["baseline"] = score_with_interval(floor, kind, "accuracy")["score"]
        scores[code]["baseline_name"] = FINE_TUNED[kind].BASELINE
    return scores


def estimate(prepared: Prepared, store: Store) -> Row:
    """What a prepared training costs: `runs`, and the `hours` that this machine needs."""
    planned, device = prepared.planned, prepared.planned.frozen.device
    finished = store.finished(planned.plan.steps)
    facts = bill(planned, planned.estimates, finished, cores() if device == "cpu" else 1)
    return {"runs": facts["training_runs"], "hours": facts["to_run"]["makespan_hours"]}
