"""What a study file may contain. docs/studies.md explains every setting.

Rules about one entry are validators here; `xstilts.config.cross_checks` has those about several entries. Names of other
entries are checked if the validation context maps each kind of entry ("task", "arm", …) to the known names.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from xstilts.config.messages import reject, unknown
from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.tasks.data_source import Entry
from xstilts.tasks.task import Task

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Selected = Literal["near", "far", "diverse", "random", "stratified", "same-script", "other-script", "predicted"]
Strategy = Literal["english", Selected, "all", "held-out", "given"]
Measured = Literal["syntax", "syntax-knn", "phonology", "inventory", "genetic", "geographic", "lang2vec"]
Checkpoint = Literal["best", "last", "average"]
Names = Mapping[str, Collection[str]]
"""The names of the entries of each kind: the validation context, or empty if names are not checked."""


def _check(messages: Callable[[str, Names], Iterable[str]]) -> AfterValidator:
    """A validator that rejects a text with all messages about it."""

    def check(text: str, info: ValidationInfo) -> str:
        reject(("", message) for message in messages(text, info.context or {}))
        return text

    return AfterValidator(check)


def _reference(kind: str) -> AfterValidator:
    return _check(lambda name, names: unknown(name, names[kind], kind) if name and kind in names else ())


def _language_messages(code: str, names: Names) -> Iterator[str]:
    try:
        preferred = language(code).code
    except XstiltsError as error:
        yield f"{error.what}; {error.hint}"
    else:
        if preferred != code:
            yield f"write '{preferred}' instead of '{code}'"


def _name_messages(name: str, names: Names) -> Iterator[str]:
    if name == "baseline":
        yield "the name 'baseline' is reserved for the trivial baseline next to every score"
    if not name.strip() or name.startswith(".") or "/" in name or "," in name or {"-", "on"} & set(name.split()):
        yield "a name is part of contrasts and file names: no '/', ',', ' - ' or ' on ', and no '.' in front"


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


def _check_unique(names: tuple[str, ...]) -> tuple[str, ...]:
    reject((name, f"names '{name}' twice") for name in dict.fromkeys(names) if names.count(name) > 1)
    return names


TaskName = Annotated[str, _reference("task")]
TrainingName = Annotated[str, _reference("intermediate training")]
TranslatorName = Annotated[str, _reference("translator")]
ArmName = Annotated[str, _reference("arm")]
EntryName = Annotated[str, _check(_name_messages)]
ContrastText = Annotated[str, _check(_contrast_messages)]
LanguageCode = Annotated[str, _check(_language_messages)]
LanguageCodes = Annotated[tuple[LanguageCode, ...], AfterValidator(_check_unique)]
TargetNames = Annotated[tuple[Annotated[str, _reference("target")], ...], AfterValidator(_check_unique)]
Rules = list[tuple[bool, str, str]]
"""Whether a rule is broken, the setting that is wrong ("" is the whole entry), and the message."""


class Checked(Entry):
    """An entry with rules about several of its settings."""

    def rules(self) -> Rules:
        """The rules, broken or not."""
        return []

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        reject((setting, message) for broken, setting, message in self.rules() if broken)
        return self


class Recipe(Entry):
    """How the optimizer updates weights; see `xstilts.training.schedule.Recipe`."""

    learning_rate: Annotated[float, Field(gt=0)]
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    beta2: Share = 0.999
    clip: Annotated[float, Field(gt=0)] = 1.0
    micro_tokens: Positive | None = None
    gradient_checkpointing: bool = False


class Vocabulary(Entry):
    """A tokenizer trained on the corpus: whole words, or byte-pair sub-words with a limited alphabet."""

    model: Literal["words", "bpe"]
    size: Positive
    alphabet: Positive = 1000
    segments: bool = False


class Pretraining(Entry):
    """Masked language modelling from random weights on the text of all languages of the study."""

    corpus: TaskName
    config: dict[str, Any]
    vocabulary: Vocabulary
    updates: Positive
    batch_size: Positive
    masked: PositiveShare = 0.15
    exponent: Share = 1.0
    max_length: Positive
    recipe: Recipe


class Encoder(Checked):
    """An encoder: loaded from a folder or a hub repository, or pretrained here `seeds` times.

    config: settings that replace those of the loaded model's configuration, such as its dropout.
    """

    load: str = ""
    revision: str = ""
    config: dict[str, Any] = {}
    pretrain: Pretraining | None = None
    seeds: Positive = 1

    def rules(self) -> Rules:
        return [
            (bool(self.load) == bool(self.pretrain), "", "give either `load` or `pretrain`"),
            (bool(self.config and self.pretrain), "config", "is for a loaded encoder: `pretrain` has its own `config`"),
        ]


class Translator(Entry):
    """A sequence-to-sequence model from a folder or a hub repository; `back` names one for the other direction."""

    load: Annotated[str, Field(min_length=1)]
    revision: str = ""
    back: TranslatorName = ""
    beams: Positive = 4
    max_length: Positive = 256
    batch_tokens: Positive | None = None


class Lora(Entry):
    """Low-rank adapters that are trained instead of the encoder's weights; see `xstilts.models.lora`."""

    rank: Positive = 8
    alpha: Positive = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Training(Checked):
    """One fine-tuning: on one task, or as an intermediate phase on a `mixture` of other intermediate trainings.

    A mixture takes task, examples, epochs, class weights and splits from its parts; its own `examples` is the number
    drawn from all parts together, by the shares that `sampling` gives, see `xstilts.training.budget.shares`.
    """

    task: TaskName = ""
    mixture: dict[TrainingName, Annotated[float, Field(gt=0)]] = {}
    sampling: Literal["proportional", "temperature", "uniform", "capped"] = "proportional"
    temperature: Annotated[float, Field(ge=1)] = 2.0
    cap: Positive = 2**16
    examples: Positive | None = None
    epochs: Positive = 3
    batch_size: Positive = 32
    recipe: Recipe
    lora: Lora | None = None
    class_weights: Literal["balanced"] | None = None
    checkpoint: Checkpoint | None = None
    evaluate_every: Annotated[int, Field(ge=0)] = 0
    train: str = "train"
    dev: str = "validation"

    def rules(self) -> Rules:
        given = sorted(self.model_fields_set)
        if not self.mixture:
            alone = (name for name in given if name in ("sampling", "temperature", "cap"))
            return [(True, name, "needs `mixture`: it says how several trainings are mixed") for name in alone]
        of_parts = (name for name in given if name in ("task", "epochs", "class_weights", "train", "dev"))
        return [
            *((True, name, "is a setting of the parts of a mixture, not of the mixture") for name in of_parts),
            ("temperature" in given and self.sampling != "temperature", "temperature", "needs `sampling: temperature`"),
            ("cap" in given and self.sampling != "capped", "cap", "needs `sampling: capped`"),
            (len(self.mixture) == 1, "mixture", "has one part: name that training in the arm, or add another part"),
        ]


