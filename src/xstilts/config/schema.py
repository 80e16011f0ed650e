"""What a study file may contain: targets, arms, languages, contrasts. docs/studies.md explains every setting.

Rules about one entry are validators here; `xstilts.config.cross_checks` has those about several entries.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from xstilts.config.fields import (
    ArmName,
    Checked,
    FilePath,
    LanguageCode,
    LanguageCodes,
    Names,
    Positive,
    PositiveShare,
    Rules,
    TargetNames,
    TaskName,
    TrainingName,
    TranslatorName,
    check_unique,
    checked,
    language_messages,
    reference,
)
from xstilts.config.messages import unknown
from xstilts.config.trainings import Checkpoint, Encoder, TargetTraining, Training, Translator
from xstilts.tasks.data_source import Entry
from xstilts.tasks.task import Task

Selected = Literal["near", "far", "diverse", "random", "stratified", "same-script", "other-script", "predicted"]
Strategy = Literal["english", Selected, "all", "held-out", "given"]
Measured = Literal["syntax", "syntax-knn", "phonology", "inventory", "genetic", "geographic", "lang2vec"]


LONGEST_ENTRY = 200
"""Bytes of the name of an arm or target: a file's name has at most 255, and endings are added to it."""
MOST_CELLS = 100_000
"""Scores of a study that are planned: targets times arms, replicates and encoders."""


def _name_messages(name: str, names: Names) -> Iterator[str]:
    if name == "baseline":
        yield "the name 'baseline' is reserved for the trivial baseline next to every score"
    if not name.strip() or name.startswith(".") or "/" in name or "," in name or {"-", "on"} & set(name.split()):
        yield "a name is part of contrasts and file names: no '/', ',', ' - ' or ' on ', and no '.' in front"
    elif not name.isprintable() or "\\" in name:
        yield "a name is part of file names: no line breaks, tabs, control characters or backslashes"
    if len(name.encode()) > LONGEST_ENTRY:
        yield f"a name is part of file names: at most {LONGEST_ENTRY} bytes"


def _contrast_messages(text: str, names: Names) -> Iterator[str]:
    if " - " not in text:
        yield f"a contrast is written `arm - other arm`, found '{text}'"
        return
    contrast = parse_contrast(text, ())
    if contrast.left == contrast.right:
        yield "compares an arm with itself"
    if len(set(contrast.targets)) < len(contrast.targets):
        yield "names a target twice"
    for kind, named in (("arm", (contrast.left, contrast.right)), ("target", contrast.targets)):
        for name in named if kind in names else ():
            yield from unknown(name, names[kind], kind)


EntryName = Annotated[str, checked(_name_messages)]
ContrastText = Annotated[str, checked(_contrast_messages)]


class Target(Checked):
    """A task that is scored in all languages: after training in the anchor language, or by retrieval.

    after: another target, after whose training the encoder of a retrieval is scored, not before. arms: those that have
    this target; all if empty.
    """

    task: TaskName = ""
    training: Training | None = None
    arms: Annotated[tuple[ArmName, ...], AfterValidator(check_unique)] = ()
    after: Annotated[str, reference("target", optional=True)] = ""
    test: str = "test"
    labels_withheld: bool = False
    oracle: str = ""
    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()
    pooling: Literal["mean", "cls"] = "mean"
    query_prefix: str = ""
    candidate_prefix: str = ""
    dev: str = ""

    def rules(self) -> Rules:
        scored = f"is the split '{self.test}' that is scored: a choice on it would make the score too high"
        mixed, oracle = bool(self.training and self.training.mixture), bool(self.oracle)
        return [
            (mixed, "training", "has a `mixture`, but a target trains on one task"),
            (len(self.layers) > 1 and not self.dev, "layers", "needs `dev`, the split to choose one of them on"),
            (self.dev == self.test, "dev", scored),
            (self.oracle == self.test, "oracle", scored),
            (oracle and not self.training, "oracle", "needs `training`: it chooses among the weights of a training"),
            (bool(self.after and self.training), "after", "is for retrieval: this target has a `training` of its own"),
            (oracle and self.labels_withheld, "oracle", "has no use if the labels of the test split are withheld"),
        ]


class MixedText(Entry):
    """Masked language modelling on raw text in a `share` of an arm's updates; 1 leaves out the arm's task."""

    corpus: TaskName
    share: PositiveShare
    languages: Literal["sources", "pool"] = "pool"
    masked: PositiveShare = 0.15


