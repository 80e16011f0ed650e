"""A run folder as evidence: its design, its scores, and the way from a prediction back to its example."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xstilts.engine import Store, read_steps
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.randomness import INDEPENDENT
from xstilts.runs.run_files import AGAIN, CELLS, PLAN, PREDICTIONS, STEPS, STUDY, read_json
from xstilts.runs.score_table import ScoreTable, breakdown, read_predictions, read_score_table
from xstilts.runs.verify import require_verified
from xstilts.tasks.xtreme import TARGETS

BASELINE = "baseline"
"""The arm of trivial predictions, which no study declares."""


@dataclass(frozen=True)
class ArmFacts:
    """What an arm puts between the encoder and the target task, whatever the study calls it.

    tasks: names of the intermediate tasks in the catalogue, sorted; languages: its strategy, "english" only if the
    anchor is English; mlm: whether masked language modelling is mixed in; role: arm, control (also an arm whose target
    training is lengthened) or baseline (which withholds text).
    """

    tasks: tuple[str, ...]
    languages: str
    mlm: bool
    translated: bool
    role: str


@dataclass(frozen=True)
class Run:
    """What `study` wrote into a run folder. Predictions, in its folder `tables`, are read when they are asked for.

    The examples that the arm `far` gets wrong in Swahili:

    >>> run = read_run(Path("runs/mine"))  # doctest: +SKIP
    >>> table = run.predictions("xnli", arm="far").filter(pc.field("language") == "sw")  # doctest: +SKIP
    >>> wrong = table.filter(pc.field("prediction") != pc.field("gold"))  # doctest: +SKIP
    >>> run.examples("xnli", "sw", wrong["example_id"])["text_a"]  # doctest: +SKIP
    """

    folder: Path
    study: dict[str, Any]
    plan: dict[str, Any]
    budgets: list[dict[str, Any]]
    tables: str = PREDICTIONS
    score_tables: dict[tuple[str, str], ScoreTable] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The study's name and the folder, which tell its rows from those of other runs."""
        return f"{self.study['name']} in {self.folder}"

    @cached_property
    def arms(self) -> dict[str, ArmFacts]:
        """Every arm of the study by name: the one place that interprets the settings of arms."""
        trainings, anchor = self.plan["study"]["intermediate"], self.plan["study"]["languages"]["anchor"]
        arms = {}
        for name, entry in self.study["arms"].items():
            intermediate, mlm = entry.get("intermediate") or "", entry.get("mlm") or {}
            parts = trainings.get(intermediate, {}).get("mixture") or [intermediate]
            text_only = not intermediate or mlm.get("share") == 1
            tasks = [] if text_only else [trainings.get(part, {}).get("task") or part for part in parts]
            languages = entry.get("languages", "english")
            if languages == "english" and anchor != "en":
                languages = f"only {anchor}"
            if languages == "given" and list(entry.get("given", ())) == ["en"]:
                languages = "english"
            if entry.get("anchor_share"):
                languages = f"english+{languages}"
            role = "control" if entry.get("match_updates_of") else self.study["roles"][name]
            role = "baseline" if entry.get("mask_column") else role
            translated = bool(entry.get("translated"))
            arms[name] = ArmFacts(tuple(sorted(tasks)), languages, bool(mlm), translated, role)
        return arms

    @cached_property
    def targets(self) -> dict[str, str]:
        """Task of XTREME → the first target of the study that scores it, as far as the run has come."""
        named = [(self.study["tasks"][target], target) for target in self.scored]
        return {task: target for task, target in reversed(named) if task in TARGETS}

    @cached_property
    def trainings(self) -> set[str]:
        """Fingerprints of the run's trainings; none if the folder holds no steps."""
        file = self.folder / STEPS
        steps = read_steps(file)[0].steps if file.is_file() else {}
        return {fingerprint for fingerprint, step in steps.items() if step.kind == "train"}

    @cached_property
    def encoder_kinds(self) -> dict[str, str]:
        """Encoder → its entry in the study: the pretraining seeds of one entry are of one kind."""
        return kinds_of_encoders({name: entry["seeds"] for name, entry in self.plan["study"]["encoders"].items()})

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

    def sources(self, arm: str, encoder: str, replicate: int) -> tuple[str, ...]:
        """Languages of the intermediate training of one cell; raises XstiltsError if the plan has no such cell."""
        shift = INDEPENDENT if self.study["arms"][arm].get("independent") else 0
        drawn = self.plan["sources"][arm].get(f"{encoder}:{replicate + shift}")
        if drawn is None:
            raise self._mixed(f"plan.json has no sources of '{arm}' for replicate {replicate} of '{encoder}'")
        return tuple(drawn)

    def score_table(self, target: str, metric: str = "") -> ScoreTable:
        """The predictions of a target as scores, in its own metric unless another is given; read once."""
        key = target, metric or self.study["metrics"][target]
        if key not in self.score_tables:
            table = read_score_table(self._file(target), self.study["types"][target], key[1])
            for arm, encoder, _ in table.cluster_stats:
                if arm not in (*self.study["arms"], BASELINE) or encoder not in (*self.encoders, ""):
                    raise self._mixed(f"{self._file(target)} has cells of arm '{arm}' and encoder '{encoder}'")
            self.score_tables[key] = table
        return self.score_tables[key]

    def breakdown(self, target: str) -> Iterator[tuple[str, str, int, ScoreTable]]:
        """Column, value, number of examples and scores of each part of a target's examples by its breakdown columns."""
        return breakdown(self._file(target), self.study["types"][target], self.study["metrics"][target])

    def predictions(self, target: str, arm: str, encoder: str = "", replicate: int = 1) -> pa.Table:
        """The predictions of one cell, a row for each example of every language, or XstiltsError if there is none."""
        table = read_predictions(self._file(target))
        for name in ("arm", "encoder", "language"):
            table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
        for name, value in (("arm", arm), ("encoder", encoder), ("replicate", replicate)):
            known = {str(each): each for each in sorted(set(table[name].to_pylist()))}
            value = next(iter(known)) if value == "" else value
            if value not in known.values():
                what = f"the run has no predictions of {name} '{value}' for target '{target}'"
                hint = did_you_mean(str(value), known) or "give one of these"
                raise XstiltsError("unknown-name", what, f"it has {', '.join(known)}", hint)
            table = table.filter(pc.field(name) == value)
        return table

    def examples(
        self, target: str, language: str, ids: Sequence[str] | pa.ChunkedArray | None = None, store: Path | str = ""
    ) -> pa.Table:
        """The examples that a target was scored on in a language, in the schema of its task type.

        ids: the `example_id` of predictions, whose examples are returned in the same order; None: all examples. store:
        where the finished steps are now, if they were moved. Raises XstiltsError for a target or language that the run
        was not scored in, if the store no longer holds the examples, or for an id that none of them has.
        """
        scored = self.study["examples"]
        fingerprint = scored.get(target, {}).get(language)
        if not fingerprint:
            what = f"the run has no examples of '{target}' in '{language}'"
            why = f"it scores {', '.join(scored.get(target) or scored) or 'nothing'}"
            hint = did_you_mean(language, scored[target]) if target in scored else did_you_mean(target, scored)
            raise XstiltsError("unknown-name", what, why, hint or "give one of these")
        place = store or self.study["store"]
        file = Store(place).find(fingerprint, "examples.parquet") if place else None
        if file is None:
            why = f"step {fingerprint[:12]} is not in the store at {place}"
            hint = "give the store's place, or run `xstilts study` again: it prepares what is missing"
            raise XstiltsError("missing-data", f"the examples of '{target}' in '{language}' are gone", why, hint)
        table = pq.read_table(file)
        if ids is None:
            return table
        wanted = ids.to_pylist() if isinstance(ids, pa.ChunkedArray) else list(ids)
        positions = pc.index_in(pa.array(wanted, pa.string()), value_set=table["id"].combine_chunks())
        if positions.null_count:
            absent = wanted[positions.is_null().index(True).as_py()]
            what = f"'{target}' in '{language}' has no example '{absent}'"
            why = f"none of the {len(table):,} examples in step {fingerprint[:12]} has this id"
            raise XstiltsError("inconsistent", what, why, "give ids of predictions of this run, target and language")
        return table.take(positions)

    def _mixed(self, why: str) -> XstiltsError:
        return XstiltsError("not-a-run", f"the predictions in {self.folder} are not those of its plan", why, AGAIN)

    def _file(self, target: str) -> Path:
        return self.folder / self.tables / f"{target}.parquet"


