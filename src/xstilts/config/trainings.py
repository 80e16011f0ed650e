"""What a study file may say of encoders, translators and trainings; docs/studies.md explains every setting."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from xstilts.config.fields import (
    Checked,
    FilePath,
    PartName,
    Positive,
    PositiveShare,
    Rules,
    Share,
    TaskName,
    TranslatorName,
)
from xstilts.tasks.data_source import Entry

Checkpoint = Literal["best", "last", "average"]


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
    size: Annotated[int, Field(gt=0, le=10_000_000)]
    alphabet: Positive = 1000
    segments: bool = False


class Pretraining(Entry):
    """Masked language modelling from random weights on the text of all languages of the study."""

    corpus: TaskName
    config: dict[str, JsonValue]
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

    load: FilePath = ""
    revision: str = ""
    config: dict[str, JsonValue] = {}
    pretrain: Pretraining | None = None
    seeds: Annotated[int, Field(gt=0, le=1000)] = 1

    def rules(self) -> Rules:
        return [
            (bool(self.load) == bool(self.pretrain), "", "give either `load` or `pretrain`"),
            (bool(self.config and self.pretrain), "config", "is for a loaded encoder: `pretrain` has its own `config`"),
        ]


class Translator(Entry):
    """A sequence-to-sequence model from a folder or a hub repository; `back` names one for the other direction."""

    load: Annotated[FilePath, Field(min_length=1)]
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
    mixture: dict[PartName, Annotated[float, Field(gt=0)]] = {}
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


class TargetTraining(Entry):
    """What an arm changes in the trainings of its targets, which every other arm has as the targets say.

    translated: the translator of training examples into held-out languages; shots: the split of labelled examples in
    held-out languages that are added. Arms with either are not zero-shot.
    """

    translated: TranslatorName = ""
    shots: str = ""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    lora: Lora | None = None
    class_weights: Literal["balanced"] | None = None
    checkpoint: Checkpoint | None = None

    def applied_to(self, training: Training) -> Training:
        """A target's training with these settings."""
        changes: dict[str, Any] = {name: getattr(self, name) for name in ("lora", "class_weights", "checkpoint")}
        if self.learning_rate:
            changes["recipe"] = training.recipe.model_copy(update={"learning_rate": self.learning_rate})
        return training.model_copy(update={name: value for name, value in changes.items() if value})
