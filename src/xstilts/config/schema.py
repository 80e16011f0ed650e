"""What a study may say: the shape of its YAML."""

from typing import Annotated, Any, Literal

from pydantic import Field

from xstilts.tasks.data_source import Entry
from xstilts.tasks.task import Task

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Some = Annotated[float, Field(gt=0, le=1)]
"""A share that is not nothing."""
Strategy = Literal[
    "english", "near", "far", "diverse", "random", "stratified", "same-script", "other-script", "predicted", "all",
    "held-out", "given",
]  # fmt: skip
Measured = Literal["syntax", "syntax-knn", "phonology", "inventory", "genetic", "geographic", "lang2vec"]


Checkpoint = Literal["best", "last"]


class Recipe(Entry):
    """How weights are moved; see `xstilts.training.schedule.Recipe`."""

    learning_rate: Annotated[float, Field(gt=0)]
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    beta2: Share = 0.999
    clip: Annotated[float, Field(gt=0)] = 1.0
    micro_tokens: Positive | None = None
    gradient_checkpointing: bool = False


class Vocabulary(Entry):
    """A tokenizer to be made from the corpus: whole words, or byte-pair sub-words with a limited alphabet."""

    model: Literal["words", "bpe"]
    size: Positive
    alphabet: Positive = 1000
    segments: bool = False


class Pretraining(Entry):
    """Masked language modelling from random weights on the text of all languages of the study."""

    corpus: str
    config: dict[str, Any]
    vocabulary: Vocabulary
    updates: Positive
    batch_size: Positive
    masked: Some = 0.15
    exponent: Share = 1.0
    max_length: Positive
    recipe: Recipe


class Encoder(Entry):
    """An encoder: loaded from a folder or a hub repository, or pretrained here `seeds` times."""

    load: str = ""
    revision: str = ""
    pretrain: Pretraining | None = None
    seeds: Positive = 1


class Translator(Entry):
    """A sequence-to-sequence model, from a folder or a hub repository; `back` names the one that translates the other
    way, where it cannot do so itself. `batch_tokens` None is what suits the device."""

    load: Annotated[str, Field(min_length=1)]
    revision: str = ""
    back: str = ""
    beams: Positive = 4
    max_length: Positive = 256
    batch_tokens: Positive | None = None


class Training(Entry):
    """One fine-tuning: how much of a task is trained on, and how. `examples` None takes all there is.

    An intermediate training may mix several others: `mixture` names them with the weights of their losses; `examples`
    is then the number drawn from all together (None: as many as they have, epochs included), and `sampling` says by
    which shares, see `xstilts.training.budget.shares`. Of the parts count task, examples, epochs and splits.

    `checkpoint`, by default the study's, takes the weights that are best on English dev, asked every `evaluate_every` updates
    (0: ten times), or the last ones.
    """

    task: str = ""
    mixture: dict[str, Annotated[float, Field(gt=0)]] = {}
    sampling: Literal["proportional", "temperature", "uniform", "capped"] = "proportional"
    temperature: Annotated[float, Field(ge=1)] = 2.0
    cap: Positive = 2**16
    examples: Positive | None = None
    epochs: Positive = 3
    batch_size: Positive = 32
    recipe: Recipe
    checkpoint: Checkpoint | None = None
    evaluate_every: Annotated[int, Field(ge=0)] = 0
    train: str = "train"
    dev: str = "validation"


class Target(Entry):
    """A task that is scored in all languages: after training in the anchor language, or by retrieval.

    Retrieval compares embeddings: hidden states of one of `layers` (0 is the embedding layer), pooled over the tokens.
    The split `dev` chooses among several layers, in the anchor and pool languages, and where pairs are mined the
    margin from which on they are taken, in each language.

    `labels_withheld` says that the labels of its test split are not given away: predictions are made, for a submission, and
    nothing is scored. `oracle` names the split whose rows in the held-out languages choose weights a second time, which
    are scored beside those that the study keeps: what would be gained if one had target-language dev data.
    """

    task: str = ""
    training: Training | None = None
    test: str = "test"
    labels_withheld: bool = False
    oracle: str = ""
    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()
    pooling: Literal["mean", "cls"] = "mean"
    dev: str = ""


