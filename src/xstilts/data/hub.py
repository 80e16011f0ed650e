"""Examples from data sets of the hub: pinned revisions, from the network, the local cache, or a copy of the repository.

A copy of a repository in the hub's own format below the data folder (`DATA/facebook/xnli`) takes its place.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from xstilts.data.build_examples import Examples, build_examples
from xstilts.data.files import below, file_names, fill
from xstilts.data.record_formats import Files, Item, picked, require
from xstilts.errors import Kind, XstiltsError, did_you_mean
from xstilts.hub_access import download, open_repository
from xstilts.tasks.data_source import DataSource, FileSource, HubSource
from xstilts.tasks.task import Task

CARDS = ("README.md", ".huggingface.yaml", "dataset_infos.json")
"""What a repository says about its configurations, splits and columns."""
FORMATS = ("parquet", "arrow", "csv", "json", "text", "xml", "conll")
"""Builders of `datasets` that read texts and tables; some of the others open archives, or databases elsewhere."""


def mirror(hub: str, data: Path | None) -> Path | None:
    """The folder of a local copy of a repository; None if there is none."""
    folder = data / hub if data else None
    return folder if folder and folder.is_dir() else None


def check_repository(source: DataSource, data: Path | None) -> None:
    """Raise XstiltsError if a source reads a repository that is neither on the hub, in the cache nor below `data`."""
    if isinstance(source, HubSource | FileSource) and source.hub and not mirror(source.hub, data):
        open_repository("dataset", source.hub, source.revision)


def read_hub(task: Task, source: HubSource, split: str, code: str, data: Path | None) -> Examples:
    """The examples of one split and language of a repository; raises XstiltsError if it has no such configuration,
    split or revision, or cannot be reached."""
    config = fill(source, source.config, code, split)
    place = " ".join(filter(None, (source.hub, config, split)))
    return build_examples(task, source, _items(source, place, split, code, data), place, split, code, "row")


def _items(source: HubSource, place: str, split: str, code: str, data: Path | None) -> Iterator[Item]:
    starts = {column: fill(source, pattern, code, split) for column, pattern in source.starts.items()}
    builder, files = _builder(source, split, code, data)
    names, number = source.splits.get(split, split), 0
    for name in [names] if isinstance(names, str) else names:
        if name not in files:
            hint = did_you_mean(name, files) or "name it under `splits` in the task's `source`"
            raise _unavailable(source.hub, f"it has no split '{name}' but {', '.join(files)}", "missing-data", hint)
        paths = files[name]
        if not mirror(source.hub, data):
            paths = [str(path) for path in download(open_repository("dataset", source.hub, source.revision), paths)]
        for table, classes in _tables(builder, name, paths, source, place):
            for record in table.to_pylist():
                number += 1
                if all(str(record[column]).startswith(start) for column, start in starts.items()):
                    words = {name: _word(record[name], labels) for name, labels in classes.items()}
                    yield from picked([(number, record | words)], source)


def _tables(
    builder: Any, split: str, paths: list[str], source: HubSource, place: str
) -> Iterator[tuple[Any, dict[str, list[str]]]]:
    """Yield the files of a split as Arrow tables, each with the label words of columns of class numbers or lists of
    them. Nothing is written: the cache need not be writable."""
    part = copy.copy(builder)
    part.config, part.info = copy.copy(builder.config), copy.deepcopy(builder.info)
    part.config.data_files = {split: paths}
    with _loading(source.hub, "bad-file"):
        stream = part.as_streaming_dataset(split=split)
        tables = iter(stream.with_format("arrow").iter(batch_size=10_000))
    features, first = stream.features or {}, True
    classes = {name: getattr(getattr(part, "feature", part), "names", None) for name, part in features.items()}
    while True:
        with _loading(source.hub, "bad-file"):
            table = next(tables, None)
        if table is None:
            return
        if first:
            require(source, table.column_names, place, source.starts)
            first = False
        yield table, {name: words for name, words in classes.items() if words}


def _word(value: Any, words: list[str]) -> Any:
    """Class numbers as words; -1, a label that is withheld or absent, remains."""
    if isinstance(value, list):
        return [_word(part, words) for part in value]
    return words[value] if value is not None and value >= 0 else value


def _builder(source: HubSource, split: str, code: str, data: Path | None) -> tuple[Any, dict[str, list[str]]]:
    """A builder of `datasets`, and the files of each split: paths in a local copy, names in a repository of the hub."""
    config = fill(source, source.config, code, split) or None
    files = tuple(sorted((name, fill(source, pattern, code, split)) for name, pattern in source.files.items()))
    if folder := mirror(source.hub, data):
        return _local_builder(source.hub, str(folder), config, files)
    commit = open_repository("dataset", source.hub, source.revision).commit
    return _hub_builder(source.hub, commit, config, files)


@lru_cache(maxsize=64)
def _local_builder(
    hub: str, folder: str, config: str | None, files: tuple[tuple[str, str], ...]
) -> tuple[Any, dict[str, list[str]]]:
    """A builder for a folder in the hub's format, and the paths of the files of each split."""
    import datasets

    datasets.disable_progress_bars()
    with _loading(hub, "missing-data"), TemporaryDirectory() as cache:
        _check_patterns(hub, Path(folder), dict(files))
        builder = datasets.load_dataset_builder(folder, config, data_files=dict(files) or None, cache_dir=cache)
    if builder.name not in FORMATS:
        hint = f"name files of these formats under `files` of the task's `source`: {', '.join(FORMATS)}"
        raise _unavailable(hub, f"its files are of the format '{builder.name}'", "unsupported", hint)
    listed = {str(split): [str(file) for file in paths] for split, paths in builder.config.data_files.items()}
    for path in {file for paths in listed.values() for file in paths}:
        below(Path(folder), path)
    return builder, listed


