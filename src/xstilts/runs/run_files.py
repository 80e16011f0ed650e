"""The schema of a run folder: the name of every file, the model of its content, and how it is written and read."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from xstilts.config.schema import Contrast
from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.languages import MEASURES
from xstilts.tasks.task_types import SCORED

STUDY, PLAN, CELLS = "study.json", "plan.json", "cells.json"
"""The design, the frozen plan, and what each scored cell was trained on: without these there is no run."""
STEPS, EVENTS = "steps.jsonl", "events.jsonl"
"""The plan step by step, and the log of what happened."""
LEFT_OUT, TRANSLATIONS, ESTIMATES = "left-out.json", "translations.json", "estimates.json"
"""Examples that no step uses, the quality of translations, and estimated next to measured seconds."""
SUBWORDS, FEATURES = "subwords.json", "transfer-features.json"
"""Features of languages: measured by the study itself, and measured or written by hand for `transfer rank`."""
CHECKSUMS = "checksums.json"
"""The SHA-256 of every file that results are computed from."""
PREDICTIONS, AFTER_RETRY, BY_ORACLE = "predictions", "predictions-after-retry", "predictions-by-oracle"
"""Folders of tables of predictions, one file a target."""
ANALYSIS, REPORT, TABLES, CHARTS, PAPER = "analysis.json", "report.html", "tables.csv", "charts", "paper"
"""What is made from a run and can be made again."""
AGAIN = "run `xstilts study` again: it rewrites the folder from its finished steps"
"""The hint of errors about files that a study writes."""

Numbers = dict[str, Any]
"""Features of languages, as in `LanguageFeatures`."""
Count = Annotated[int, Field(ge=0)]
Loss = Annotated[float, Field(allow_inf_nan=True)]


class Part(BaseModel):
    """Base of every model: no value is converted, no number is NaN or infinite, and other keys are left alone."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Arm(Part):
    intermediate: str = ""
    languages: str = "english"
    given: list[str] = []
    anchor_share: float = 0.0
    mlm: dict[str, Any] | None = None
    translated: str = ""
    independent: bool = False
    mask_column: str = ""


class StudyFacts(Part):
    """The design, as analysis and report need it, and where to find what the predictions were made from.

    `artificial` names the targets in artificial languages; `licences` are those of the tasks' data. `store` is the
    folder or URL of finished steps; `examples` and `encoder_steps` are fingerprints in it: of the examples of a target
    in a language, and of the step that fetched or pretrained an encoder.
    """

    name: str
    question: str
    seed: int
    equivalence: Annotated[float, Field(gt=0)]
    level: Annotated[float, Field(gt=0, lt=1)]
    measure: str
    primary: list[str]
    contrasts: list[Contrast]
    controls: list[Contrast]
    confounded: list[str] = []
    artificial: list[str] = []
    arms: dict[str, Arm]
    roles: dict[str, Literal["arm", "control", "baseline"]]
    types: dict[str, str]
    tasks: dict[str, str]
    metrics: dict[str, str]
    licences: dict[str, str] = {}
    also: dict[str, list[str]]
    labels_withheld: list[str]
    store: str
    examples: dict[str, dict[str, str]]
    encoder_steps: dict[str, str]

    @model_validator(mode="after")
    def _names_are_defined(self) -> "StudyFacts":
        for target, kind in self.types.items():
            _known("target", (target,), self.tasks, self.metrics, self.also)
            _known(f"type of '{target}'", (kind,), SCORED)
            _known(f"metric of '{target}'", (self.metrics[target], *self.also[target]), SCORED[kind].METRICS)
        _known("arm", self.arms, self.roles)
        _known("measure", (self.measure,), MEASURES)
        scored = [target for target in self.types if target not in self.labels_withheld]
        for contrast in (*self.contrasts, *self.controls):
            _known(f"arm of '{contrast.contrast}'", (contrast.left, contrast.right), self.arms)
            _known(f"target of '{contrast.contrast}'", contrast.targets, scored)
        return self


class Encoder(Part):
    load: str
    seeds: Annotated[int, Field(gt=0)]


class Intermediate(Part):
    task: str = ""
    mixture: dict[str, float] | None = None


class Languages(Part):
    anchor: str


class Settings(Part):
    encoders: Annotated[dict[str, Encoder], Field(min_length=1)]
    intermediate: dict[str, Intermediate]
    languages: Languages


class PlanFacts(Part):
    """All that was decided before the first step, with a hash of it."""

    study: Settings
    hash: str
    device: str
    precision: str
    pool: list[str]
    held_out: list[str]
    excluded: dict[str, str]
    distances: dict[str, float | None]
    evaluated: dict[str, list[str]]
    sources: dict[str, dict[str, Annotated[list[str], Field(min_length=1)]]]
    warnings: list[str]
    steps: list[str]


