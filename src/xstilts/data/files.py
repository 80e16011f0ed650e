"""Examples from local files: which files a pattern names, and the reading of them."""

from pathlib import Path
from string import Formatter

from xstilts.data.build_examples import Examples, build_examples
from xstilts.data.line_formats import READERS, table_rows
from xstilts.data.record_formats import UNITS, Files
from xstilts.data.tagged_formats import check_tag_column
from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.tasks.data_source import FileSource, MappedSource
from xstilts.tasks.task import Task


def fill(source: MappedSource, pattern: str, code: str, split: str) -> str:
    """The pattern with language and split put in; raises XstiltsError if it has other placeholders."""
    known, spelling = language(code), source.codes.get(code)
    iso3, _, script = (spelling or known.iso639_3).partition("_")
    values = {"lang": spelling or code, "iso3": iso3, "script": script or known.script, "split": split}
    try:
        for _, name, form, conversion in Formatter().parse(pattern):
            if name is not None and (name not in values or form or conversion):
                raise ValueError(f"unknown placeholder '{name}{':' * bool(form)}{form}'")
        return pattern.format(**values)
    except ValueError as error:
        what, hint = f"cannot read the pattern '{pattern:.200}'", "use {lang}, {iso3}, {script} and {split}"
        raise XstiltsError("bad-setting", what, str(error), hint) from None


def below(folder: Path, name: str) -> Path:
    """The path of a file below a folder; raises XstiltsError if the name leads out of it, or can be that of no file."""
    try:
        path = (folder / name).resolve()
        path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long, a NUL byte, links in a circle
        why = getattr(error, "strerror", "") or str(error)
        raise XstiltsError("bad-setting", f"{name:.200} can be no file", why, "check the pattern of the path") from None
    if not path.is_relative_to(folder.resolve()):
        why = "it lies outside the data folder"
        raise XstiltsError("unsafe", f"refused to read {name}", why, "use a path below it, copies in place of links")
    return path


def file_names(source: FileSource, split: str, code: str) -> dict[str, str]:
    """The names of the files of a split in a language: `main` and, if the source has them, `english` and `gold`."""
    patterns = {"main": source.files[split], "english": source.english, "gold": source.gold}
    return {role: fill(source, pattern, code, split) for role, pattern in patterns.items() if pattern}


def paths(source: FileSource, split: str, code: str, data: Path) -> Files:
    """The files of a split in a language; raises XstiltsError if one is absent, other than that of gold pairs."""
    result = {role: below(data, name) for role, name in file_names(source, split, code).items()}
    for role, path in result.items():
        if role != "gold" and not path.is_file():
            what = f"no data for language '{code}': {path} does not exist"
            why = f"the pattern is '{source.files[split] if role == 'main' else source.english}' below {data}"
            hint = "give the folder that holds it with --data, or leave the language out"
            raise XstiltsError("missing-data", what, why, hint)
    return {role: path for role, path in result.items() if path.is_file()}


def present(source: FileSource, split: str, code: str, data: Path) -> bool:
    """Whether there is a file of that split in a language."""
    if (source.languages and code not in source.languages) or split not in source.files:
        return False
    return below(data, file_names(source, split, code)["main"]).is_file()


def read_files(task: Task, source: FileSource, split: str, code: str, files: Files) -> Examples:
    """The examples in the files of one split and language."""
    words = {*task.labels, *source.relabel, *source.unlabelled}
    if source.format == "tagged":
        check_tag_column(files["main"], source, words)
    items, unit = READERS[source.format](files, source), UNITS.get(source.format, "line")
    result = build_examples(task, source, items, str(files["main"]), split, code, unit)
    column = source.columns.get("label")
    if result.withheld and source.format == "tagged":
        _refuse_hidden_tags(result.table["tokens"].to_pylist(), words, files["main"])
    if result.withheld and source.format == "table" and isinstance(column, int):
        width = max(len(cells) for _, cells in table_rows(files["main"], source) if isinstance(cells, list))
        if width <= column:
            result.note = f"no row has a column {column} for the label: rows have {width} columns, counted from 0"
    return result


def _refuse_hidden_tags(sentences: list[list[str]], words: set[str], path: Path) -> None:
    """Raise XstiltsError if half of the tokens that have spaces and seem to have no tag end in one."""
    several = [token for sentence in sentences for token in sentence if len(token.split()) > 1]
    ended = [token for token in several if token.split()[-1] in words]
    if ended and 2 * len(ended) >= len(several):
        what, why = f"{path}: no line has a column of tags", f"'{ended[0][:60]}' ends in a tag of the task"
        hint = "separate columns by tabs or, the same number in each line, by spaces; or set `columns: {tags: …}`"
        raise XstiltsError("bad-file", what, why, hint)
