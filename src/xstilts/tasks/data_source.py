"""Where a task's examples come from, as data: what the `source:` of a task's entry may say."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Column = str | int | list[str | int]
"""A column of the data: a name, a path such as `question.stem` into nested records, a number from 0 if files have no
header, or several columns that together make a list."""


def parts(column: Column) -> list[str | int]:
    """The one or several columns of the data that make one column of the task."""
    return column if isinstance(column, list) else [column]


class Entry(BaseModel):
    """Base of everything that is read from YAML: unknown keys and infinities are mistakes, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSource(Entry):
    """Base of all sources."""

    @property
    def named_splits(self) -> tuple[str, ...]:
        """The splits that the source names; none if it takes what it is asked for."""
        return ()

    def other_tasks(self, split: str) -> tuple[tuple[str, str], ...]:
        """Names and splits of the tasks that a split takes examples or text of."""
        return ()


class WorldSource(DataSource):
    """Examples in the artificial languages: the world's seed, the kind of examples, how many each split has, and the
    share of English words in the pretraining text of other languages."""

    world: int
    kind: Literal["text", "nli", "paws", "qa", "retrieval"]
    rows: dict[str, Annotated[int, Field(gt=0, le=10_000_000)]]
    parameters: dict[str, float] = {}
    code_mixing: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def named_splits(self) -> tuple[str, ...]:
        return tuple(self.rows)


class MappedSource(DataSource):
    """What files and hub repositories have in common: how their columns and labels become those of the task.

    columns: the task's columns to those of the data. relabel: label words of the data to those of the task.
    unlabelled: label words of rows (tags of words) that have no gold label and are left out. codes: what stands for
    `{lang}` and `{iso3}` if the data write a language otherwise (`kor_Hang` for `{iso3}` and `{script}`). cluster: a
    column whose consecutive equal values belong together (the premise of NLI pairs, the title of an article); `id`
    makes each id a cluster. languages: needed only if no pattern names the language. numbered: splits whose ids are
    not unique, so that their rows are numbered. rows: the range of rows that a split has, first and one past the last,
    if it does not have all; `shuffled` puts the rows in a random order first, always the same, if a file is sorted.
    """

    columns: dict[str, Column] = {}
    relabel: dict[str, str] = {}
    unlabelled: tuple[str, ...] = ()
    codes: dict[str, str] = {}
    cluster: str = ""
    languages: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()
    rows: dict[str, tuple[int, int]] = {}
    shuffled: bool = False

    @model_validator(mode="after")
    def _counts_from_zero(self) -> "MappedSource":
        for split, (first, stop) in self.rows.items():
            if not 0 <= first < stop:
                raise ValueError(f"`rows` of {split} must be a first row, counted from 0, and one past the last")
        if any(isinstance(part, int) and part < 0 for column in self.columns.values() for part in parts(column)):
            raise ValueError("columns are counted from 0")
        return self


