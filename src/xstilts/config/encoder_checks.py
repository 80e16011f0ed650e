"""Mistakes in the encoders of a study: configurations that no model can have, tasks that they cannot be trained on."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xstilts.config.messages import Mistake, Place
from xstilts.config.schema import Study
from xstilts.config.trainings import Encoder, Training
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.models.published import published
from xstilts.tasks.task import Task

Tasks = Mapping[str, Task]
WITH_ALL_HEADS = ("bert", "roberta", "xlm-roberta", "deberta-v2", "modernbert", "rembert")
"""Common model types with a head for every task type, so that most studies load without torch."""
WITH_LORA = ("bert", "deberta-v2", "roberta", "xlm-roberta")
"""Common model types whose layers peft knows, so that most studies load without it."""
WITH_POSITIONS = {"bert": 512, "rembert": 512, "deberta-v2": 512, "roberta": 512, "xlm-roberta": 512}
"""Model types with a vector for each position, and how many positions `transformers` gives those that do not say."""
FROM_PADDING = ("roberta", "xlm-roberta")
"""Model types that count positions from behind the id of padding."""
COMMON_ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu")
"""Activations that all versions of transformers have, so that most studies load without torch."""
SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings",
    "vocab_size", "type_vocab_size", "embedding_size",
)  # fmt: skip
LARGEST_SIZE = 10_000_000


def encoder_mistakes(place: Place, encoder: Encoder, study: Study, tasks: Tasks) -> Iterator[Mistake]:
    """All mistakes of an encoder of a study; `tasks` are the catalogue's and the study's own, by name."""
    if encoder.pretrain:
        yield from corpus_mistakes((*place, "pretrain", "corpus"), encoder.pretrain.corpus, tasks)
        config: dict[str, Any] = {"pad_token_id": 0, **encoder.pretrain.config}  # the id in vocabularies of a study
        below: Place = (*place, "pretrain", "config")
    else:
        config, below = {}, (*place, "config")
        if (file := Path(encoder.load, "config.json")).is_file():
            try:
                config = _read_object(file)
            except (OSError, ValueError, RecursionError) as error:
                yield (*place, "load"), f"{file} is no JSON object: {str(error)[:100]}"
                return
        else:
            facts = published(encoder.load)
            config = {"model_type": facts.model}
            if mixed := [name for name, arm in study.arms.items() if arm.mlm and not facts.mlm]:
                yield place, f"its files lack the head of masked language modelling, which arm '{mixed[0]}' trains"
        config = config | encoder.config
    trainings = [*study.intermediate.values(), *(target.training for target in study.targets.values())]
    adapters = [training.lora for training in trainings if training]
    adapters += [arm.target_training.lora for arm in study.arms.values()]
    shape = list(_shape_mistakes(below, config))
    yield from shape
    yield from _activation_mistakes(below, config)
    if not shape:
        yield from _length_mistakes(place, encoder, config, study, tasks)
    model_type = config.get("model_type", "")
    if model_type and model_type not in WITH_LORA and any(adapters):
        from xstilts.models.lora import adapted_layers  # imports torch, as below

        try:
            adapted_layers(str(model_type))
        except XstiltsError as error:
            if error.kind == "unsupported":  # a machine without peft can plan for others
                yield place, f"{error.what}: {error.why}"
    if model_type and model_type not in WITH_ALL_HEADS:
        from xstilts.models.encoders import missing_heads  # imports torch, which takes seconds

        types = {tasks[training.task].type for training in trainings if training and training.task in tasks}
        types |= {"mlm"} if encoder.pretrain else set()
        for kind in missing_heads(str(model_type), sorted(types)):
            yield place, f"transformers has no head for tasks of type {kind} on a '{model_type}' model"


def corpus_mistakes(place: Place, name: str, tasks: Tasks) -> Iterator[Mistake]:
    """The mistake of a corpus that is no raw text."""
    if name in tasks and tasks[name].type != "mlm":
        yield place, f"is a task of type {tasks[name].type}; raw text is of type mlm"


def _read_object(file: Path) -> dict[str, Any]:
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    return content


def _shape_mistakes(place: Place, config: Mapping[str, Any]) -> Iterator[Mistake]:
    """Settings of a configuration of `transformers` that no model can have; their places are below `place`."""
    if not isinstance(config.get("model_type", ""), str):
        yield (*place, "model_type"), "must be text: the type of a model in transformers, such as bert"
    wrong = False
    for name in SIZES:
        if (size := config.get(name)) is None:
            continue
        # transformers writes 0 for a model without segments
        if type(size) is not int or not (name != "type_vocab_size") <= size <= LARGEST_SIZE:
            yield (*place, name), f"must be a whole number from 1 to {LARGEST_SIZE:,}, found {size!r:.60}"
            wrong = True
    for name, value in config.items():
        share = name.endswith(("dropout", "dropout_prob")) and value is not None
        if share and (type(value) not in (int, float) or not 0 <= value < 1):
            yield (*place, name), f"must be a share of at least 0 and less than 1, found {value!r:.60}"
    width, heads = config.get("hidden_size"), config.get("num_attention_heads")
    if not wrong and width and heads and width % heads and "head_dim" not in config:
        yield (*place, "num_attention_heads"), f"must divide hidden_size, {width:,}, found {heads:,}"


def _activation_mistakes(place: Place, config: Mapping[str, Any]) -> Iterator[Mistake]:
    for name in ("hidden_act", "hidden_activation"):
        if (activation := config.get(name)) is None or activation in COMMON_ACTIVATIONS:
            continue
        from transformers.activations import ACT2FN  # imports torch

        if not isinstance(activation, str) or activation not in ACT2FN:
            near = did_you_mean(str(activation), sorted(ACT2FN)) or f"it has {', '.join(sorted(ACT2FN))}"
            yield (*place, name), f"transformers has no activation {activation!r:.60}; {near}"


def _length_mistakes(
    place: Place, encoder: Encoder, config: Mapping[str, Any], study: Study, tasks: Tasks
) -> Iterator[Mistake]:
    """Lengths of the study's tasks in tokens that are more than the encoder has positions, if that is known."""
    model_type = config.get("model_type", "")
    known = encoder.pretrain or "max_position_embeddings" in config
    if not known or model_type not in WITH_POSITIONS or not config.get("position_biased_input", True):
        return
    positions = config.get("max_position_embeddings", WITH_POSITIONS[model_type])
    if model_type in FROM_PADDING:
        padding = config.get("pad_token_id", 1)
        positions -= 1 + (padding if type(padding) is int else 1)
    if encoder.pretrain and encoder.pretrain.max_length > positions:
        at = (*place, "pretrain", "max_length")
        yield at, f"is more than the {positions:,} positions of the encoder, found {encoder.pretrain.max_length:,}"
    entries: list[Training | None] = [*study.intermediate.values()]
    entries += [target.training for target in study.targets.values()]
    names = {entry.task for entry in entries if entry} | {target.task for target in study.targets.values()}
    names |= {arm.mlm.corpus for arm in study.arms.values() if arm.mlm}
    for task in (tasks[name] for name in sorted(names) if name in tasks):
        if task.max_length > positions:
            what = f"reads {positions:,} tokens, fewer than the `max_length` of task '{task.name}'"
            yield place, f"{what}, {task.max_length:,}: lower that, or give the encoder more positions"
