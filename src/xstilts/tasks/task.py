"""A task as data: one short YAML entry for all its languages, and the catalogue of those that come with the package."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages import language
from xstilts.tasks.data_source import Entry, FileSource, RestrictedSource, Source, TextSource
from xstilts.tasks.spelling import unknown_label, visible_text

Record = dict[str, Any]
"""The values of one example under the column names of its task type, as a reader finds them."""


class BadRow(ValueError):
    """A record cannot be an example: what was found, and what was expected."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected


class Defaults(Entry):
    """How the task is usually trained, for a study that does not say; `epochs` is 0 if no source names a number."""

    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)]
    epochs: Annotated[int, Field(ge=0)] = 0


class Task(Entry):
    """A data set with a task type, labels and metrics; *intermediate* and *target* are roles, not kinds of task.

    languages: canonical codes; old or long ones are replaced. labels: label words. metrics: the first one judges the
    task. family: tasks of one family train the same (MNLI and XNLI). parallel: examples of equal ids are the same item
    in all languages. unanswerable: questions may have no answer (SQuAD v2), and only then may a prediction be empty.
    mining: pairs of translations are mined among sentences of which most have none (BUCC). pooled: the queries of each
    language search the candidates of all languages, of which several may be relevant (LAReQA). on_bad_row: `skip`
    leaves bad rows out and lists them, `error` refuses the data. version: raised when examples or scores change
    meaning. breakdown: names of further `columns` of the source (a domain, a phenomenon), by whose values scores are
    broken down. access: `gated` if the hub gives the data only to accounts that accepted their terms (`access_of` has
    the other cases); neither plans nor steps record it. verified: whether the entry's data have been loaded from where
    it says.
    """

    name: str
    type: Literal["classification", "multilabel", "tagging", "qa", "multiple_choice", "retrieval", "mlm"]
    title: str = ""
    languages: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    family: str = ""
    parallel: bool = False
    unanswerable: bool = False
    mining: bool = False
    pooled: bool = False
    max_length: Annotated[int, Field(ge=8)] = 128
    source: Source
    breakdown: tuple[str, ...] = ()
    on_bad_row: Literal["error", "skip"] = "error"
    defaults: Defaults | None = None
    licence: str = ""
    access: Literal["open", "gated"] = Field("open", exclude=True)
    citation: str = ""
    version: int = 1
    verified: bool = True

    @model_validator(mode="before")
    @classmethod
    def _canonical_languages(cls, entry: Any) -> Any:
        try:
            return canonical_languages(entry)
        except XstiltsError as error:
            raise ValueError(f"{error.what}; {error.hint}") from None

    @model_validator(mode="after")
    def _fits_its_type(self) -> "Task":
        if self.unanswerable and self.type != "qa":
            raise ValueError("only a `qa` task can have `unanswerable`")
        if self.mining and self.type != "retrieval":
            raise ValueError("only a `retrieval` task can have `mining`")
        if self.mining and self.metrics != ("f1",):
            raise ValueError("mined pairs are judged by `metrics: [f1]`")
        if self.pooled and self.type != "retrieval":
            raise ValueError("only a `retrieval` task can have `pooled`")
        if self.pooled != ("map_at_20" in self.metrics) or (self.pooled and self.metrics != ("map_at_20",)):
            raise ValueError("a `pooled` task, and no other, is judged by `metrics: [map_at_20]`")
        if self.type == "multilabel" and any(BETWEEN_LABELS in label for label in self.labels):
            raise ValueError(f"labels of a `multilabel` task cannot contain `{BETWEEN_LABELS}`, which separates them")
        if self.metrics[:1] == ("calibration_error",):
            raise ValueError("less of `calibration_error` is better: it cannot be the first metric, which judges")
        if self.access == "gated" and not getattr(self.source, "hub", ""):
            raise ValueError("only data of the hub can be `access: gated`")
        if lacking := [name for name in self.breakdown if name not in getattr(self.source, "columns", ())]:
            raise ValueError(f"`breakdown` names '{lacking[0]}', which is not among the `columns` of the source")
        return self


