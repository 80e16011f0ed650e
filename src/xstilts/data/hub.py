"""Examples from data sets of the hub: pinned revisions, from the network, the local cache, or a copy of the repository.

A copy of a repository in the hub's own format below the data folder (`DATA/facebook/xnli`) takes its place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from xstilts.data.build_examples import Examples, build_examples
from xstilts.data.files import below, file_names, fill
from xstilts.data.record_formats import Files, Item, picked, require
from xstilts.errors import Kind, XstiltsError
from xstilts.tasks.data_source import FileSource, HubSource
from xstilts.tasks.task import Task


def mirror(hub: str, data: Path | None) -> Path | None:
    """The folder of a local copy of a repository; None if there is none."""
    folder = data / hub if data else None
    return folder if folder and folder.is_dir() else None


def read_hub(task: Task, source: HubSource, split: str, code: str, data: Path | None) -> Examples:
    """The examples of one split and language of a repository; raises XstiltsError if it has no such configuration,
    split or revision, or cannot be reached."""
    config = fill(source, source.config, code, split)
    place = " ".join(filter(None, (source.hub, config, split)))
    return build_examples(task, source, _items(source, place, split, code, data), place, split, code, "row")


def _items(source: HubSource, place: str, split: str, code: str, data: Path | None) -> Iterator[Item]:
    starts = {column: fill(source, pattern, code, split) for column, pattern in source.starts.items()}
    builder = _builder(source, split, code, data)
    with _loading(source.hub):
        builder.download_and_prepare()
    names, number = source.splits.get(split, split), 0
    for name in [names] if isinstance(names, str) else names:
        with _loading(source.hub):
            rows = builder.as_dataset(split=name)
        require(source, list(rows.features), place, source.starts)
        # The label words of columns of class numbers, or of lists of them.
        classes = {name: getattr(getattr(part, "feature", part), "names", None) for name, part in rows.features.items()}
        for batch in rows.data.to_batches(max_chunksize=10_000):
            for record in batch.to_pylist():
                number += 1
                if all(str(record[column]).startswith(start) for column, start in starts.items()):
                    words = {name: _word(record[name], labels) for name, labels in classes.items() if labels}
                    yield from picked([(number, record | words)], source)


def _word(value: Any, words: list[str]) -> Any:
    """Class numbers as words; -1, a label that is withheld or absent, remains."""
    if isinstance(value, list):
        return [_word(part, words) for part in value]
    return words[value] if value is not None and value >= 0 else value


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
    from huggingface_hub import hf_hub_download

    files, folder = {}, mirror(source.hub, data)
    for role, name in file_names(source, split, code).items():
        if folder:
            files[role] = below(folder, name)
            if not files[role].is_file():
                raise _unavailable(source.hub, f"{folder} has no file {name}", "missing-data")
        else:
            with _loading(source.hub):
                path = hf_hub_download(source.hub, name, repo_type="dataset", revision=source.revision or None)
            files[role] = Path(path)
    return files


def mirrored_files(source: HubSource, split: str, code: str, data: Path) -> list[Path]:
    """The data files of a local copy of a repository that one split and language come from."""
    builder = _builder(source, split, code, data)
    return sorted({Path(file) for files in builder.config.data_files.values() for file in files})


def resolve(hub: str, ref: str) -> str:
    """The commit of a ref of a repository, of its main branch for ""; raises XstiltsError without the hub."""
    import huggingface_hub

    try:
        return str(huggingface_hub.HfApi().dataset_info(hub, revision=ref or None, timeout=20).sha)
    except Exception as error:  # the client raises the errors of whatever HTTP library it uses
        raise _unavailable(hub, f"its revision is unpinned, and the hub did not answer: {error}") from None
