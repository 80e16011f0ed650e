"""Pins what a study takes from the hub: data sets, encoders and translators without a fixed revision get the commit
that they have when the study is frozen, so that every fingerprint contains a commit."""

from pathlib import Path

from xstilts.config.schema import Encoder, Study, Translator
from xstilts.data.hub import mirror, resolve
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource, HubSource
from xstilts.tasks.task import Task

SECTIONS = {"encoder": "encoders", "translator": "translators"}
"""The sections of a study that name models."""


def pinned(study: Study, tasks: dict[str, Task], data: Path | None) -> tuple[Study, dict[str, Task]]:
    """The study and its tasks with a commit in place of every revision that can change.

    Raises XstiltsError if the hub cannot be asked and nothing is cached.
    """
    for section in SECTIONS.values():
        entries = dict(getattr(study, section))
        for name, entry in entries.items():
            if _open_model(entry):
                entries[name] = entry.model_copy(update={"revision": _commit(entry)})
        study = study.model_copy(update={section: entries})
    tasks = dict(tasks)
    for name, task in tasks.items():
        if source := _open_source(task, data):
            commit = {"revision": resolve(source.hub, source.revision)}
            tasks[name] = task.model_copy(update={"source": source.model_copy(update=commit)})
    return study, tasks


def unpinned(study: Study, tasks: dict[str, Task], data: Path | None) -> list[str]:
    """A warning for each part of the study whose revision can change."""
    names = [f"task '{task.name}'" for task in tasks.values() if _open_source(task, data)]
    for kind, section in SECTIONS.items():
        names += [f"{kind} '{name}'" for name, entry in getattr(study, section).items() if _open_model(entry)]
    return [f"{name}: revision not pinned; `study` asks the hub for the current one and keeps it" for name in names]


def on_hub(load: str) -> bool:
    """Whether a model is in a hub repository, not a folder; raises XstiltsError for a path without a folder."""
    if Path(load).is_dir():
        return False
    if Path(load).is_absolute() or load.startswith((".", "~")) or load.count("/") > 1:  # no repository is named so
        hint = "give the folder of a model, or a repository of the hub as `owner/name`"
        raise XstiltsError("missing-model", f"there is no folder {load}", "the study loads a model from it", hint)
    return True


def _changes(revision: str) -> bool:
    """Whether a revision can be another commit tomorrow: a branch, or none."""
    return not revision or revision == "main" or revision.startswith("refs/")


def _open_model(entry: Encoder | Translator) -> bool:
    return bool(entry.load) and _changes(entry.revision) and on_hub(entry.load)


def _open_source(task: Task, data: Path | None) -> HubSource | FileSource | None:
    """The repository of a task's examples if it is read at a revision that can change; a local copy cannot."""
    source = task.source
    if not isinstance(source, HubSource | FileSource) or not source.hub or mirror(source.hub, data):
        return None
    return source if _changes(source.revision) else None


def _commit(entry: Encoder | Translator) -> str:
    """The current commit of a model's revision; without a network the one in the local cache, which is loaded then."""
    import huggingface_hub

    try:
        file = huggingface_hub.hf_hub_download(entry.load, "config.json", revision=entry.revision or None)
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        why = f"its revision is not pinned, and the hub cannot be asked: {' '.join(str(error).split())[:300]}"
        hint = "connect to the network once, or give the folder of the model"
        raise XstiltsError("network", f"cannot load the model '{entry.load}'", why, hint) from None
    return Path(file).parent.name  # the cache has a folder for each commit