def canonical_languages(entry: Any) -> Any:
    """A task's entry with canonical codes of languages; its files are named by the codes that it has. Raises
    XstiltsError for an unknown language."""
    given = entry.get("languages") if isinstance(entry, dict) else None
    if not isinstance(given, list | tuple) or not all(isinstance(code, str) for code in given):
        return entry
    canonical, source = [language(code).code for code in given], entry.get("source")
    written = {code: alias for code, alias in zip(canonical, given, strict=True) if code != alias}
    if written and isinstance(source, dict) and "{iso3}" not in str(source):
        source = {**source, "codes": {**written, **source.get("codes", {})}}
    return {**entry, "languages": canonical, "source": source}


def access_of(task: Task) -> Literal["open", "files", "gated"]:
    """What a task's data take: nothing (`open`), files that the user must have (`files`), or a token of the hub's.

    >>> access_of(find_task("xnli")), access_of(find_task("ccg"))
    ('open', 'files')
    """
    source = task.source
    of_user = isinstance(source, RestrictedSource) or (isinstance(source, FileSource) and not source.hub)
    return "files" if of_user or (isinstance(source, TextSource) and source.files) else task.access


BREAKDOWN = "breakdown:"
"""What stands before the name of a `breakdown` column in tables of examples and predictions."""
WITHHELD = (None, "", -1, "-1")
"""Values of a gold label that is withheld."""


BETWEEN_LABELS = "|"
"""What separates several labels that are written as one text."""


def text_of(record: Record, name: str) -> str:
    """A text of a record, stripped; raises BadRow if it is empty."""
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRow(f"{name} is {value!r:.60}", "some text")
    if not value or not visible_text(value).strip():
        raise BadRow(f"empty {name}", "some text")
    return value.strip()


def label_of(value: Any, labels: tuple[str, ...]) -> str | None:
    """A label word, None if it is withheld; raises BadRow if it is not one of `labels`."""
    if str(value) in labels:
        return str(value)
    if value in WITHHELD:
        return None
    raise BadRow(*unknown_label(str(value), labels))


def label_list(value: Any) -> list[Any] | None:
    """The labels that a list, a text such as `anger|joy` or a single number names, not checked; None if they are
    withheld. An empty text names none: no label applies.

    >>> label_list("anger | joy"), label_list(""), label_list(None)
    (['anger', 'joy'], [], None)
    """
    if value in WITHHELD and value != "":
        return None
    if isinstance(value, str):
        return [word for part in value.split(BETWEEN_LABELS) if (word := part.strip())]
    return value if isinstance(value, list) else [value]


def identity(record: Record) -> Record:
    """The columns that every example has: id, cluster and language."""
    return {"id": str(record["id"]), "cluster_id": record["cluster_id"], "language": record["language"]}


@cache
def catalogue_entries() -> dict[str, Record]:
    """The entries of the tasks that come with the package, by name, as their YAML has them, with that name and
    canonical codes in them. A key that begins with a dot is a list that several entries share."""
    catalog = sorted(files("xstilts.tasks").joinpath("catalog").iterdir(), key=lambda file: file.name)
    entries = [entry for file in catalog for entry in yaml.safe_load(file.read_text(encoding="utf-8")).items()]
    return {name: canonical_languages({"name": name, **entry}) for name, entry in entries if name[0] != "."}


@cache
def catalogue() -> dict[str, Task]:
    """The tasks that come with the package, by name."""
    return {name: Task(**entry) for name, entry in catalogue_entries().items()}


@cache
def _xtreme_folder() -> Any:
    return yaml.safe_load(files("xstilts.tasks").joinpath("xtreme-folder.yaml").read_text(encoding="utf-8"))


def from_xtreme_folder(task: Task) -> Task:
    """The task with its data taken from the benchmark's own download folder, if that has the task."""
    layout = _xtreme_folder().get(task.name)
    return Task(**(task.model_dump() | {"source": layout, "verified": True})) if layout else task


def find_task(name: str, custom: Mapping[str, Task] | None = None) -> Task:
    """The task of that name, custom tasks first; raises XstiltsError with the closest name.

    >>> find_task("xnli").labels
    ('entailment', 'neutral', 'contradiction')
    """
    known = catalogue() | dict(custom or {})
    if name not in known:
        why = "it is neither in the catalogue nor among the custom tasks"
        hint = did_you_mean(name, known) or "`xstilts tasks` lists the catalogue"
        raise XstiltsError("unknown-name", f"unknown task '{name}'", why, hint)
    return known[name]