def kinds_of_encoders(seeds: Mapping[str, int]) -> dict[str, str]:
    """The kind of each encoder of a study, from the number of pretraining seeds of each kind.

    >>> kinds_of_encoders({"bert": 1, "tiny": 2})
    {'bert': 'bert', 'tiny-1': 'tiny', 'tiny-2': 'tiny'}
    """
    return {f"{kind}-{i}" if n > 1 else kind: kind for kind, n in seeds.items() for i in range(1, n + 1)}


def read_run(folder: Path) -> Run:
    """The run in a folder; raises XstiltsError if it holds none, one that is not finished, files of several runs, or
    files that are not what the study wrote (`xstilts.runs.verify`)."""
    if not folder.is_dir():
        why = "it is a file" if folder.exists() else "there is no such folder"
        raise XstiltsError("missing-file", f"{folder} is not a run folder", why, "give one, such as runs/pocket")
    if (folder / PLAN).is_file() and not (folder / STUDY).is_file():
        why = "study.json and predictions are written after its last step"
        hint = "wait until it ends (`xstilts watch` shows its progress), or run it again to continue"
        raise XstiltsError("unfinished", f"the study in {folder} is not finished", why, hint)
    run = Run(folder, *(read_json(folder, name) for name in (STUDY, PLAN, CELLS)))
    for kind, names, known, file in (
        ("target", run.study["types"], run.plan["evaluated"], PLAN),
        ("arm", run.study["arms"], run.plan["sources"], PLAN),
        ("target", [cell["target"] for cell in run.budgets], run.study["types"], STUDY),
        ("arm", [cell["arm"] for cell in run.budgets], (*run.study["arms"], BASELINE), STUDY),
    ):
        if absent := [name for name in names if name not in known]:
            why = f"its files are of different runs: {file} does not have the {kind} '{absent[0]}'"
            raise XstiltsError("not-a-run", f"{folder} holds no run that can be read", why, AGAIN)
    require_verified(folder)
    return run
