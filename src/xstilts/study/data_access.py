"""Licence, access and size of the data that a study needs, and whether this machine has what they take: no host is
asked."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from xstilts.costs.shapes import shape_of
from xstilts.costs.sizes import text_bytes
from xstilts.data import files, hub
from xstilts.data.examples import required_tasks, source_of
from xstilts.models.published import published
from xstilts.study.freeze import on_hub
from xstilts.study.steps import StudyPlan
from xstilts.tasks.data_source import FileSource, HubSource, RestrictedSource, TextSource, WorldSource
from xstilts.tasks.task import Task, access_of

NON_COMMERCIAL = re.compile(r"\bNC\b|\bno[nt]-?\s?commercial", re.I)
"""What a licence says that excludes commercial use."""


def data_access(planned: StudyPlan) -> list[dict[str, Any]]:
    """The tasks that a study reads, in the order in which it needs them, as JSON objects of these keys.

    `task`; `licence`, in the words of its entry; `non_commercial`, whether that excludes commercial use; `access`:
    `open` (nothing is needed), `files` (of the user, below the data folder) or `gated` (a token of the hub's);
    `download`: about how many bytes of text come from the hub, the local cache aside; `satisfied`, whether files and
    token are on this machine; `missing`: what is not there and how to get it, "" if nothing is missing.
    """
    needed: dict[str, dict[tuple[str, str], None]] = {}
    for name, split, code, _ in planned.examples:
        for part, part_split in _with_parts(planned, name, split):
            needed.setdefault(part, {})[part_split, code] = None
    rows = []
    for name, splits in needed.items():
        task = planned.frozen.tasks[name]
        parts, data, licence = list(splits), planned.frozen.data, _licence(task)
        missing = _missing(task, parts, data)
        facts = {"task": name, "licence": licence, "non_commercial": bool(NON_COMMERCIAL.search(licence))}
        facts |= {"access": access_of(task), "download": round(_download(task, parts, data))}
        rows.append(facts | {"satisfied": not missing, "missing": missing})
    return rows


def data_warnings(planned: StudyPlan, rows: list[dict[str, Any]]) -> list[str]:
    """What is missing on this machine, a sentence for each task of `data_access` that lacks something; which data and
    models exclude commercial use; and retrieval targets without the prefix that an encoder was trained with."""
    warnings = [f"task '{row['task']}' cannot be read here: {row['missing']}" for row in rows if row["missing"]]
    restricted = [f"{row['task']} ({row['licence']})" for row in rows if row["non_commercial"]]
    licences = {load: published(load).licence for load in _models(planned)}
    restricted += [f"{load} ({licence})" for load, licence in licences.items() if NON_COMMERCIAL.search(licence)]
    if restricted:
        excluded = "not for commercial use by their licences"
        warnings.append(f"{excluded}: {', '.join(restricted)}; check before models trained on them go into production")
    return [*warnings, *_missing_prefixes(planned)]


def _missing_prefixes(planned: StudyPlan) -> Iterator[str]:
    """A sentence for each encoder that was trained with a prefix which a retrieval target does not set."""
    frozen = planned.frozen
    targets = frozen.study.targets.items()
    bare = [name for name, entry in targets if frozen.task_of(name).type == "retrieval" and not entry.query_prefix]
    for name, encoder in frozen.study.encoders.items():
        if bare and encoder.load and (prefix := published(encoder.load).prefix):
            trained = f"encoder '{name}' was trained on texts that begin with '{prefix}'"
            yield f"{trained}: set query_prefix of target '{bare[0]}', or expect lower scores than published ones"


def model_download(planned: StudyPlan) -> int:
    """About how many bytes of weights of encoders and translators come from the hub, the local cache aside; models of
    unknown size do not count."""
    shapes = {load: shape_of(load) for load in _models(planned) if on_hub(load)}
    return sum(published(load).weight_bytes * shape.parameters for load, shape in shapes.items() if shape.known)


def _models(planned: StudyPlan) -> list[str]:
    """The repositories and folders of a study's encoders and translators."""
    study = planned.frozen.study
    entries: Iterable[Any] = (*study.encoders.values(), *study.translators.values())
    return list(dict.fromkeys(entry.load for entry in entries if entry.load))


def _download(task: Task, parts: list[tuple[str, str]], data: Path | None) -> float:
    """Bytes of text that a task's splits and languages take from the hub, whose files may hold all languages."""
    source = task.source
    if not isinstance(source, HubSource | FileSource) or not source.hub or hub.mirror(source.hub, data):
        return 0.0
    remote = [(split, code) for split, code in parts if source_of(task, split, code, data) is source]
    if isinstance(source, HubSource) and source.starts:
        remote = [(split, code) for split in dict.fromkeys(split for split, _ in remote) for code in task.languages]
    return sum(text_bytes(task, split, code) for split, code in remote)


def _with_parts(planned: StudyPlan, name: str, split: str) -> Iterator[tuple[str, str]]:
    """A task and those whose examples or text it takes, each with the split that is read."""
    yield name, split
    for part, part_split in planned.frozen.tasks[name].source.other_tasks(split):
        yield from _with_parts(planned, part, part_split)


def _licence(task: Task) -> str:
    if task.licence:
        return task.licence
    if isinstance(task.source, WorldSource):
        return "none: artificial data"
    return "those of its parts" if required_tasks(task) else "unknown" + ": see citation" * bool(task.citation)


def _missing(task: Task, parts: list[tuple[str, str]], data: Path | None) -> str:
    """What this machine lacks of a task's data in these splits and languages, and how to get it; "" if nothing."""
    source, repository = task.source, getattr(task.source, "hub", "")
    if isinstance(source, RestrictedSource):
        return f"{' '.join(source.own.split())}; or replace the `source` of its entry by files of your own"
    if access_of(task) == "files":
        absent = [f"{split} in {code}" for split, code in parts if not _has_files(source, split, code, data)]
        where = f"below {data}" if data else "without a data folder"
        what = f"no file of {', '.join(absent[:3])}{', …' * (len(absent) > 3)} {where}"
        origin = f" (from {source.origin})" if isinstance(source, FileSource) and source.origin else ""
        return f"{what}; give the folder that holds them{origin} with --data" if absent else ""
    if access_of(task) == "open" or hub.mirror(repository, data):
        return ""
    import huggingface_hub

    # With this variable, which jobs of a CI service have, `get_token` would ask a host for a token.
    if os.environ.get("HF_OIDC_RESOURCE") or huggingface_hub.get_token():
        return ""
    page = f"{huggingface_hub.constants.ENDPOINT}/datasets/{repository}"
    return f"it is gated, and no token of the hub is stored; accept the terms at {page}, then run `hf auth login`"


def _has_files(source: Any, split: str, code: str, data: Path | None) -> bool:
    """Whether a source of local files has one of a split in a language; text may come from other tasks alone."""
    if isinstance(source, TextSource):
        return data is not None and (
            bool(source.of_tasks) or any(files.present(part, "train", code, data) for part in source.files)
        )
    return data is not None and files.present(source, split, code, data)
