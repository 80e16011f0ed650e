"""What a claim's entry may say, and which arms it means."""

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import yaml
from pydantic import Field

from xstilts.runs.reader import ArmFacts
from xstilts.tasks.data_source import Entry

NINE = (
    "anli_plus", "mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "ccg", "cosmosqa", "commonsenseqa",
)  # fmt: skip
"""The nine intermediate tasks. The abstract of Phang et al. 2020 (v2) names three; the other names are unconfirmed."""
ALIASES = {"squad": "squad_v1"}


class Side(Entry):
    """Which arms are meant: by intermediate tasks, language strategy, and what is mixed in or translated.

    tasks: `none`, `any`, `one` of the nine, `all` nine, some of the `nine`, or names of which an arm has one.
    translated: None means with or without.
    """

    tasks: Literal["none", "any", "one", "all", "nine"] | tuple[str, ...]
    languages: str = "english"
    mlm: bool = False
    translated: bool | None = False


class Comparison(Entry):
    """Arms against others, on targets of XTREME, and the relation that the claim says they have.

    arms: each left arm for itself, all `pooled`, or the `best` of them per target; over: `others` asks that the gain
    exceed that on every target which is not of the retrieval group; figure: points that were claimed; count: whether
    `all` comparisons must hold or `most`; beside: shown, not judged.
    """

    left: Side
    right: Side
    targets: Literal["groups", "all", "any"] | tuple[str, ...]
    relation: Literal["large", "more", "no more", "not less"]
    arms: Literal["each", "pooled", "best"] = "each"
    at_least: Annotated[int, Field(gt=0)] = 1
    same_tasks: bool = False
    every_task: bool = False
    over: Literal["", "others"] = ""
    figure: float = 0.0
    count: Literal["all", "most"] = "all"
    beside: bool = False


class Claim(Entry):
    """One entry: `v1` and `v2` are what the two versions of the paper say, "" where nothing was found."""

    says: str
    v1: str
    v2: str
    reference: Literal["confirmed", "unconfirmed", "none"]
    judged: str
    encoder: str = ""
    comparisons: tuple[Comparison, ...] = ()
    check: Literal["", "encoder", "phases", "tasks"] = ""


@cache
def claims() -> dict[str, Claim]:
    """Every entry by its number, the leading question last."""
    text = files("xstilts.claims").joinpath("claims.yaml").read_text(encoding="utf-8")
    return {name: Claim(**entry) for name, entry in yaml.safe_load(text).items()}


def canonical(tasks: tuple[str, ...]) -> tuple[str, ...]:
    """Task names under which the catalogue has them, sorted."""
    return tuple(sorted(ALIASES.get(task, task) for task in tasks))


def means(side: Side, arm: ArmFacts) -> bool:
    """Whether an arm is of those that a side means; controls and baselines never are."""
    if arm.role != "arm":
        return False
    if side.tasks == "none":
        return not arm.tasks and not arm.mlm
    if side.languages not in ("any", arm.languages) or side.mlm != arm.mlm:
        return False
    if side.translated not in (None, arm.translated):
        return False
    tasks = canonical(arm.tasks)
    if isinstance(side.tasks, tuple):
        return len(tasks) == 1 and tasks[0] in side.tasks
    return {
        "any": bool(tasks),
        "one": len(tasks) == 1 and tasks[0] in NINE,
        "all": set(tasks) == set(NINE),
        "nine": bool(tasks) and set(tasks) <= set(NINE),
    }[side.tasks]


def wanted(side: Side) -> str:
    """The arms of a side in words, for what a run lacks."""
    tasks = {
        "none": "no intermediate task",
        "any": "any intermediate task",
        "one": "one of the nine intermediate tasks",
        "all": "all nine intermediate tasks together",
        "nine": "some of the nine intermediate tasks",
    }
    words = ["an arm with", " or ".join(side.tasks) if isinstance(side.tasks, tuple) else tasks[side.tasks]]
    if side.languages != "any" and side.tasks != "none":
        words.append("in English" if side.languages == "english" else f"in {side.languages} languages")
    words += ["with masked language modelling mixed in"] if side.mlm else []
    words += ["on translated data"] if side.translated else []
    return " ".join(words)
