"""Where a task's rows come from, as data: what the `source:` of a task's entry may say."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Column = str | int | list[str | int]
"""A column of theirs: a name, a path such as `question.stem` into nested records, a number from 0 where files have
no header, or several columns that together make a list."""


def parts(column: Column) -> list[str | int]:
    """The one or several columns of theirs that make one of ours."""
    return column if isinstance(column, list) else [column]


class Entry(BaseModel):
    """Base of everything that is read from YAML: unknown keys and infinities are mistakes, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WorldSource(Entry):
    """Rows from the artificial languages: the world's seed, the kind of rows, and how many each split has.

    `code_mixing` is the share of English words in the pretraining text of other languages.
    """

    world: int
    kind: Literal["text", "nli", "paws", "qa", "retrieval"]
    rows: dict[str, Annotated[int, Field(gt=0)]]
    parameters: dict[str, float] = {}
    code_mixing: Annotated[float, Field(ge=0, le=1)] = 0.0


class Described(Entry):
    """What files and hub repositories have in common: how their columns and labels become ours.

    columns: ours to theirs. relabel: their label words to ours. unlabelled: label words of rows (tags of words) that
    have no gold label and are left out. codes: what stands for `{lang}` and `{iso3}` where they write a language
    otherwise (`kor_Hang` for `{iso3}` and `{script}`). cluster: a column of ours or theirs whose consecutive equal
    values belong together (the premise of NLI pairs, the title of an article); `id` makes each id a cluster.
    languages: needed only where no pattern names the language. numbered: splits whose own ids are not unique, so that
    their rows are numbered. rows: the range of rows that a split has, first and one past the last, where it does not
    have all; `shuffled` puts the rows in a random order first, always the same, where a file is sorted by content.
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
    def _counts_from_zero(self) -> "Described":
        for split, (first, stop) in self.rows.items():
            if not 0 <= first < stop:
                raise ValueError(f"`rows` of {split} must be a first row, counted from 0, and one past the last")
        if any(isinstance(part, int) and part < 0 for column in self.columns.values() for part in parts(column)):
            raise ValueError("columns are counted from 0")
        return self


class FileSource(Described):
    """Rows from files: a path pattern per split, below the data folder or, with `hub`, in a data set repository.

    In a pattern `{lang}` is the language's code, `{iso3}` its ISO 639-3 code, `{script}` its script and `{split}` the
    split. Formats: `table` (tabs, or commas where the name ends in .csv; `delimiter` and `quoted` say otherwise;
    columns named by the header, or numbers where there is none), `jsonl` and `json` (a record a line, or a list of
    them), `parquet`, `tagged` (token TAB tag), `conllu`, `squad`, `lines` (a text a line; `english` names the
    parallel English file, whose lines stand in another order where it is not `aligned`), `bitext` (id TAB sentence;
    `gold` names the file of pairs), `blocks` (`block` lines per example, numbered from 0).
    """

    format: Literal["table", "jsonl", "json", "parquet", "tagged", "conllu", "squad", "lines", "bitext", "blocks"]
    files: dict[str, str]
    english: str = ""
    gold: str = ""
    aligned: bool = True
    block: Annotated[int, Field(ge=0)] = 0
    delimiter: Literal["", "tab", "comma"] = ""
    quoted: bool | None = None
    hub: str = ""
    revision: str = ""

    @model_validator(mode="after")
    def _fits_its_format(self) -> "FileSource":
        if self.format == "bitext" and not self.english:
            raise ValueError("the format `bitext` needs `english`, the file pattern of the English side")
        if self.format == "blocks":
            listed = [str(part) for column in self.columns.values() for part in parts(column)]
            if not listed or not all(part.isdigit() and int(part) < self.block for part in listed):
                raise ValueError("the format `blocks` needs `block`, its lines, and `columns` that number them from 0")
        return self


class HubSource(Described):
    """Rows from a data set of the hub, through `datasets.load_dataset`: repository, configuration pattern, commit.

    splits: ours to theirs, one or several (without it train, validation and test are what they are called); `files`
    instead names the data files of a split, where a revision holds files without configurations. starts: keeps the
    rows whose column begins with a text (a pattern, as above), where one configuration holds all languages.
    """

    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    config: str = ""
    revision: str = ""
    splits: dict[str, str | list[str]] = {}
    files: dict[str, str] = {}
    starts: dict[str, str] = {}


class UnionSource(Entry):
    """The rows of several tasks of one type, one after the other, under one head."""

    union: Annotated[tuple[str, ...], Field(min_length=2)]


class TextSource(Entry):
    """Raw text for masked language modelling: files of its own, and the text of other tasks' rows.

    `of_tasks` names tasks and the split that is used; sentences that occur in the splits of the tasks named in
    `without` are left out, so that nothing scored is ever trained on.
    """

    files: tuple[FileSource, ...] = ()
    of_tasks: dict[str, str] = {}
    without: dict[str, str] = {}


class OwnSource(Entry):
    """Files that only the user can have: read once the entry is given a `source` of the user's own."""

    own: str


def _which(source: Any) -> str:
    """The kind of source that a mapping means, by the key that only that kind has."""
    if isinstance(source, BaseModel):
        return type(source).__name__
    keys = source if isinstance(source, dict) else ()
    marks = {"world": "WorldSource", "format": "FileSource", "hub": "HubSource", "union": "UnionSource",
             "own": "OwnSource"}  # fmt: skip
    return next((name for mark, name in marks.items() if mark in keys), "TextSource")


Source = Annotated[
    Annotated[WorldSource, Tag("WorldSource")]
    | Annotated[FileSource, Tag("FileSource")]
    | Annotated[HubSource, Tag("HubSource")]
    | Annotated[UnionSource, Tag("UnionSource")]
    | Annotated[TextSource, Tag("TextSource")]
    | Annotated[OwnSource, Tag("OwnSource")],
    Discriminator(_which),
]