class Phase(Part):
    """What one training had, and how it went; the loss of a training that diverged is NaN or infinite.

    curve: pairs of the number of updates and the mean loss since the pair before.
    """

    languages: list[str]
    comparison_group: str
    examples: Count
    updates: Count
    tokens: Count
    first_loss: Loss
    loss: Loss
    curve: list[tuple[Count, Loss]] = []
    dev_score: float | None


class Retrieval(Part):
    layer: int
    pooling: str


class Budget(Part):
    """One scored cell."""

    target: str
    arm: str
    encoder: str
    replicate: int
    intermediate: Phase | None = None
    training: Phase | None = None
    retrieval: Retrieval | None = None
    attempt: int = 1


class Estimate(Part):
    """All steps of one kind that were run."""

    kind: str
    steps: Count
    estimated_seconds: float
    measured_seconds: float


class Prepared(Part):
    """Which examples a step prepared or translated; `translator` is "" for examples as they are."""

    label: str
    step: str
    task: str
    split: str
    language: str
    translator: str


class Problem(Part):
    unit: str
    line: Count
    found: str


class LeftOut(Prepared):
    """The examples that a step left out: how many lack a gold label, and each that cannot be used."""

    unlabelled: Count
    problems: list[Problem]


class Model(Part):
    name: str


class Translation(Prepared):
    rows: Count
    kept: Count
    unchanged: Count
    chrf: float | None
    model: Model


class LanguageFeatures(Part):
    """{encoder: {language: number}}; of overlap {encoder: {language: {language: number}}}, of logme and h_score
    {encoder: {task: {language: number}}}."""

    model_config = ConfigDict(extra="forbid")

    fertility: dict[str, dict[str, float]] = {}
    log_size: dict[str, dict[str, float]] = {}
    overlap: dict[str, dict[str, dict[str, float]]] = {}
    logme: dict[str, dict[str, dict[str, float]]] = {}
    h_score: dict[str, dict[str, dict[str, float]]] = {}


FILES: dict[str, TypeAdapter[Any]] = {
    STUDY: TypeAdapter(StudyFacts),
    PLAN: TypeAdapter(PlanFacts),
    CELLS: TypeAdapter(list[Budget]),
    ESTIMATES: TypeAdapter(list[Estimate]),
    TRANSLATIONS: TypeAdapter(list[Translation]),
    LEFT_OUT: TypeAdapter(list[LeftOut]),
    SUBWORDS: TypeAdapter(LanguageFeatures),
    FEATURES: TypeAdapter(LanguageFeatures),
}


def write_json(run: Path, name: str, content: Any) -> None:
    """Replace a file of the run folder in one move; processes that write the same folder do not disturb each other."""
    write_atomically(run / name, json.dumps(content, indent=1, ensure_ascii=False))


def write_table(file: Path, table: pa.Table) -> None:
    """Replace a Parquet file in one move."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    write_atomically(file, buffer.getvalue().to_pybytes())


def read_json(run: Path, name: str, default: Any = None) -> Any:
    """The checked content of a JSON file in a run folder; raises XstiltsError if it is not what its model asks for, or
    if it is missing and has no `default`."""
    file = run / name
    if default is not None and not file.exists():
        return default
    try:
        text = file.read_text(encoding="utf-8")
        FILES[name].validate_json(text)
        return json.loads(text)
    except FileNotFoundError:
        hint = "give the folder that `xstilts study` wrote to"
        raise XstiltsError("missing-file", f"{run} is not a run folder", f"{name} is missing", hint) from None
    except ValidationError as error:
        first = error.errors()[0]
        place, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        why = f"{place}: {message}" if place else message
    except (OSError, UnicodeDecodeError) as error:
        why = str(error)
    hint = "correct the file, or remove it and measure again" if name == FEATURES else AGAIN
    raise XstiltsError("not-a-run", f"{file} cannot be read", why, hint)


def _known(what: str, names: Any, *definitions: Any) -> None:
    for name in names:
        if any(name not in known for known in definitions):
            raise ValueError(f"{what}: '{name}' is not defined")


def read_language_features(run: Path) -> Numbers:
    """All features of languages in a run folder; those of `transfer-features.json` go before the study's own."""
    measured, given = (read_json(run, name, {}) for name in (SUBWORDS, FEATURES))
    return {key: {**measured.get(key, {}), **given.get(key, {})} for key in dict.fromkeys([*measured, *given])}