class Arm(Checked):
    """What happens between the encoder and the target task: an intermediate training and its languages, or nothing.

    replicates: the most that the arm has, if the study has more.
    """

    intermediate: TrainingName = ""
    languages: Strategy = "english"
    given: LanguageCodes = ()
    count: Positive = 1
    exact: bool = False
    replicates: Positive | None = None
    role: Literal["arm", "control", "baseline"] = "arm"
    independent: bool = False
    mask_column: str = ""
    match_updates_of: ArmName = ""
    anchor_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mlm: MixedText | None = None
    translated: TranslatorName = ""
    pivot: Annotated[str, checked(lambda code, names: language_messages(code, names) if code else ())] = ""
    scores: FilePath = ""
    target_training: TargetTraining = TargetTraining()

    def rules(self) -> Rules:
        changed = {name for name, field in Arm.model_fields.items() if getattr(self, name) != field.default}
        if not self.intermediate:
            of_targets = {"mask_column", "match_updates_of", "target_training"}
            idle = sorted(changed - of_targets - {"replicates", "role", "independent"})
            return [(True, name, "needs `intermediate`, the training that it changes") for name in idle]
        fixed = sorted(changed & {"count", "exact"}) if self.languages in ("english", "all", "given") else ()
        no_effect = f"has no effect with `languages: {self.languages}`; a null removes an inherited setting"
        translated, pivot, english = bool(self.translated), bool(self.pivot), self.languages == "english"
        text_only = self.mlm is not None and self.mlm.share == 1
        return [
            (bool(self.match_updates_of), "match_updates_of", "is for arms without `intermediate`: others are as long"),
            ((self.languages == "given") != bool(self.given), "given", "goes with `languages: given`"),
            ((self.languages == "predicted") != bool(self.scores), "scores", "goes with `languages: predicted`"),
            *((True, name, no_effect) for name in fixed),
            (self.anchor_share > 0 and english, "anchor_share", "needs `languages`: those of the other examples"),
            (translated and text_only, "translated", "has no effect with `mlm.share: 1`, which leaves out the task"),
            (translated and english and not pivot, "translated", "needs `languages` to translate into, or a `pivot`"),
            (pivot and not translated, "pivot", "needs `translated`: the translator into that language and back"),
            (pivot and not english, "pivot", "gives text in the anchor language: leave out `languages`"),
        ]


class Languages(Entry):
    """How languages are split into a pool of sources and held-out ones, before anything is trained."""

    anchor: LanguageCode = "en"
    candidates: LanguageCodes = ()
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.5
    always_held_out: LanguageCodes = ()
    never_held_out: LanguageCodes = ()
    minimum: Positive = 5


class Study(Checked):
    """A study: encoders, intermediate trainings, arms, targets, replicates, and contrasts declared before the run."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=LONGEST_ENTRY)]
    question: str
    seed: int = 0
    replicates: Annotated[int, Field(gt=0, le=10_000)]
    equivalence: Annotated[float, Field(gt=0)] = 0.5
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint: Checkpoint = "best"
    languages: Languages = Languages()
    data_source: Literal["hub", "xtreme", "files"] = "hub"
    measure: Measured = "syntax"
    tasks: dict[str, Task] = {}
    encoders: dict[str, Encoder]
    translators: dict[str, Translator] = {}
    intermediate: dict[str, Training] = {}
    arms: dict[EntryName, Arm]
    targets: dict[EntryName, Target]
    primary: TargetNames
    contrasts: tuple[ContrastText, ...]
    controls: tuple[ContrastText, ...] = ()

    def rules(self) -> Rules:
        encoders = sum(encoder.seeds for encoder in self.encoders.values())
        cells = encoders * self.replicates * len(self.arms) * len(self.targets)
        many = f"make {cells:,} scores with all encoders, arms and targets; a study has at most {MOST_CELLS:,}"
        return [
            (not self.primary, "primary", "must name at least 1 target"),
            (cells > MOST_CELLS, "replicates", many),
        ]

    def targets_of(self, arm: str) -> dict[str, Target]:
        """The targets that an arm has."""
        return {name: target for name, target in self.targets.items() if not target.arms or arm in target.arms}


class Contrast(Entry):
    """`left` is judged against `right` on the mean of `targets`."""

    contrast: str
    left: str
    right: str
    targets: tuple[str, ...]


def parse_contrast(text: str, primary: tuple[str, ...]) -> Contrast:
    """Parse `far - english`, or `far - english on xnli, pawsx`; without targets the primary ones are meant.

    >>> contrast = parse_contrast("far - english", ("xnli", "pawsx"))
    >>> contrast.left, contrast.right, contrast.targets
    ('far', 'english', ('xnli', 'pawsx'))
    """
    arms, _, targets = text.partition(" on ")
    left, _, right = arms.partition(" - ")
    named = tuple(target.strip() for target in targets.split(",") if target.strip())
    return Contrast(contrast=text, left=left.strip(), right=right.strip(), targets=named or primary)