class FileSource(MappedSource):
    """Examples from files: a path pattern per split, below the data folder or, with `hub`, in a data set repository.

    In a pattern `{lang}` is the language's code, `{iso3}` its ISO 639-3 code, `{script}` its script and `{split}` the
    split. Formats: `table` (tabs, or commas if the name ends in .csv; `delimiter` and `quoted` override this; columns
    named by the header, or numbers if there is none), `jsonl` and `json` (a record a line, or a list of them),
    `parquet`, `tagged` (CoNLL: `columns` may number those of `tokens` and `tags`), `conllu` (`columns` may name others,
    such as `misc.name`), `squad`, `lines` (a text a line;
    `english` names the parallel English file, whose lines have another order if it is not `aligned`), `bitext` (id TAB
    sentence; `gold` names the file of pairs), `blocks` (`block` lines per example, numbered from 0). `origin` says
    where to get files that are not in a repository; neither plans nor steps record it.
    """

    format: Literal["table", "jsonl", "json", "parquet", "tagged", "conllu", "squad", "lines", "bitext", "blocks"]
    files: dict[str, str]
    english: str = ""
    gold: str = ""
    aligned: bool = True
    block: Annotated[int, Field(ge=0)] = 0
    delimiter: Literal["", "tab", "comma", "semicolon"] = ""
    quoted: bool | None = None
    hub: str = ""
    revision: str = ""
    origin: Annotated[str, Field(exclude=True)] = ""

    @property
    def named_splits(self) -> tuple[str, ...]:
        return tuple(self.files)

    @model_validator(mode="after")
    def _fits_its_format(self) -> "FileSource":
        if self.format == "bitext" and not self.english:
            raise ValueError("the format `bitext` needs `english`, the file pattern of the English side")
        if self.format == "blocks":
            listed = [str(part) for column in self.columns.values() for part in parts(column)]
            if not listed or not all(part.isdigit() and int(part) < self.block for part in listed):
                raise ValueError("the format `blocks` needs `block`, its lines, and `columns` that number them from 0")
        if self.format in ("tagged", "conllu"):
            numbered = all(isinstance(column, int) for column in self.columns.values())
            single = not any(isinstance(column, list) for column in self.columns.values())
            if not self.columns.keys() <= {"tokens", "tags"} or not (numbered if self.format == "tagged" else single):
                what = "are those of `tokens` and `tags`" + ", numbers from 0" * (self.format == "tagged")
                raise ValueError(f"the `columns` of the format `{self.format}` {what}")
        return self


class HubSource(MappedSource):
    """Examples from a data set of the hub, through `datasets.load_dataset`: repository, configuration pattern, commit.

    splits: the task's splits to one or several of the repository (without it train, validation and test keep their
    names); `files` instead names the data files of a split, if a revision holds files without configurations. starts:
    selects the rows whose column begins with a text (a pattern, as above), if one configuration holds all languages.
    fallback: the authors' files, which take the repository's place if the data folder has them.
    """

    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    config: str = ""
    revision: str = ""
    splits: dict[str, str | list[str]] = {}
    files: dict[str, str] = {}
    starts: dict[str, str] = {}
    fallback: FileSource | None = None

    @property
    def named_splits(self) -> tuple[str, ...]:
        return tuple(self.splits or self.files or ("train", "validation", "test"))

    @model_validator(mode="after")
    def _falls_back_on_local_files(self) -> "HubSource":
        if self.fallback and self.fallback.hub:
            raise ValueError("`fallback` names files below the data folder: it cannot have a `hub` of its own")
        return self


class UnionSource(DataSource):
    """The examples of several tasks of one type, one after the other, as those of one task."""

    union: Annotated[tuple[str, ...], Field(min_length=2)]

    def other_tasks(self, split: str) -> tuple[tuple[str, str], ...]:
        return tuple((name, split) for name in self.union)


class TextSource(DataSource):
    """Raw text for masked language modelling: files, and the text of other tasks' examples.

    `of_tasks` names tasks and the split that is used; sentences that occur in the splits of the tasks named in
    `without` are left out, so that nothing scored is ever trained on.
    """

    files: tuple[FileSource, ...] = ()
    of_tasks: dict[str, str] = {}
    without: dict[str, str] = {}

    def other_tasks(self, split: str) -> tuple[tuple[str, str], ...]:
        return (*self.of_tasks.items(), *self.without.items())


class RestrictedSource(DataSource):
    """Data that only the user can get: read once the entry is given a `source` of the user's own files."""

    own: str


def kind_of(source: Any) -> str:
    """The kind of source that a mapping means, by the key that only that kind has."""
    if isinstance(source, BaseModel):
        return type(source).__name__
    keys = {"world": "WorldSource", "format": "FileSource", "hub": "HubSource", "union": "UnionSource"}
    keys["own"] = "RestrictedSource"
    return next((name for key, name in keys.items() if isinstance(source, dict) and key in source), "TextSource")


Source = Annotated[
    Annotated[WorldSource, Tag("WorldSource")]
    | Annotated[FileSource, Tag("FileSource")]
    | Annotated[HubSource, Tag("HubSource")]
    | Annotated[UnionSource, Tag("UnionSource")]
    | Annotated[TextSource, Tag("TextSource")]
    | Annotated[RestrictedSource, Tag("RestrictedSource")],
    Discriminator(kind_of),
]
