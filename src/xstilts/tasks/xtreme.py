"""The tasks of XTREME as its own `evaluate.py` defines them, and those of XTREME-R: languages, label words, groups."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Literal

import yaml

Kind = Literal["labels", "tags", "answers", "pairs", "indices", "choices", "rankings"]
SUFFIXES = {"answers": "json", "rankings": "json", "choices": "jsonl"}


@dataclass(frozen=True)
class Target:
    """One task of the benchmark. `kind` is what a line or an entry of its files is; `words` are the label words, empty
    if any text or number is allowed."""

    name: str
    kind: Kind
    group: str
    languages: tuple[str, ...]
    words: tuple[str, ...] = ()

    @property
    def aligned(self) -> bool:
        """Whether line i of the predictions answers line i of the labels."""
        return self.kind in ("labels", "indices", "tags", "choices")

    def file(self, language: str) -> str:
        """The name of a language's file below the task's folder."""
        return f"test-{language}.{SUFFIXES.get(self.kind, 'tsv')}"


Targets = Mapping[str, Target]


def _targets(file: str, base: Targets) -> Targets:
    """The targets of a file; with `adds`, those of `base` in further languages."""
    result = {}
    for name, e in yaml.safe_load(files("xstilts.tasks").joinpath(file).read_text(encoding="utf-8")).items():
        if "adds" in e:
            result[name] = replace(base[name], languages=(*base[name].languages, *e["adds"].split()))
        else:
            words = tuple(e.get("words", "").split())
            result[name] = Target(name, e["kind"], e["group"], tuple(e["languages"].split()), words)
    return result


def groups_of(targets: Targets) -> dict[str, tuple[str, ...]]:
    """The names of the tasks in each group."""
    return {
        group: tuple(name for name, target in targets.items() if target.group == group)
        for group in ("classification", "tagging", "qa", "retrieval")
    }


TARGETS = _targets("xtreme.yaml", {})
"""In the order of `evaluate.py`, from which languages and groups are taken (English is listed where it counts)."""
VERSIONS = {"xtreme-2020": TARGETS, "xtreme-r-v1": _targets("xtreme-r.yaml", TARGETS)}
"""Which tasks and languages an average is over."""
GROUPS = groups_of(TARGETS)
