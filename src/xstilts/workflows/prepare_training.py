"""What `train` does before it trains: understand the data, write examples and study, plan and price it."""

import json
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xstilts.config.load import load_study
from xstilts.engine import Store, write_atomically
from xstilts.errors import XstiltsError
from xstilts.hashing import digest
from xstilts.models.hardware import cores, device_class
from xstilts.runs.events import is_written
from xstilts.study.executors import local_executor
from xstilts.study.freeze import freeze
from xstilts.study.overview import bill
from xstilts.study.plan import build_plan
from xstilts.study.run import Executor
from xstilts.study.steps import StudyPlan
from xstilts.workflows.model import DATA, FACTS, RUN, STUDY, Model
from xstilts.workflows.user_data.kinds import KINDS
from xstilts.workflows.user_data.labelled_data import LabelledData, labelled
from xstilts.workflows.user_data.tables import read_table
from xstilts.workflows.user_data.task_examples import counted
from xstilts.workflows.user_data.user_task import (
    UserTask,
    describe_duplicates,
    duplicates,
    split,
    understand,
    unit_keys,
)
from xstilts.workflows.user_study import TrainingOptions, longest_texts, user_study, user_task, write_examples

Row = dict[str, Any]
SERIAL = 0.2
"""Share of a training on one core that more cores do not speed up: assumed."""


@dataclass
class Prepared:
    """What `train` is about to do: the inferred task, lines about it, the study, and its plan.

    tested: languages with labelled rows to score on; shots: language → ids of the labelled rows to train on; identity:
    a digest of study and examples.
    """

    task: UserTask
    notes: list[str]
    study: Row
    planned: StudyPlan
    tested: list[str]
    shots: dict[str, list[str]]
    identity: str


def chosen_arms(compare: str | Sequence[str], intermediate: str, sources: str, shots: bool) -> tuple[str, ...]:
    """The arms to train: those of `compare`, a list or a text with commas, or the one that the others describe.

    Raises XstiltsError if these do not go together.
    """
    if isinstance(compare, str):
        compare = [part.strip() for part in compare.split(",") if part.strip()]
    if sources and not intermediate:
        why, hint = "languages are those of an intermediate task", "name one with `intermediate`"
        raise XstiltsError("bad-argument", "`sources` is given without `intermediate`", why, hint)
    if compare and intermediate:
        why, hint = "`compare` lists all trainings", "name the task in one of them"
        raise XstiltsError("bad-argument", "both `compare` and `intermediate` are given", why, hint)
    used = any("shots" in arm.split("+") for arm in compare)
    if used and not shots:
        why, hint = "`shots` adds labelled rows to a training", "give the rows with --shots"
        raise XstiltsError("bad-argument", "`compare` names `shots`, but no such rows are given", why, hint)
    if compare and shots and not used:
        why, hint = "in a comparison, an arm says that it uses them", "write for example none,shots"
        raise XstiltsError("bad-argument", "no arm of `compare` uses the shots", why, hint)
    if repeated := [arm for arm in compare if compare.count(arm) > 1]:
        why, hint = "an arm is compared with others", "name it once"
        raise XstiltsError("bad-argument", f"`compare` names '{repeated[0]}' twice", why, hint)
    if compare:
        return tuple(compare)
    first = f"{intermediate}@{sources}" if sources else intermediate
    return ("+".join(filter(None, [first, "shots" * shots])) or "none",)


