"""The nine tasks of XTREME as its own `evaluate.py` defines them: languages, label words, groups."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import yaml

Kind = Literal["labels", "tags", "answers", "pairs", "indices"]


@dataclass(frozen=True)
class Target:
    """One task of the benchmark. `kind` is what a line or an entry of its files is; `words` are the label words, empty
    if any text or number is allowed."""

    kind: Kind
    group: str
    languages: tuple[str, ...]
    words: tuple[str, ...] = ()

    @property
    def aligned(self) -> bool:
        """Whether line i of the predictions answers line i of the labels."""
        return self.kind in ("labels", "indices", "tags")

    def file(self, language: str) -> str:
        """The name of a language's file below the task's folder."""
        return f"test-{language}.{'json' if self.kind == 'answers' else 'tsv'}"


TARGETS = {
    name: Target(e["kind"], e["group"], tuple(e["languages"].split()), tuple(e.get("words", "").split()))
    for name, e in yaml.safe_load(files("xstilts.tasks").joinpath("xtreme.yaml").read_text(encoding="utf-8")).items()
}
"""In the order of `evaluate.py`, from which languages and groups are taken (English is listed where it counts)."""

GROUPS = {
    group: tuple(name for name, target in TARGETS.items() if target.group == group)
    for group in ("classification", "tagging", "qa", "retrieval")
}
