"""What a task is, as data: one short YAML entry for all its languages."""

from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from xstilts.errors import XstiltsError, did_you_mean

TypeName = Literal["classification", "tagging", "qa", "retrieval", "mlm"]


class Entry(BaseModel):
    """Base of everything that is read from YAML: unknown keys are mistakes, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WorldSource(Entry):
    """Rows from the artificial languages: the world's seed, the kind of rows, and how many each split has.

    `code_mixing` is the share of English words in the pretraining text of other languages.
    """

    world: int
    kind: Literal["text", "nli", "paws", "qa", "retrieval"]
    rows: dict[str, Annotated[int, Field(gt=0)]]
    parameters: dict[str, float] = {}
    code_mixing: Annotated[float, Field(ge=0, le=1)] = 0.0


class FileSource(Entry):
    """Rows from local files below the data folder: a path pattern per split.

    In a pattern `{lang}` is the language's code, `{iso3}` its ISO 639-3 code and `{script}` its script; `codes`
    overrides the first two where the files write a language otherwise. `languages` is needed only for files whose
    pattern names none. `columns` maps our columns to those of a table: names where it has a header, else numbers
    from 0. `cluster` names a column whose consecutive equal values belong together (the premise of NLI pairs).
    `english` is the pattern of the English side of parallel lines, and `rows` the range of rows
    that a split has of its file, first and one past the last, where it does not have all.
    """

    format: Literal["tagged", "table", "lines", "squad"]
    files: dict[str, str]
    languages: tuple[str, ...] = ()
    codes: dict[str, str] = {}
    columns: dict[str, str | int] = {}
    cluster: str = ""
    english: str = ""
    rows: dict[str, tuple[int, int]] = {}


class TextSource(Entry):
    """Raw text for masked language modelling: files of its own, and the text of other tasks' rows.

    `of_tasks` names tasks and the split that is used; sentences that occur in the splits of the tasks named in
    `without` are left out, so that nothing scored is ever trained on.
    """

    files: tuple[FileSource, ...] = ()
    of_tasks: dict[str, str] = {}
    without: dict[str, str] = {}


class Task(Entry):
    """A data set with a task type, labels and metrics; *intermediate* and *target* are roles, not kinds of task.

    `unanswerable` says that questions may have no answer (SQuAD v2): only then may a prediction be empty.
    """

    name: str
    type: TypeName
    title: str = ""
    languages: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    family: str = ""
    parallel: bool = False
    max_length: Annotated[int, Field(ge=8)] = 128
    unanswerable: bool = False
    source: WorldSource | FileSource | TextSource
    licence: str = ""
    citation: str = ""

    @model_validator(mode="after")
    def _only_questions(self) -> "Task":
        if self.unanswerable and self.type != "qa":
            raise ValueError("only the questions of a `qa` task can be `unanswerable`")
        return self


@cache
def catalogue() -> dict[str, Task]:
    """The tasks that come with the package, by name."""
    result: dict[str, Task] = {}
    for file in sorted(files("xstilts.tasks").joinpath("catalog").iterdir(), key=lambda f: f.name):
        for name, entry in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            result[name] = Task(name=name, **entry)
    return result


def find_task(name: str, own: dict[str, Task] | None = None) -> Task:
    """The task of that name, a study's own first; raises XstiltsError with the closest name."""
    known: dict[str, Any] = {**catalogue(), **(own or {})}
    if name not in known:
        raise XstiltsError(
            f"unknown task '{name}'",
            "it is neither in the catalogue nor among the study's own tasks",
            did_you_mean(name, known) or "`xstilts tasks` lists the catalogue",
        )
    return known[name]