def _check_patterns(hub: str, folder: Path, files: dict[str, str]) -> None:
    """Raise XstiltsError "unsafe" if `files` or the card of a repository name files outside it, or on another host."""
    from huggingface_hub import DatasetCard

    card, settings = folder / CARDS[0], folder / CARDS[1]
    described = DatasetCard.load(card).data.to_dict() if card.is_file() else {}
    if settings.is_file():
        described |= yaml.safe_load(settings.read_bytes()) or {}
    for pattern in [*files.values(), *_file_patterns(described.get("configs"))]:
        if ":" in pattern or pattern.startswith(("/", "~")) or ".." in pattern.split("/"):
            what, why = f"refused to read {pattern} of the data set '{hub}'", "it lies outside the repository"
            raise XstiltsError("unsafe", what, why, "use another revision: its card, or the task's `files`, names it")


def _file_patterns(value: Any, inside: bool = False) -> Iterator[str]:
    """Every text below a key `data_files` or `data_dir` of nested lists and mappings."""
    if isinstance(value, list):
        for part in value:
            yield from _file_patterns(part, inside)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _file_patterns(part, inside or key in ("data_files", "data_dir"))
    elif inside and isinstance(value, str):
        yield value


@lru_cache(maxsize=64)
def _hub_builder(
    hub: str, commit: str, config: str | None, files: tuple[tuple[str, str], ...]
) -> tuple[Any, dict[str, list[str]]]:
    """A builder for a repository, and the names of the files of each split.

    `datasets` finds them in a folder of empty files of the same names, so that it contacts no host and nothing but the
    files of one split is fetched later.
    """
    repository = open_repository("dataset", hub, commit)
    cards = [name for name in CARDS if name in repository.digests]
    with TemporaryDirectory() as place:
        folder = Path(place).resolve()
        for name in repository.digests:
            path = below(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name, path in zip(cards, download(repository, cards), strict=True):
            (folder / name).write_bytes(path.read_bytes())
        builder, paths = _local_builder.__wrapped__(hub, place, config, files)
    names = {split: [Path(p).relative_to(folder).as_posix() for p in listed] for split, listed in paths.items()}
    return builder, names


@contextmanager
def _loading(repository: str, kind: Kind) -> Iterator[None]:
    """Turn the errors of `datasets` into an XstiltsError."""
    import datasets

    try:
        yield
    except (OSError, ValueError, RuntimeError, yaml.YAMLError, datasets.exceptions.DatasetsError) as error:
        raise _unavailable(repository, f"{type(error).__name__}: {error}", kind) from None


def _unavailable(hub: str, why: str, kind: Kind, hint: str = "") -> XstiltsError:
    hint = hint or "check `hub`, `config`, `revision` and `files` of the task's `source` against the repository's page"
    return XstiltsError(kind, f"cannot load the data set '{hub}'", " ".join(why.split())[:300], hint)


def hub_files(source: FileSource, split: str, code: str, data: Path | None) -> Files:
    """The files of one split and language of a repository that holds plain files, fetched into the local cache."""
    names, folder = file_names(source, split, code), mirror(source.hub, data)
    if not folder:
        repository = open_repository("dataset", source.hub, source.revision)
        return dict(zip(names, download(repository, names.values()), strict=True))
    files = {role: below(folder, name) for role, name in names.items()}
    if absent := [path for path in files.values() if not path.is_file()]:
        raise _unavailable(source.hub, f"{folder} has no file {absent[0].relative_to(folder)}", "missing-data")
    return files


def mirrored_files(source: HubSource, split: str, code: str, data: Path) -> list[Path]:
    """The data files of a local copy of a repository that one split and language come from."""
    _, files = _builder(source, split, code, data)
    return sorted({Path(file) for listed in files.values() for file in listed})
