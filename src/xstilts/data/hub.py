"""Examples from data sets of the hub: pinned revisions, from the network, the local cache, or a copy of the repository.

A copy of a repository in the hub's own format below the data folder (`DATA/facebook/xnli`) takes its place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from xstilts.data.build_examples import Examples, Origin, build_examples
from xstilts.data.files import below, file_names, fill
from xstilts.data.record_formats import Files, Item, picked, require
from xstilts.errors import Kind, XstiltsError, did_you_mean
from xstilts.tasks.data_source import FileSource, HubSource
from xstilts.tasks.task import Task


def mirror(hub: str, data: Path | None) -> Path | None:
    """The folder of a local copy of a repository; None if there is none."""
    folder = data / hub if data else None
    return folder if folder and folder.is_dir() else None


def read_hub(task: Task, source: HubSource, split: str, code: str, data: Path | None) -> Examples:
    """The examples of one split and language of a repository.

    Raises XstiltsError if nothing of that name, configuration, split or revision is available.
    """
    config = fill(source, source.config, code, split)
    origin = Origin(" ".join(filter(None, (source.hub, config, split))), split, code, "row")
    return build_examples(task, source, _items(source, origin, data), origin)


def _items(source: HubSource, origin: Origin, data: Path | None) -> Iterator[Item]:
    split, code = origin.split, origin.language
    if split not in source.named_splits:
        what, why = f"{source.hub} has no split '{split}'", f"the task's entry names {', '.join(source.named_splits)}"
        hint = did_you_mean(split, source.named_splits) or "name it under `splits`"
        raise XstiltsError("unknown-name", what, why, hint)
    starts = {column: fill(source, pattern, code, split) for column, pattern in source.starts.items()}
    builder = _builder(source, split, code, data)
    with _loading(source.hub):
        builder.download_and_prepare()
    names, number = source.splits.get(split, split), 0
    for name in [names] if isinstance(names, str) else names:
        with _loading(source.hub):
            rows = builder.as_dataset(split=name)
        require(source, list(rows.features), origin.file, source.starts)
        words = {column: labels for column, feature in rows.features.items() if (labels := _class_names(feature))}
        for batch in rows.data.to_batches(max_chunksize=10_000):
            records = list(enumerate(batch.to_pylist(), number + 1))
            number += len(records)
            yield from picked(
                (
                    (i, _named(record, words))
                    for i, record in records
                    if all(str(record[column]).startswith(start) for column, start in starts.items())
                ),
                source,
            )


def _class_names(feature: Any) -> list[str] | None:
    """The label words of a column of class numbers, or of lists of them."""
    return getattr(getattr(feature, "feature", feature), "names", None)


def _named(record: dict[str, Any], words: dict[str, list[str]]) -> dict[str, Any]:
    """The record with class numbers as words; -1, a label that is withheld or absent, remains."""

    def word(column: str, value: Any) -> Any:
        if isinstance(value, list):
            return [word(column, part) for part in value]
        return words[column][value] if value is not None and value >= 0 else value

    return record | {column: word(column, record[column]) for column in words}


def _builder(source: HubSource, split: str, code: str, data: Path | None) -> Any:
    """A builder of `datasets` that knows its files; nothing but their names has been fetched."""
    folder = mirror(source.hub, data)
    config = fill(source, source.config, code, split) or None
    files = {name: fill(source, pattern, code, split) for name, pattern in source.files.items()}
    revision = None if folder else source.revision or None
    builder = _cached_builder(str(folder or source.hub), config, revision, tuple(sorted(files.items())))
    # Without a network `datasets` gives the newest cached copy, whatever revision was asked for: the cache's folder is
    # named after the commit.
    from_cache = type(builder).__module__.endswith(".cache.cache")
    if revision and from_cache and not str(builder.hash).startswith(revision):
        raise _unavailable(source.hub, f"the local cache holds revision {builder.hash}, not {revision}")
    return builder


@lru_cache(maxsize=64)
def _cached_builder(
    repository: str, config: str | None, revision: str | None, files: tuple[tuple[str, str], ...]
) -> Any:
    import datasets

    datasets.disable_progress_bars()
    with _loading(repository):
        return datasets.load_dataset_builder(repository, config, revision=revision, data_files=dict(files) or None)


@contextmanager
def _loading(repository: str) -> Iterator[None]:
    """Turn the errors of `datasets` and of the hub into an XstiltsError."""
    import datasets

    try:
        yield
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise _unavailable(repository, f"{type(error).__name__}: {error}") from None


def _unavailable(hub: str, why: str, kind: Kind = "network") -> XstiltsError:
    hint = "connect to the network once, or put a copy of the repository at DATA/NAMESPACE/NAME and give --data DATA"
    return XstiltsError(kind, f"cannot load the data set '{hub}'", " ".join(why.split())[:300], hint)


def hub_files(source: FileSource, split: str, code: str, data: Path | None) -> Files:
    """The files of one split and language of a repository that holds plain files, fetched into the local cache."""
    import huggingface_hub

    names, folder = file_names(source, split, code), mirror(source.hub, data)
    if folder:
        files = {role: below(folder, name) for role, name in names.items()}
        for role, path in files.items():
            if not path.is_file():
                raise _unavailable(source.hub, f"{folder} has no file {names[role]}", "missing-data")
        return files
    revision = source.revision or None
    with _loading(source.hub):
        return {
            role: Path(huggingface_hub.hf_hub_download(source.hub, name, repo_type="dataset", revision=revision))
            for role, name in names.items()
        }


def mirrored_files(source: HubSource, split: str, code: str, data: Path) -> list[Path]:
    """The data files of a local copy of a repository that one split and language come from."""
    builder = _builder(source, split, code, data)
    return sorted({Path(file) for files in builder.config.data_files.values() for file in files})


def resolve(hub: str, ref: str) -> str:
    """The commit of a ref of a repository, of its main branch for ""; raises XstiltsError without the hub."""
    import huggingface_hub

    try:
        return str(huggingface_hub.HfApi().dataset_info(hub, revision=ref or None, timeout=20).sha)
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise _unavailable(hub, f"its revision is unpinned, and the hub did not answer: {error}") from None
