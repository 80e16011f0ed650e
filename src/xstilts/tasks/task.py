"""What a task is, as data: one short YAML entry for all its languages."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import Entry, Source

TypeName = Literal["classification", "tagging", "qa", "multiple_choice", "retrieval", "mlm"]
Record = dict[str, Any]
"""What a reader found for one example, under our column names."""


class BadRow(ValueError):
    """A record that cannot be an example: what was found, and what was expected."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected


class Defaults(Entry):
    """How the task is usually trained, for a study that does not say; `epochs` 0 where no source names a number."""

    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)]
    epochs: Annotated[int, Field(ge=0)] = 0


class Task(Entry):
    """A data set with a task type, labels and metrics; *intermediate* and *target* are roles, not kinds of task.

    labels: our label words. metrics: the first one judges the task. family: tasks of one family are one task
    (MNLI and XNLI). parallel: rows of equal ids are the same item in all languages. unanswerable: questions may have
    no answer (SQuAD v2), and only then may a prediction be empty. mining: pairs of translations are mined among
    sentences of which most have none (BUCC). on_bad_row: `skip` leaves bad rows out and names them, `error` refuses
    the data. version: raised when the rows or their scores change meaning. verified: whether the entry's rows have been
    loaded from where it says.
    """

    name: str
    type: TypeName
    title: str = ""
    languages: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    family: str = ""
    parallel: bool = False
    unanswerable: bool = False
    mining: bool = False
    max_length: Annotated[int, Field(ge=8)] = 128
    source: Source
    on_bad_row: Literal["error", "skip"] = "error"
    defaults: Defaults | None = None
    licence: str = ""
    citation: str = ""
    version: int = 1
    verified: bool = True

    @model_validator(mode="after")
    def _fits_its_type(self) -> "Task":
        for setting, kind in (("unanswerable", "qa"), ("mining", "retrieval")):
            if getattr(self, setting) and self.type != kind:
                raise ValueError(f"only a `{kind}` task can have `{setting}`")
        if self.mining and self.metrics != ("f1",):
            raise ValueError("pairs that are mined are judged by `metrics: [f1]`")
        if self.metrics[:1] == ("calibration_error",):
            raise ValueError("less of `calibration_error` is better: it can stand beside another metric, not judge")
        return self


WITHHELD = (None, "", -1, "-1")
"""What stands for a gold label that is not given away."""


def text_of(record: Record, name: str) -> str:
    """A text of a record without white space round it; raises BadRow where it is empty."""
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRow(f"{name} is {value!r:.60}", "some text")
    if not value or not value.strip():
        raise BadRow(f"empty {name}", "some text")
    return value.strip()


def label_of(value: Any, labels: tuple[str, ...]) -> str | None:
    """A label word, None where it is withheld; raises BadRow where the task does not know it."""
    if value in WITHHELD:
        return None
    if str(value) not in labels:
        raise BadRow(f"label '{str(value)[:60]}'", "one of " + ", ".join(labels))
    return str(value)


def identity(record: Record) -> Record:
    """What every row has: id, cluster and language."""
    return {"id": str(record["id"]), "cluster_id": record["cluster_id"], "language": record["language"]}


def read_entries(text: str) -> dict[str, Record]:
    """The entries of a file of tasks by name, each with its name in it, not yet checked."""
    return {name: {"name": name, **entry} for name, entry in yaml.safe_load(text).items()}


@cache
def catalogue_entries() -> dict[str, Record]:
    """The entries of the tasks that come with the package, by name, as their YAML has them."""
    result: dict[str, Record] = {}
    for file in sorted(files("xstilts.tasks").joinpath("catalog").iterdir(), key=lambda f: f.name):
        result |= read_entries(file.read_text(encoding="utf-8"))
    return result


@cache
def catalogue() -> dict[str, Task]:
    """The tasks that come with the package, by name."""
    return {name: Task(**entry) for name, entry in catalogue_entries().items()}


@cache
def _xtreme_folder() -> dict[str, Record]:
    text = files("xstilts.tasks").joinpath("xtreme-folder.yaml").read_text(encoding="utf-8")
    result: dict[str, Record] = yaml.safe_load(text)
    return result


def from_xtreme_folder(task: Task) -> Task:
    """The task with its rows taken from the benchmark's own download folder, where that has the task."""
    layout = _xtreme_folder().get(task.name)
    return Task(**(task.model_dump() | {"source": layout, "verified": True})) if layout else task


def find_task(name: str, own: Mapping[str, Task] | None = None) -> Task:
    """The task of that name, a study's own first; raises XstiltsError with the closest name."""
    known: dict[str, Task] = {**catalogue(), **(own or {})}
    if name not in known:
        raise XstiltsError(
            "unknown-name",
            f"unknown task '{name}'",
            "it is neither in the catalogue nor among the study's own tasks",
            did_you_mean(name, known) or "`xstilts tasks` lists the catalogue",
        )
    return known[name]