class Target(Checked):
    """A task that is scored in all languages: after training in the anchor language, or by retrieval.

    after: another target, after whose training the encoder of a retrieval is scored, not before. arms: those that have
    this target; all if empty.
    """

    task: TaskName = ""
    training: Training | None = None
    arms: Annotated[tuple[ArmName, ...], AfterValidator(_check_unique)] = ()
    after: Annotated[str, _reference("target")] = ""
    test: str = "test"
    labels_withheld: bool = False
    oracle: str = ""
    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()
    pooling: Literal["mean", "cls"] = "mean"
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

    replicates: the most that the arm has, if the study has more. translate_train: the translator of the targets'
    training examples into held-out languages. shots: the split of labelled examples in held-out languages that are
    added to the targets' trainings. Arms with either are not zero-shot.
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
    pivot: Annotated[str, _check(lambda code, names: _language_messages(code, names) if code else ())] = ""
    scores: str = ""
    translate_train: TranslatorName = ""
    shots: str = ""

    def rules(self) -> Rules:
        changed = {name for name, field in Arm.model_fields.items() if getattr(self, name) != field.default}
        if not self.intermediate:
            of_targets = {"mask_column", "match_updates_of", "translate_train", "shots"}
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

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    question: str
    seed: int = 0
    replicates: Positive
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
        return [(not self.primary, "primary", "must name at least 1 target")]

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
