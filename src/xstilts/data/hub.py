"""Examples from data sets of the hub: pinned revisions, from the network, the local cache, or a copy of the repository.

A copy of a repository in the hub's own format below the data folder (`DATA/facebook/xnli`) is read in its place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from xstilts.data.build_examples import Examples, Origin, build_examples
from xstilts.data.files import fill, read_files, split_pattern
from xstilts.data.record_formats import Files, Item, pick, require
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import FileSource, HubSource
from xstilts.tasks.task import BadRow, Task


def mirror(hub: str, data: Path | None) -> Path | None:
    """The folder of a local copy of a repository; None where there is none."""
    folder = data / hub if data else None
    return folder if folder and folder.is_dir() else None


def read_hub(task: Task, source: HubSource, split: str, code: str, data: Path | None) -> Examples:
    """The rows of one split and language of a repository.

    Raises XstiltsError where nothing of that name, configuration, split or revision can be had.
    """
    place = Origin(f"{source.hub} {fill(source, source.config, code, split)} {split}".replace("  ", " "), "row")
    return build_examples(task, source, _items(source, split, code, data, place), place, split, code)


def _items(source: HubSource, split: str, code: str, data: Path | None, place: Origin) -> Iterator[Item]:
    builder = _prepared(source, split, code, data)
    theirs = _theirs(source, split)
    starts = {column: fill(source, pattern, code, split) for column, pattern in source.starts.items()}
    number = 0
    for name in [theirs] if isinstance(theirs, str) else theirs:
        rows = _split(builder, name, source)
        require(source, list(rows.features), place.file, [*source.starts])
        words = {column: names for column, feature in rows.features.items() if (names := _class_names(feature))}
        for batch in rows.data.to_batches(max_chunksize=10_000):
            for record in batch.to_pylist():
                number += 1
                if all(str(record[column]).startswith(start) for column, start in starts.items()):
                    yield number, _ours(_named(record, words), source)


def splits_of(source: HubSource) -> dict[str, str | list[str]]:
    """Our splits to theirs."""
    named = source.splits or {name: name for name in source.files or ("train", "validation", "test")}
    return dict(named)


def _theirs(source: HubSource, split: str) -> str | list[str]:
    known = splits_of(source)
    if split not in known:
        raise XstiltsError("unknown-name", f"{source.hub} has no split '{split}'", f"the task's entry names {', '.join(known)}",
                           did_you_mean(split, known) or "name it under `splits`")  # fmt: skip
    return known[split]


def _ours(record: dict[str, Any], source: HubSource) -> dict[str, Any] | BadRow:
    try:
        return pick(record, source.columns)
    except BadRow as bad:
        return bad


def _class_names(feature: Any) -> list[str] | None:
    """The label words of a column of class numbers, or of lists of them."""
    inner = getattr(feature, "feature", feature)
    return getattr(inner, "names", None)


def _named(record: dict[str, Any], words: dict[str, list[str]]) -> dict[str, Any]:
    """The record with class numbers as words; -1, a label that is withheld or absent, stays."""

    def word(column: str, value: int | None) -> Any:
        return words[column][value] if value is not None and value >= 0 else value

    for column in words:
        value = record[column]
        record[column] = [word(column, v) for v in value] if isinstance(value, list) else word(column, value)
    return record


def _split(builder: Any, name: str, source: HubSource) -> Any:
    try:
        return builder.as_dataset(split=name)
    except ValueError as error:
        raise _unavailable(source.hub, str(error)) from None


def _prepared(source: HubSource, split: str, code: str, data: Path | None) -> Any:
    """A builder of `datasets` whose rows are in the local cache."""
    builder = _found(source, split, code, data)
    with _loading(source.hub):
        builder.download_and_prepare()
    return builder


def _found(source: HubSource, split: str, code: str, data: Path | None) -> Any:
    """A builder of `datasets` that knows its files; nothing but their names has been fetched."""
    folder = mirror(source.hub, data)
    config = fill(source, source.config, code, split) or None
    files = {name: fill(source, pattern, code, split) for name, pattern in source.files.items()}
    builder = _builder(str(folder or source.hub), config, None if folder else source.revision or None,
                       tuple(sorted(files.items())))  # fmt: skip
    if not folder:
        _check_revision(builder, source)
    return builder


@lru_cache(maxsize=64)
def _builder(place: str, config: str | None, revision: str | None, files: tuple[tuple[str, str], ...]) -> Any:
    import datasets

    datasets.disable_progress_bars()
    with _loading(place):
        return datasets.load_dataset_builder(place, config, revision=revision, data_files=dict(files) or None)


@contextmanager
def _loading(place: str) -> Iterator[None]:
    """Turns what `datasets` raises for what cannot be had or read into an XstiltsError."""
    import datasets

    try:
        yield
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise _unavailable(place, f"{type(error).__name__}: {error}") from None


def _check_revision(builder: Any, source: HubSource) -> None:
    """Without a network `datasets` gives the newest cached copy, whatever revision was asked for: the cache's folder
    is named after the commit."""
    from_cache = type(builder).__module__.endswith(".cache.cache")
    if source.revision and from_cache and not str(builder.hash).startswith(source.revision):
        raise _unavailable(source.hub, f"the local cache holds revision {builder.hash}, not {source.revision}")


def _unavailable(hub: str, why: str) -> XstiltsError:
    return XstiltsError(
        "network",
        f"cannot load the data set '{hub}'",
        " ".join(why.split())[:300],
        "connect to the network once, or put a copy of the repository at DATA/NAMESPACE/NAME and give --data DATA",
    )


def hub_files(source: FileSource, split: str, code: str, data: Path | None) -> Files:
    """The files of one split and language of a repository that holds plain files, fetched into the local cache."""
    patterns = {"main": split_pattern(source, split), "english": source.english, "gold": source.gold}
    wanted = {name: fill(source, pattern, code, split) for name, pattern in patterns.items() if pattern}
    folder = mirror(source.hub, data)
    return {name: _fetched(source, path, folder) for name, path in wanted.items()}


def _fetched(source: FileSource, path: str, folder: Path | None) -> Path:
    import huggingface_hub

    if folder:
        found = (folder / path).resolve()
        if found.is_relative_to(folder.resolve()) and found.is_file():
            return found
        raise _unavailable(source.hub, f"{folder} has no file {path}")
    try:
        return Path(huggingface_hub.hf_hub_download(
            source.hub, path, repo_type="dataset", revision=source.revision or None
        ))  # fmt: skip
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise _unavailable(source.hub, f"{type(error).__name__}: {error}") from None


def read_hub_files(task: Task, source: FileSource, split: str, code: str, data: Path | None) -> Examples:
    """The rows of one split and language of a repository that holds plain files."""
    return read_files(task, source, split, code, hub_files(source, split, code, data))


def mirrored_files(source: HubSource, split: str, code: str, data: Path) -> list[Path]:
    """The data files of a local copy of a repository that one split and language come from."""
    builder = _found(source, split, code, data)
    return sorted({Path(file) for files in builder.config.data_files.values() for file in files})


def resolve(hub: str, ref: str) -> str:
    """The commit that a ref of a repository has now, its main branch where none is named; raises XstiltsError where the
    hub cannot be asked."""
    import huggingface_hub

    try:
        return str(huggingface_hub.HfApi().dataset_info(hub, revision=ref or None, timeout=20).sha)
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise _unavailable(hub, f"its revision is unresolved, and the hub cannot be asked: {error}") from None
