"""A run folder as evidence: its arms by what they do, whatever the study calls them."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xstilts.analysis.cube import Cube, read_cube
from xstilts.errors import MISSING, XstiltsError
from xstilts.randomness import INDEPENDENT
from xstilts.tasks.xtreme import TARGETS

PREDICTIONS = "predictions"
"""In a run folder: the tables of predictions."""

STUDY = ("arms", "roles", "tasks", "types", "metrics", "also", "withheld", "level", "equivalence")
PLAN = ("study", "held_out", "pool", "evaluated", "sources", "warnings")
"""What is needed of `study.json` and `plan.json`."""


@dataclass(frozen=True)
class ArmFacts:
    """An arm by what comes between the encoder and the target task.

    tasks: names of the intermediate tasks in the catalogue, sorted, none for the arm without the phase; languages: its
    strategy, "english" only where the anchor is English; mlm: whether masked language modelling is mixed in;
    translated: whether its data are machine translations; role: arm, control or baseline (which withholds text).
    """

    tasks: tuple[str, ...]
    languages: str
    mlm: bool
    translated: bool
    role: str


@dataclass(frozen=True)
class Run:
    """What `study` wrote into a run folder, besides the predictions, which are read when they are asked for."""

    folder: Path
    study: dict[str, Any]
    plan: dict[str, Any]
    budgets: list[dict[str, Any]]
    cubes: dict[tuple[str, str], Cube] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def arms(self) -> dict[str, ArmFacts]:
        """Every arm of the study by name."""
        return {name: _facts(self, name, entry) for name, entry in self.study["arms"].items()}

    @cached_property
    def targets(self) -> dict[str, str]:
        """Task of XTREME -> the first target of the study that scores it, as far as the run has come."""
        named = [(self.study["tasks"][target], target) for target in self.scored]
        return {task: target for task, target in reversed(named) if task in TARGETS}

    @property
    def encoders(self) -> list[str]:
        """The encoders as the predictions name them, one for each pretraining seed."""
        return sorted(encoder_kinds(self.plan))

    @property
    def scored(self) -> list[str]:
        """The targets with labels and predictions."""
        labelled = [target for target in self.study["types"] if target not in self.study["withheld"]]
        return [target for target in labelled if self._file(target).is_file()]

    def cube(self, target: str, metric: str = "") -> Cube:
        """The predictions of a target, judged by its own metric unless another is given; read once."""
        key = target, metric or self.study["metrics"][target]
        if key not in self.cubes:
            self.cubes[key] = read_cube(self._file(target), self.study["types"][target], key[1])
        return self.cubes[key]

    def _file(self, target: str) -> Path:
        return self.folder / PREDICTIONS / f"{target}.parquet"

    @property
    def name(self) -> str:
        """The study's name and the folder, by which its rows are known among those of other runs."""
        return f"{self.study.get('name', '')} in {self.folder}"

    def sources(self, arm: str, encoder: str, replicate: int) -> tuple[str, ...]:
        """Languages of the intermediate training of one cell."""
        drawn = self.plan["sources"][arm]
        shift = INDEPENDENT if self.study["arms"][arm].get("independent") else 0
        return tuple(drawn[f"{encoder}:{replicate + shift}"])


def encoder_kinds(plan: dict[str, Any]) -> dict[str, str]:
    """Encoder → the entry of the study that it comes from: pretraining seeds of one entry are of one kind."""
    entries = plan["study"]["encoders"]
    return {
        name if entry.get("seeds", 1) == 1 else f"{name}-{seed}": name
        for name, entry in entries.items()
        for seed in range(1, entry.get("seeds", 1) + 1)
    }


def read_run(folder: Path) -> Run:
    """Raises XstiltsError where the folder holds no run."""
    run = Run(folder, *(read_json(folder / name) for name in ("study.json", "plan.json", "cells.json")))
    missing = [key for key in STUDY if key not in run.study] + [key for key in PLAN if key not in run.plan]
    if missing:
        why = f"it says nothing of {', '.join(missing)}"
        raise XstiltsError(f"{folder} holds no run that can be read", why, "run `study` again: its steps are kept")
    return run


def read_json(file: Path) -> Any:
    """What a file of a run folder holds; raises XstiltsError where there is none, or none that can be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        why = f"{file.name} is missing"
    except ValueError as error:
        why = f"{file.name} cannot be read: {error}"
    raise XstiltsError(f"{file.parent} holds no run", why, "give the folder that `study` wrote to", MISSING)


def _facts(run: Run, name: str, entry: dict[str, Any]) -> ArmFacts:
    """How an arm's fields in a study are read: the one place that knows them."""
    known = run.plan["study"]["intermediate"]
    named = entry.get("intermediate") or ""
    parts = list(known.get(named, {}).get("mixture") or [named])
    mixed = entry.get("mlm") or {}
    alone = not named or mixed.get("share") == 1
    tasks = [] if alone else [known.get(part, {}).get("task") or part for part in parts]
    languages = entry.get("languages", "english")
    anchor = run.plan["study"]["languages"]["anchor"]
    if languages == "english" and anchor != "en":
        languages = f"only {anchor}"
    if languages == "given" and list(entry.get("given", ())) == ["en"]:
        languages = "english"
    if entry.get("anchor_share"):
        languages = f"english+{languages}"
    role = "baseline" if entry.get("hide") else run.study["roles"][name]
    return ArmFacts(tuple(sorted(tasks)), languages, bool(mixed), bool(entry.get("translated")), role)
