"""Licence and access of the data that a study needs, and whether this machine has what they take: no host is asked."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xstilts.data import files, hub
from xstilts.data.examples import required_tasks
from xstilts.study.steps import StudyPlan
from xstilts.tasks.data_source import RestrictedSource, TextSource, WorldSource
from xstilts.tasks.task import Task, access_of


def data_access(planned: StudyPlan) -> list[dict[str, Any]]:
    """The tasks that a study reads, in the order in which it needs them, as JSON objects of these keys.

    `task`; `licence`, in the words of its entry; `access`: `open` (nothing is needed), `files` (of the user, below the
    data folder) or `gated` (a token of the hub's); `satisfied`, whether those are on this machine; `missing`: what is
    not there and how to get it, "" if nothing is missing.
    """
    needed: dict[str, dict[tuple[str, str], None]] = {}
    for name, split, code, _ in planned.examples:
        for part, part_split in _with_parts(planned, name, split):
            needed.setdefault(part, {})[part_split, code] = None
    rows = []
    for name, splits in needed.items():
        task = planned.frozen.tasks[name]
        missing = _missing(task, list(splits), planned.frozen.data)
        facts = {"task": name, "licence": _licence(task), "access": access_of(task)}
        rows.append(facts | {"satisfied": not missing, "missing": missing})
    return rows


def access_warnings(rows: list[dict[str, Any]]) -> list[str]:
    """What is missing on this machine, a sentence for each task of `data_access` that lacks something."""
    return [f"task '{row['task']}' cannot be read here: {row['missing']}" for row in rows if row["missing"]]


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
        return f"{what}; give the folder that holds them with --data" if absent else ""
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
