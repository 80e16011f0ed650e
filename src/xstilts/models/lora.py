"""LoRA, low-rank adapters on a frozen encoder (Hu et al. 2022, arxiv.org/abs/2106.09685), from the library `peft`.

During a training the adapted layers are those of `peft`; inside `adapters_merged` the model is an ordinary one, whose
weights contain what the adapters learned.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from xstilts.errors import XstiltsError

ADAPTER = "default"
"""The name of the one adapter that each adapted layer has."""


def adapted_layers(model_type: str) -> list[str]:
    """The names of the layers that get adapters in an encoder of that type: those of the queries and values.

    Raises XstiltsError if `peft` is not installed or knows no such layers of the type.

    >>> adapted_layers("xlm-roberta")
    ['query', 'value']
    """
    try:
        from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as LAYERS
    except ImportError as error:
        hint = "install it: pip install 'xstilts[lora]'"
        raise XstiltsError("missing-package", "`lora` needs the package peft", str(error), hint) from None
    if model_type not in LAYERS:
        why = "peft does not know which layers of this type hold queries and values"
        hint = "leave out `lora`, or use an encoder of type bert, deberta-v2, electra, roberta or xlm-roberta"
        raise XstiltsError("unsupported", f"`lora` does not support a '{model_type}' model", why, hint)
    return list(LAYERS[model_type])


def add_adapters(model: Any, rank: int, alpha: int, dropout: float, seed: int) -> None:
    """Freezes the encoder of `model`, in place, and adds adapters to it; heads and the pooler stay trainable.

    rank: of the product that is added to a weight; alpha: the product counts times alpha / rank; dropout: on the input
    of the adapters. The second factor starts at 0, so that the model computes what it did. Raises XstiltsError as
    `adapted_layers` does.
    """
    base = model.base_model
    layers = adapted_layers(base.config.model_type)
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=layers)
    inject_adapter_in_model(config, base, ADAPTER)
    if getattr(base, "pooler", None) is not None:  # it is part of the head: fresh, or from another task
        base.pooler.requires_grad_(True)


@contextmanager
def adapters_merged(model: Any) -> Iterator[None]:
    """Replaces each adapted layer inside the context by the ordinary one with the weight W + alpha / rank · B A.

    After the context, adapters and frozen weights are what they were, bit by bit.
    """
    from peft.tuners.lora import LoraLayer

    adapted = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, LoraLayer)]
    frozen = {name: layer.get_base_layer().weight for name, layer in adapted}
    for name, layer in adapted:
        plain = layer.get_base_layer()
        plain.weight = torch.nn.Parameter(frozen[name] + layer.get_delta_weight(ADAPTER).detach())
        model.set_submodule(name, plain)
    try:
        yield
    finally:
        for name, layer in adapted:
            layer.get_base_layer().weight = frozen[name]
            model.set_submodule(name, layer)
