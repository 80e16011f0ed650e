"""What the files of a run folder must hold to be read as a run; what else they hold is left alone."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from xstilts.languages import MEASURES
from xstilts.tasks.task_types import SCORED

Count = Annotated[int, Field(ge=0)]
Loss = Annotated[float, Field(allow_inf_nan=True)]


class Part(BaseModel):
    """Base of every part: values are what they are, and never a number that is none."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Contrast(Part):
    contrast: str
    left: str
    right: str
    targets: Annotated[list[str], Field(min_length=1)]


class Mixed(Part):
    share: float


class Arm(Part):
    intermediate: str = ""
    languages: str = "english"
    given: list[str] = []
    anchor_share: float = 0.0
    mlm: Mixed | None = None
    translated: str = ""
    independent: bool = False
    mask_column: str = ""


class StudyFacts(Part):
    """`study.json`."""

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
    arms: dict[str, Arm]
    roles: dict[str, Literal["arm", "control", "baseline"]]
    types: dict[str, str]
    tasks: dict[str, str]
    metrics: dict[str, str]
    also: dict[str, list[str]]
    labels_withheld: list[str]

    @model_validator(mode="after")
    def _speaks_of_one_study(self) -> "StudyFacts":
        for target, kind in self.types.items():
            _known("target", (target,), self.tasks, self.metrics, self.also)
            _known(f"type of '{target}'", (kind,), SCORED)
            _known(f"metric of '{target}'", (self.metrics[target], *self.also[target]), SCORED[kind].METRICS)
        _known("arm", self.arms, self.roles)
        _known("measure", (self.measure,), MEASURES)
        for each in (*self.contrasts, *self.controls):
            _known(f"arm of '{each.contrast}'", (each.left, each.right), self.arms)
            _known(
                f"target of '{each.contrast}'", each.targets, [t for t in self.types if t not in self.labels_withheld]
            )
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
    """`plan.json`."""

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
    """What one training was given, and how it went: a loss may be no number, which is how some trainings die."""

    languages: list[str]
    comparison_group: str
    examples: Count
    updates: Count
    tokens: Count
    first_loss: Loss
    loss: Loss
    dev_score: float | None


class Retrieval(Part):
    layer: int
    pooling: str


class Budget(Part):
    """One cell of `cells.json`."""

    target: str
    arm: str
    encoder: str
    replicate: int
    intermediate: Phase | None = None
    training: Phase | None = None
    retrieval: Retrieval | None = None
    attempt: int = 1


class Estimate(Part):
    """One kind of steps in `estimates.json`."""

    kind: str
    steps: Count
    estimated_seconds: float
    measured_seconds: float


class Model(Part):
    name: str


class Translation(Part):
    """One translated split in `translations.json`."""

    label: str
    rows: Count
    kept: Count
    unchanged: Count
    chrf: float | None
    model: Model


RUN = ("study.json", "plan.json", "cells.json")
"""The files without which there is no run."""
SHAPES: dict[str, TypeAdapter[Any]] = {
    **dict(zip(RUN, (TypeAdapter(StudyFacts), TypeAdapter(PlanFacts), TypeAdapter(list[Budget])), strict=True)),
    "estimates.json": TypeAdapter(list[Estimate]),
    "translations.json": TypeAdapter(list[Translation]),
}


def fault(name: str, text: str) -> str:
    """What is wrong with a file's text, in words; "" where it has the shape that its name asks for."""
    try:
        SHAPES[name].validate_json(text)
    except ValidationError as error:
        return told(error)
    return ""


def told(error: ValidationError) -> str:
    """The first mistake, and where it is."""
    first = error.errors()[0]
    return ": ".join(
        [*([".".join(map(str, first["loc"]))] if first["loc"] else []), first["msg"].removeprefix("Value error, ")]
    )


def _known(what: str, names: Any, *among: Any) -> None:
    for name in names:
        if any(name not in one for one in among):
            raise ValueError(f"{what}: nothing is known of '{name}'")
