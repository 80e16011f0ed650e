"""What `train` does before it trains: understand the data, write examples and study, plan and price it."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from xstilts.config.load import load_study
from xstilts.engine import Store, write_atomically
from xstilts.errors import XstiltsError
from xstilts.models.hardware import cores, device_class
from xstilts.study.freeze import freeze
from xstilts.study.overview import bill
from xstilts.study.plan import build_plan
from xstilts.study.steps import StudyPlan
from xstilts.workflows.model import DATA, RUN, STUDY
from xstilts.workflows.user_data.labelled_data import LabelledData, labelled
from xstilts.workflows.user_data.tables import read_table
from xstilts.workflows.user_data.task_examples import counted
from xstilts.workflows.user_data.user_task import (
    UserTask,
    describe_duplicates,
    duplicates,
    split,
    text_keys,
    understand,
)
from xstilts.workflows.user_study import Wishes, user_study, user_task, write_examples

Row = dict[str, Any]


@dataclass
class Prepared:
    """What `train` is about to do: the inferred task, lines about it, the study, and its plan.

    tested: languages with labelled rows to score on; shots: language → ids of the labelled rows to train on.
    """

    task: UserTask
    notes: list[str]
    study: Row
    planned: StudyPlan
    tested: list[str]
    shots: dict[str, list[str]]


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


def prepare(
    data: Any, wishes: Wishes, out: Path, columns: Row, *, test: LabelledData = None, shots: LabelledData = None,
    device: str = "auto",
) -> Prepared:  # fmt: skip
    """Understand the data, write the examples and the study below `out`, and plan it; nothing is trained.

    columns: `text`, `label`, `language` and `kind`, as `understand` takes them, None if they are to be inferred. Raises
    XstiltsError if the data cannot be understood, or if `out` holds files of something else.
    """
    _check_folder(out)
    task = understand(read_table(data), **columns)
    notes, (anchor, rows) = list(task.notes), _of_one_language(task)
    if others := len(task.examples) - len(rows):
        notes.append(f"warning: {counted(others, 'row')} in other languages than {anchor} not used: give those in the "
                     "languages of the model as shots or test rows")  # fmt: skip
    training, dev = split(rows, 0.1, wishes.seed)
    notes.append(f"dev: {len(dev):,} of {len(rows):,} rows, seed {wishes.seed}")
    facts = (task.kind, task.columns, task.labels)
    added, shot_notes = labelled(shots, wishes.languages, *facts)
    tests, test_notes = labelled(test, wishes.languages, *facts, also=anchor)
    notes += [*shot_notes, *test_notes]
    for code, table in tests.items():
        tests[code], more = _without_shots(table, added.get(code), code)
        notes += [*more, *_repeated(rows, tests[code], code)]
    notes += [f"shots: {counted(len(table), 'labelled row')} in {code} to train on" for code, table in added.items()]
    untested = [code for code in wishes.languages if code not in tests]
    notes += [f"warning: '{code}' has no labelled rows: its score will be unknown" for code in untested]
    parts = {("train", anchor): training, ("validation", anchor): dev}
    parts |= {("shots", code): table for code, table in added.items()}
    parts |= {("test", code): table for code, table in tests.items()}
    study = _study(task, out.name, anchor, len(training), wishes)
    shutil.rmtree(out / RUN / DATA, ignore_errors=True)  # what an earlier command wrote might be taken for rows of this
    write_examples(out / RUN / DATA, parts)
    write_atomically(out / STUDY, json.dumps(study, indent=1, ensure_ascii=False) + "\n")
    place = (out / RUN / DATA).resolve()
    frozen = freeze(load_study(str(out / STUDY)), place, device_class(device), allow_few=True, resolved=True)
    ids = {code: table["id"].to_pylist() for code, table in added.items()}
    return Prepared(task, notes, study, build_plan(frozen), list(tests), ids)


def _check_folder(out: Path) -> None:
    """Raise XstiltsError if a model cannot be written into a folder without touching files of something else."""
    if out.exists() and not (out.is_dir() and ((out / STUDY).is_file() or not any(out.iterdir()))):
        why, hint = "it holds files that `train` has not written", "name another folder"
        raise XstiltsError("bad-argument", f"cannot write a model into {out}", why, hint)


def _study(task: UserTask, name: str, anchor: str, rows: int, wishes: Wishes) -> Row:
    """The study that trains on `rows` examples of a task in the anchor language."""
    unanswerable = task.kind == "qa" and not all(task.examples["answers"].to_pylist())
    columns = [column for column in task.examples.column_names if column not in ("id", "language")]
    languages = (anchor, *wishes.languages)
    entry = user_task(task.kind, task.labels, columns, languages, wishes.max_length, unanswerable, wishes.licence)
    return user_study(name, entry, anchor, rows, wishes)


def _of_one_language(task: UserTask) -> tuple[str, pa.Table]:
    """The language with most rows, and its examples."""
    [(most, _)] = Counter(task.examples["language"].to_pylist()).most_common(1)
    return most, task.examples.filter(pc.equal(task.examples["language"], most))


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


def estimate(prepared: Prepared, store: Store) -> Row:
    """What a prepared training costs: `runs`, and the `hours` that this machine needs."""
    planned, device = prepared.planned, prepared.planned.frozen.device
    finished = store.finished(planned.plan.steps)
    facts = bill(planned, planned.estimates, finished, cores() if device == "cpu" else 1)
    return {"runs": facts["training_runs"], "hours": facts["to_run"]["makespan_hours"]}
