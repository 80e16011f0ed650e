"""Commits of what a study takes from the hub: data sets, encoders and translators that name none are asked for when
the study is frozen, so that every fingerprint holds a commit."""

from pathlib import Path
from typing import Any

from xstilts.config.schema import Encoder, Study, Translator
from xstilts.data.hub import mirror, resolve
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource, HubSource
from xstilts.tasks.task import Task

MODELS = {"encoder": "encoders", "translator": "translators"}


def settled(study: Study, tasks: dict[str, Task], data: Path | None) -> tuple[Study, dict[str, Task]]:
    """The study and its tasks with a commit wherever the revision was left open; raises XstiltsError where the hub
    cannot be asked and nothing is cached."""
    for section in MODELS.values():
        entries = getattr(study, section)
        own = {name: entry.model_copy(update={"revision": _commit(entry)}) if _open(entry) else entry
               for name, entry in entries.items()}  # fmt: skip
        study = study.model_copy(update={section: own})
    return study, {name: _pinned(task, data) for name, task in tasks.items()}


def unsettled(study: Study, tasks: dict[str, Task], data: Path | None) -> list[str]:
    """What of the study has a revision that may be another one tomorrow, in sentences."""
    named = [f"task '{task.name}'" for task in tasks.values() if _unpinned(task, data)]
    named += [f"{kind} '{name}'" for kind, section in MODELS.items()
              for name, entry in getattr(study, section).items() if _open(entry)]  # fmt: skip
    return [f"{what}: revision unresolved; `study` asks the hub for it and keeps to it" for what in named]


def revisions(tasks: dict[str, Task]) -> dict[str, str]:
    """The revisions of the data sets by task; those of models are in the study itself."""
    found = {name: getattr(task.source, "revision", "") for name, task in tasks.items()}
    return {name: revision for name, revision in found.items() if revision}


def on_hub(load: str) -> bool:
    """Whether a model is in a hub repository, not a folder; raises XstiltsError for a path where there is no folder."""
    if Path(load).is_dir():
        return False
    if Path(load).is_absolute() or load.startswith((".", "~")) or load.count("/") > 1:  # no repository is named so
        hint = "give the folder of a model, or a repository of the hub as `owner/name`"
        raise XstiltsError("missing-model", f"there is no folder {load}", "the study loads a model from it", hint)
    return True


def _moves(revision: str) -> bool:
    return not revision or revision == "main" or revision.startswith("refs/")


def _open(entry: Encoder | Translator) -> bool:
    return bool(entry.load) and _moves(entry.revision) and on_hub(entry.load)


def _commit(entry: Encoder | Translator) -> str:
    """The commit that a model's revision is now; without a network the one in the local cache, which is loaded then."""
    import huggingface_hub

    try:
        file = huggingface_hub.hf_hub_download(entry.load, "config.json", revision=entry.revision or None)
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise XstiltsError(
            "network",
            f"cannot load the model '{entry.load}'",
            f"its revision is unresolved, and the hub cannot be asked: {' '.join(str(error).split())[:300]}",
            "connect to the network once, or give the folder of the model",
        ) from None
    return Path(file).parent.name  # the cache has a folder for each commit


def _unpinned(task: Task, data: Path | None) -> bool:
    """Whether a task's rows come from a repository at a revision that may move; a copy of it is what it is."""
    source = task.source
    if not isinstance(source, HubSource | FileSource) or not source.hub or mirror(source.hub, data):
        return False
    return _moves(source.revision)


def _pinned(task: Task, data: Path | None) -> Task:
    if not _unpinned(task, data):
        return task
    source: Any = task.source
    pinned = source.model_copy(update={"revision": resolve(source.hub, source.revision)})
    return task.model_copy(update={"source": pinned})