def prepare(
    data: Any, options: TrainingOptions, out: Path, columns: Row, *, test: LabelledData = None,
    shots: LabelledData = None, device: str = "auto",
) -> Prepared:  # fmt: skip
    """Understand the data, write the examples and the study below `out`, and plan it; nothing is trained.

    columns: `text`, `label`, `language` and `kind`, as `understand` takes them, None if they are to be inferred. Raises
    XstiltsError if the data cannot be understood, or if `out` holds another model or files of something else.
    """
    task = understand(read_table(data), **columns)
    notes, (anchor, rows) = list(task.notes), _of_one_language(task)
    if others := len(task.examples) - len(rows):
        notes.append(f"warning: {counted(others, 'row')} in other languages than {anchor} not used: give those in the "
                     "languages of the model as shots or test rows")  # fmt: skip
    if anchor in options.languages:
        notes.append(f"the data are in {anchor}: the model is for it in any case")
        options = replace(options, languages=tuple(code for code in options.languages if code != anchor))
    _check_options(task, anchor, options)
    training, dev = split(rows, 0.1, options.seed)
    if not len(dev):
        why, hint = "equal texts, and questions of one context, stay together", "add rows with other texts"
        raise XstiltsError("too-few", "no rows are left to evaluate on during training", why, hint)
    notes.append(f"dev: {len(dev):,} of {len(rows):,} rows, seed {options.seed}")
    added, tests, more = _labelled_rows(task, anchor, rows, options, test, shots)
    notes += more
    parts = {("train", anchor): training, ("validation", anchor): dev}
    parts |= {("shots", code): table for code, table in added.items()}
    parts |= {("test", code): table for code, table in tests.items()}
    study = _study(task, out.name, anchor, len(training), list(tests.values()), options)
    identity = digest([study, [[*key, table.to_pylist()] for key, table in parts.items()]])
    _check_folder(out, identity)
    if is_written(out / RUN):
        why, hint = "another process trains into it", "wait for it, or name another folder"
        raise XstiltsError("bad-argument", f"{out} is in use", why, hint)
    shutil.rmtree(out / RUN, ignore_errors=True)  # what an interrupted command wrote might be taken for rows of this
    write_examples(out / RUN / DATA, parts)
    write_atomically(out / STUDY, json.dumps(study, indent=1, ensure_ascii=False) + "\n")
    place = (out / RUN / DATA).resolve()
    frozen = freeze(load_study(str(out / STUDY)), place, device_class(device), allow_few=True, resolved=True)
    if len(options.arms) > 1:
        notes += [f"warning: {warning}" for warning in frozen.warnings]
    ids = {code: table["id"].to_pylist() for code, table in added.items()}
    return Prepared(task, notes, study, build_plan(frozen), list(tests), ids, identity)


def _labelled_rows(
    task: UserTask, anchor: str, rows: pa.Table, options: TrainingOptions, test: LabelledData, shots: LabelledData
) -> tuple[dict[str, pa.Table], dict[str, pa.Table], list[str]]:
    """The shots and the test rows of each language that has some, and notes about them; no row is in both, and none of
    `rows`, the training data, is a test row of its language."""
    facts = (task.kind, task.columns, task.labels, task.language_column)
    added, shot_notes = labelled(shots, options.languages, *facts)
    tests, test_notes = labelled(test, options.languages, *facts, also=anchor)
    notes = [*shot_notes, *test_notes]
    for code, table in tests.items():
        known = {"shots": added.get(code), "training rows": rows if code == anchor else None}
        tests[code], more = _never_trained_on(table, known, code)
        notes += [*more, *(_repeated(rows, tests[code], code) if code != anchor else ())]
    notes += [f"shots: {counted(len(table), 'labelled row')} in {code} to train on" for code, table in added.items()]
    untested = [code for code in options.languages if code not in tests]
    notes += [f"warning: '{code}' has no labelled rows: its score will be unknown" for code in untested]
    return added, tests, notes


def _check_options(task: UserTask, anchor: str, options: TrainingOptions) -> None:
    """Raise XstiltsError for options that do not fit the data."""
    if not options.languages:
        why, hint = "a model is trained for other languages than that of its data", "name others with --for"
        raise XstiltsError("bad-argument", f"the data are in {anchor}, and no other language is given", why, hint)
    for name, number in (("--learning-rate", options.learning_rate), ("--epochs", options.epochs)):
        if number is not None and not 0 < number < math.inf:
            why, hint = "it must be above 0 and finite", "leave it out, or give another number"
            raise XstiltsError("bad-argument", f"{name} is {number:g}", why, hint)
    balanced = options.class_weights or any("balanced" in arm.split("+") for arm in options.arms)
    if balanced and KINDS[task.kind].type != "classification":
        why, hint = f"data of the kind '{task.kind}' have none", "leave the class weights out"
        raise XstiltsError("bad-argument", "class weights need one label per row", why, hint)
    adapters = options.lora or any("lora" in arm.split("+") for arm in options.arms)
    averaged = options.checkpoint == "average" or any("average" in arm.split("+") for arm in options.arms)
    together = any({"lora", "average"} <= set(arm.split("+")) for arm in options.arms)
    if together or (options.lora and averaged) or (adapters and options.checkpoint == "average"):
        why, hint = "averaged factors are not the factors of the averaged weights", "choose one of them"
        raise XstiltsError("bad-argument", "low-rank adapters cannot be averaged", why, hint)
    if options.lora and any("lora" in arm.split("+") for arm in options.arms):
        why, hint = "with --lora every arm has adapters", "leave out one of them"
        raise XstiltsError("bad-argument", "--lora and an arm with `lora`", why, hint)


