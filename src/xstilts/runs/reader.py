"""A run folder as evidence: its arms by what they do, whatever the study calls them."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xstilts.engine import read_steps
from xstilts.errors import XstiltsError
from xstilts.randomness import INDEPENDENT
from xstilts.runs.run_files import RUN, fault
from xstilts.runs.score_table import ScoreTable, read_score_table
from xstilts.tasks.xtreme import TARGETS

PREDICTIONS = "predictions"
"""In a run folder: the tables of predictions."""

STEPS = "steps.jsonl"
"""In a run folder: its plan, step by step."""
BASELINE = "baseline"
"""The arm of trivial predictions, which no study declares."""
AGAIN = "run `study` again, which writes the folder anew: its steps are kept"


@dataclass(frozen=True)
class ArmFacts:
    """An arm by what comes between the encoder and the target task.

    tasks: names of the intermediate tasks in the catalogue, sorted, none for the arm without the phase; languages: its
    strategy, "english" only where the anchor is English; mlm: whether masked language modelling is mixed in;
    translated: whether its data are machine translations; role: arm, control (also an arm without the phase whose
    target training is lengthened) or baseline (which withholds text).
    """

    tasks: tuple[str, ...]
    languages: str
    mlm: bool
    translated: bool
    role: str


@dataclass(frozen=True)
class Run:
    """What `study` wrote into a run folder; predictions, in its folder `tables`, are read when they are asked for."""

    folder: Path
    study: dict[str, Any]
    plan: dict[str, Any]
    budgets: list[dict[str, Any]]
    tables: str = PREDICTIONS
    score_tables: dict[tuple[str, str], ScoreTable] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def arms(self) -> dict[str, ArmFacts]:
        """Every arm of the study by name."""
        return {name: _facts(self, name, entry) for name, entry in self.study["arms"].items()}

    @cached_property
    def targets(self) -> dict[str, str]:
        """Task of XTREME -> the first target of the study that scores it, as far as the run has come."""
        named = [(self.study["tasks"][target], target) for target in self.scored]
        return {task: target for task, target in reversed(named) if task in TARGETS}

    @cached_property
    def trainings(self) -> set[str]:
        """Fingerprints of the run's trainings, none where the folder does not say."""
        file = self.folder / STEPS
        steps = read_steps(file)[0].steps if file.is_file() else {}
        return {fingerprint for fingerprint, step in steps.items() if step.kind == "train"}

    @cached_property
    def encoder_kinds(self) -> dict[str, str]:
        """Encoder → its entry in the study: the pretraining seeds of one entry are of one kind."""
        return encoder_kinds(self.plan)

    @property
    def encoders(self) -> list[str]:
        """The encoders as the predictions name them, one for each pretraining seed."""
        return sorted(self.encoder_kinds)

    @property
    def labelled(self) -> list[str]:
        """The targets whose labels are known, so that they can be scored."""
        return [target for target in self.study["types"] if target not in self.study["labels_withheld"]]

    @property
    def scored(self) -> list[str]:
        """The targets with labels and predictions."""
        return [target for target in self.labelled if self._file(target).is_file()]

    def score_table(self, target: str, metric: str = "") -> ScoreTable:
        """The predictions of a target, judged by its own metric unless another is given; read once.

        Raises XstiltsError where there are none, or none that can be scored.
        """
        key = target, metric or self.study["metrics"][target]
        if key not in self.score_tables:
            self.score_tables[key] = self._own(
                read_score_table(self._file(target), self.study["types"][target], key[1])
            )
        return self.score_tables[key]

    def _own(self, score_table: ScoreTable) -> ScoreTable:
        """The score_table, if its cells are of this run."""
        for arm, encoder, _ in score_table.cluster_stats:
            if arm not in (*self.study["arms"], BASELINE) or encoder not in (*self.encoders, ""):
                raise self._mixed(f"{self._file(score_table.target)} has cells of arm '{arm}' and encoder '{encoder}'")
        return score_table

    def _mixed(self, why: str) -> XstiltsError:
        return XstiltsError("not-a-run", f"the predictions in {self.folder} are not those of its plan", why, AGAIN)

    def _file(self, target: str) -> Path:
        return self.folder / self.tables / f"{target}.parquet"

    @property
    def name(self) -> str:
        """The study's name and the folder, by which its rows are known among those of other runs."""
        return f"{self.study['name']} in {self.folder}"

    def sources(self, arm: str, encoder: str, replicate: int) -> tuple[str, ...]:
        """Languages of the intermediate training of one cell; raises XstiltsError where the plan has no such cell."""
        shift = INDEPENDENT if self.study["arms"][arm].get("independent") else 0
        drawn = self.plan["sources"][arm].get(f"{encoder}:{replicate + shift}")
        if drawn is None:
            raise self._mixed(f"plan.json has no sources of '{arm}' for replicate {replicate} of '{encoder}'")
        return tuple(drawn)


def encoder_kinds(plan: dict[str, Any]) -> dict[str, str]:
    """Encoder → the entry of the study that it comes from: pretraining seeds of one entry are of one kind."""
    entries = plan["study"]["encoders"]
    return {
        name if entry.get("seeds", 1) == 1 else f"{name}-{seed}": name
        for name, entry in entries.items()
        for seed in range(1, entry.get("seeds", 1) + 1)
    }


def read_run(folder: Path) -> Run:
    """Raises XstiltsError where the folder holds no run, one that is not finished, or one that was tampered with."""
    if (folder / "plan.json").is_file() and not (folder / "study.json").is_file():
        why = "study.json and predictions are written when its steps have been carried out"
        hint = "wait until it has ended (`xstilts watch` shows how far it is), or run it again to go on"
        raise XstiltsError("unfinished", f"the study in {folder} is not finished", why, hint)
    run = Run(folder, *(read_json(folder / name) for name in RUN))
    if other := _of_another(run):
        raise XstiltsError(
            "not-a-run", f"{folder} holds no run that can be read", f"its files are not of one run: {other}", AGAIN
        )
    return run


def _of_another(run: Run) -> str:
    """What one file of a run folder speaks of and another does not know, in words."""
    for what, names, known, file in (
        ("target", run.study["types"], run.plan["evaluated"], "plan.json"),
        ("arm", run.study["arms"], run.plan["sources"], "plan.json"),
        ("target", [cell["target"] for cell in run.budgets], run.study["types"], "study.json"),
        ("arm", [cell["arm"] for cell in run.budgets], (*run.study["arms"], BASELINE), "study.json"),
    ):
        if absent := [name for name in names if name not in known]:
            return f"{file} does not have the {what} '{absent[0]}'"
    return ""


def read_json(file: Path) -> Any:
    """What a JSON file of a run folder holds; raises XstiltsError where there is none, or one of another shape."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = f"{file.name} is missing" if isinstance(error, FileNotFoundError) else f"{file.name}: {error}"
        raise XstiltsError(
            "missing-file", f"{file.parent} holds no run", why, "give the folder that `study` wrote to"
        ) from None
    if wrong := fault(file.name, text):
        raise XstiltsError("not-a-run", f"{file.parent} holds no run that can be read", f"{file.name}: {wrong}", AGAIN)
    return json.loads(text)


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
    role = (
        "baseline"
        if entry.get("mask_column")
        else "control"
        if entry.get("match_updates_of")
        else run.study["roles"][name]
    )
    return ArmFacts(tuple(sorted(tasks)), languages, bool(mixed), bool(entry.get("translated")), role)
