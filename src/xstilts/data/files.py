"""Examples from local files: which files a pattern names, and the reading of them."""

from pathlib import Path

from xstilts.data.build_examples import Examples, Origin, build_examples
from xstilts.data.line_formats import READERS
from xstilts.data.record_formats import NUMBERED, Files
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages import language
from xstilts.tasks.data_source import Described, FileSource
from xstilts.tasks.task import Task


def fill(source: Described, pattern: str, code: str, split: str) -> str:
    """A pattern with the language and the split put in; raises XstiltsError where it has other places."""
    known, own = language(code), source.codes.get(code)
    iso3, _, script = (own or known.iso639_3).partition("_")
    try:
        return pattern.format(lang=own or code, iso3=iso3, script=script or known.script, split=split)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise XstiltsError(
            "unknown-name",
            f"cannot read the pattern '{pattern}'",
            f"unknown place {error}",
            "use {lang}, {iso3}, {script} and {split}",
        ) from None


def path_of(source: FileSource, pattern: str, code: str, split: str, data: Path) -> Path:
    """The file that a pattern names for a language; raises XstiltsError where it is not below the data folder."""
    relative = fill(source, pattern, code, split)
    path = (data / relative).resolve()
    if not path.is_relative_to(data.resolve()):
        raise XstiltsError(
            "bad-row", f"refused to read {relative}", "it lies outside the data folder", "use a path below it"
        )
    return path


def split_pattern(source: FileSource, split: str) -> str:
    """The pattern of a split's files; raises XstiltsError where the source has no such split."""
    if split not in source.files:
        raise XstiltsError(
            "unknown-name",
            f"there is no split '{split}'",
            f"the task's files have {', '.join(source.files)}",
            did_you_mean(split, source.files) or "name the file of that split under `files`",
        )
    return source.files[split]


def paths(source: FileSource, split: str, code: str, data: Path) -> Files:
    """The files behind one split and language; raises XstiltsError if one is absent.

    The file of gold pairs may be absent: then the pairs are withheld.
    """
    patterns = {"main": split_pattern(source, split), "english": source.english, "gold": source.gold}
    found = {name: path_of(source, pattern, code, split, data) for name, pattern in patterns.items() if pattern}
    if "gold" in found and not found["gold"].is_file():
        del found["gold"]
    for name, path in found.items():
        if not path.is_file():
            raise XstiltsError(
                "missing-data",
                f"no data for language '{code}': {path} does not exist",
                f"the pattern is '{patterns[name]}' below {data}",
                "give the folder that holds it with --data, or leave the language out",
            )
    return found


def present(source: FileSource, split: str, code: str, data: Path) -> bool:
    """Whether there are rows of that split in a language."""
    if source.languages and code not in source.languages:
        return False
    return split in source.files and path_of(source, source.files[split], code, split, data).is_file()


def read(task: Task, source: FileSource, split: str, code: str, data: Path) -> Examples:
    """The rows of one split and language; row ids follow the order of the file where it gives none."""
    return read_files(task, source, split, code, paths(source, split, code, data))


def read_files(task: Task, source: FileSource, split: str, code: str, files: Files) -> Examples:
    """The rows of files that have been found already."""
    place = Origin(str(files["main"]), NUMBERED.get(source.format, "line"))
    return build_examples(task, source, READERS[source.format](files, source), place, split, code)