def _check_folder(out: Path, identity: str) -> None:
    """Raise XstiltsError if writing into a folder would change another model, or touch files of something else."""
    if out.exists() and not (out.is_dir() and ((out / STUDY).is_file() or not any(out.iterdir()))):
        why, hint = "it holds files that `train` has not written", "name another folder"
        raise XstiltsError("bad-argument", f"cannot write a model into {out}", why, hint)
    if (out / FACTS).is_file() and Model(out).facts.get("identity") != identity:
        why, hint = "it was trained on other data or with other options", "name another folder, or remove this one"
        raise XstiltsError("bad-argument", f"{out} holds another model", why, hint)


def _study(
    task: UserTask, name: str, anchor: str, rows: int, tests: list[pa.Table], options: TrainingOptions
) -> Row:  # fmt: skip
    """The study that trains on `rows` examples of a task in the anchor language."""
    unanswerable = task.kind == "qa" and not all(task.examples["answers"].to_pylist())
    columns = [column for column in task.examples.column_names if column not in ("id", "language")]
    length = longest_texts(options, KINDS[task.kind].max_length)
    entry = user_task(task.kind, task.labels, columns, (anchor, *options.languages), length,
                      unanswerable, options.licence, task.with_ids and _are_parallel(tests))  # fmt: skip
    return user_study(name, entry, anchor, rows, options)


def _are_parallel(tests: list[pa.Table]) -> bool:
    """Whether the test rows of several languages are translations of each other: equal ids with equal labels."""
    gold = [dict(zip(table["id"].to_pylist(), table[GOLD].to_pylist(), strict=True))
            for table in tests for GOLD in ("label", "tags", "answers") if GOLD in table.column_names]  # fmt: skip
    return len(gold) > 1 and all(labels == gold[0] for labels in gold)


def _of_one_language(task: UserTask) -> tuple[str, pa.Table]:
    """The language with most rows, and its examples."""
    [(most, _)] = Counter(task.examples["language"].to_pylist()).most_common(1)
    return most, task.examples.filter(pc.equal(task.examples["language"], most))


def _never_trained_on(test: pa.Table, known: dict[str, pa.Table | None], code: str) -> tuple[pa.Table, list[str]]:
    """Test rows without those whose texts are among rows that are trained on, and notes about these; raises
    XstiltsError if none is left."""
    notes = []
    for name, rows in known.items():
        repeated = set(duplicates(rows, test)) if rows is not None else set()
        if not repeated:
            continue
        left = test.filter(pa.array([key not in repeated for key in unit_keys(test)], pa.bool_()))
        notes.append(f"{counted(len(test) - len(left), 'test row')} of {code} not scored: they are among the {name}")
        test = left
        if not len(test):
            what, hint = f"all test rows of {code} are among the {name}", "give other rows to score on"
            raise XstiltsError("leak", what, "a score on rows that are trained on means nothing", hint)
    return test, notes


def _repeated(training: pa.Table, test: pa.Table, code: str) -> list[str]:
    """A warning about texts that are trained on in another language and scored in this one."""
    repeated = duplicates(training, test)
    what = f"warning: the training data and the test rows of {code}: {describe_duplicates(repeated)}"
    return [what] if repeated else []


def estimate(prepared: Prepared, store: Store) -> Row:
    """What a prepared training costs: `runs`, and the `hours` that this machine needs."""
    planned, device = prepared.planned, prepared.planned.frozen.device
    finished, alone = store.finished(planned.plan.steps), _has_all_cores(prepared)
    facts = bill(planned, planned.estimates, finished, 1 if alone or device != "cpu" else cores())
    speedup = 1 / (SERIAL + (1 - SERIAL) / cores()) if alone else 1.0
    return {"runs": facts["training_runs"], "hours": facts["to_run"]["makespan_hours"] / speedup}


def _has_all_cores(prepared: Prepared) -> bool:
    """Whether one training runs alone on the processor, and uses all cores."""
    alone = len(prepared.study["arms"]) * prepared.study["replicates"] == 1
    return alone and prepared.planned.frozen.device == "cpu"


def executor(prepared: Prepared, jobs: int | None, per_gpu: int = 1) -> Executor:
    """What runs the steps, `jobs` at once and `per_gpu` on a GPU; if `jobs` is not given, several trainings get a core
    each, and one alone gets all. Raises XstiltsError as `local_executor`."""
    device = prepared.planned.frozen.device
    if _has_all_cores(prepared) and jobs is None:
        return local_executor(1, cores(), device, per_gpu=per_gpu)
    return local_executor(jobs, None, device, per_gpu=per_gpu)