class MixedText(Entry):
    """Masked language modelling on raw text in the place of a `share` of an arm's updates; 1 leaves its task out.

    The text is that of the arm's own languages ('sources'), or of the anchor and all that may be trained on ('pool').
    """

    corpus: str
    share: Some
    languages: Literal["sources", "pool"] = "pool"
    masked: Some = 0.15


class Arm(Entry):
    """What comes between the encoder and the target task: a named intermediate training and its languages.

    Without `intermediate` it is the arm that has no such phase. `count` is the number of source languages; `exact`
    takes the one nearest (farthest, …) set in every replicate in place of a draw; `independent` numbers the
    replicates apart, so that an arm equal to another shares no randomness with it; `mask_column` withholds a text column
    from the target task, for a baseline.

    `anchor_share` of the examples stay in the anchor language, the others are in those of the strategy. `translated`
    names the translator that makes the arm's data from the anchor's; with `pivot`, text of the anchor language is
    translated into that language and back. `scores` is the table that the strategy 'predicted' chooses by.

    `match_updates_of` names an arm by whose intermediate updates the target training of an arm without that phase is
    lengthened: does it matter what the encoder sees, or only for how long?
    """

    intermediate: str = ""
    languages: Strategy = "english"
    given: tuple[str, ...] = ()
    count: Positive = 1
    exact: bool = False
    role: Literal["arm", "control", "baseline"] = "arm"
    independent: bool = False
    mask_column: str = ""
    match_updates_of: str = ""
    anchor_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mlm: MixedText | None = None
    translated: str = ""
    pivot: str = ""
    scores: str = ""


class Languages(Entry):
    """How languages are split, once, before anything is trained.

    `candidates` default to the languages of all targets; `held_out` is the share that is only ever evaluated on;
    `always_held_out` are never a source, `never_held_out` always may be; `minimum` held-out languages are needed per
    target.
    """

    anchor: str = "en"
    candidates: tuple[str, ...] = ()
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.5
    always_held_out: tuple[str, ...] = ()
    never_held_out: tuple[str, ...] = ()
    minimum: Positive = 5


class Study(Entry):
    """A study: encoder, intermediate trainings, arms, targets, replicates and the contrasts declared before the run.

    `equivalence` is half the width of the region of practical equivalence, in points. `primary` names the targets
    whose mean is judged. `data_source` says where the rows of XTREME's tasks come from: the hub, or the benchmark's own
    download folder, given with --data. `measure` is the distance that gains are judged against. A contrast is written
    `far - english`, or `far - english on xnli` for targets of its own. `checkpoint` says which weights trainings leave: the
    best on English dev, or the last.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    question: str
    seed: int = 0
    replicates: Positive
    equivalence: Annotated[float, Field(gt=0)] = 0.5
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint: Checkpoint = "best"
    languages: Languages = Languages()
    data_source: Literal["hub", "xtreme"] = "hub"
    measure: Measured = "syntax"
    tasks: dict[str, Task] = {}
    encoders: dict[str, Encoder]
    translators: dict[str, Translator] = {}
    intermediate: dict[str, Training] = {}
    arms: dict[str, Arm]
    targets: dict[str, Target]
    primary: Annotated[tuple[str, ...], Field(min_length=1)]
    contrasts: tuple[str, ...]
    controls: tuple[str, ...] = ()


class Contrast(Entry):
    """`left` is judged against `right` on the mean of `targets`."""

    contrast: str
    left: str
    right: str
    targets: tuple[str, ...]


def parse_contrast(text: str, primary: tuple[str, ...]) -> Contrast:
    """Reads `far - english`, or `far - english on xnli, pawsx`; without targets the primary ones are meant."""
    arms, _, targets = text.partition(" on ")
    left, _, right = arms.partition(" - ")
    own = tuple(target.strip() for target in targets.split(",") if target.strip())
    return Contrast(contrast=text, left=left.strip(), right=right.strip(), targets=own or primary)
