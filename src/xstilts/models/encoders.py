"""Encoders, and heads put on them: ordinary `transformers` classes, saved as ordinary folders."""

import hashlib
import logging
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from xstilts.context import Context
from xstilts.errors import XstiltsError
from xstilts.models.heap import keep_memory

logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()

LOADING_ERRORS = (OSError, ValueError, pickle.UnpicklingError, SafetensorError)
"""What `transformers` raises for a folder that is absent, incomplete, corrupt or hostile."""


def load_tokenizer(encoder: str | Path) -> Any:
    """The fast tokenizer of a model or vocabulary folder, or of a hub repository; equal files give one object.

    Raises XstiltsError where there is none.
    """
    files = [Path(encoder) / name for name in ("tokenizer.json", "tokenizer_config.json")]
    content = "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file())
    if content not in _tokenizers or not content:
        try:
            _tokenizers[content] = transformers.AutoTokenizer.from_pretrained(encoder, use_fast=True)
        except (OSError, ValueError) as error:
            raise _cannot_load("tokenizer of", encoder, error) from None
    return _tokenizers[content]


_tokenizers: dict[str, Any] = {}


def fetch(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes an encoder from a local folder or the hub, with its masked-language-model head and its tokenizer.

    arguments: `load` (folder or repository), `revision` (a commit of the repository), `random_weights` (keeps only
    the configuration, as a baseline), `seed` (of those weights), `content` (checksum of a local folder).
    """
    place, revision = arguments["load"], arguments["revision"] or None
    classes = (transformers.AutoConfig, transformers.AutoTokenizer, transformers.AutoModelForMaskedLM)
    try:
        config = classes[0].from_pretrained(place, revision=revision, trust_remote_code=False)
        tokenizer = classes[1].from_pretrained(place, revision=revision, trust_remote_code=False)
        torch.manual_seed(arguments["seed"])
        if arguments["random_weights"]:
            model = classes[2].from_config(config)
        else:
            model = classes[2].from_pretrained(
                place, revision=revision, dtype=torch.float32, trust_remote_code=False, weights_only=True
            )
    except LOADING_ERRORS as error:
        raise _cannot_load("encoder", place, error) from None
    save(model, tokenizer, out)


def new_encoder(config: dict[str, Any], tokenizer: Any, seed: int) -> Any:
    """A masked language model with random weights, from a `transformers` configuration with its `model_type`."""
    names = ("pad", "cls", "sep", "bos", "eos", "mask")
    special = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id", None) for n in names}
    known = {name: value for name, value in special.items() if value is not None and name != "mask_token_id"}
    settings = {**known, "vocab_size": len(tokenizer), **config}
    torch.manual_seed(seed)
    made = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
    return transformers.AutoModelForMaskedLM.from_config(made)


def with_head(encoder: str | Path, auto_class: str, labels: Sequence[str], seed: int, **config: Any) -> Any:
    """The encoder in a folder or on the hub under a fresh head; whatever head it had is left behind.

    Args:
        auto_class: name of a `transformers` auto class; `labels` become `id2label`, and without any the head has
            the two outputs of a span; `seed` draws the head's weights.
        config: further settings of the model's configuration.

    Raises XstiltsError where nothing can be loaded. Remote code is never run; old `.bin` weights are read through
    torch's weights-only loader, by `transformers` itself.
    """
    torch.manual_seed(seed)  # a BERT that was saved without a pooler is given a random one while it loads
    base = load_base(encoder)
    names = labels or ("start", "end")
    settings = {"id2label": dict(enumerate(names)), "label2id": {label: i for i, label in enumerate(names)}, **config}
    for name, value in settings.items():
        setattr(base.config, name, value)
    torch.manual_seed(seed)
    model = getattr(transformers, auto_class).from_config(base.config)
    missing, unexpected = model.base_model.load_state_dict(base.state_dict(), strict=False)
    if any("pooler" not in name for name in [*missing, *unexpected]):
        raise XstiltsError(
            "unsupported",
            f"the encoder in {encoder} does not fit {type(model).__name__}",
            f"missing weights {missing[:3]}, unexpected {unexpected[:3]}",
            "check its configuration",
        )
    return model


def with_mlm_head(encoder: str | Path) -> Any:
    """The encoder under the masked-language-model head that it was pretrained with; raises XstiltsError where it
    cannot be loaded."""
    try:
        return transformers.AutoModelForMaskedLM.from_pretrained(encoder, dtype=torch.float32, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise _cannot_load("encoder", encoder, error) from None


def share_encoder(models: Sequence[Any]) -> None:
    """Puts all heads on one encoder, in place: that of the first model whose head wants a pooler, else of the first."""
    bases = [model.base_model for model in models]
    shared = next((base for base in bases if getattr(base, "pooler", None) is not None), bases[0])
    for model in models:
        setattr(model, model.base_model_prefix, shared)
        model.tie_weights()


def load_base(encoder: str | Path) -> Any:
    """The encoder without a head, in float32; raises XstiltsError where it cannot be loaded."""
    try:
        return transformers.AutoModel.from_pretrained(encoder, dtype=torch.float32, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise _cannot_load("encoder", encoder, error) from None


def _cannot_load(what: str, encoder: str | Path, error: Exception) -> XstiltsError:
    return XstiltsError(
        "network",
        f"cannot load the {what} '{encoder}'",
        str(error).partition("\n")[0],
        "give a folder in the format of `save_pretrained` or the name of a hub repository",
    )


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Writes a model folder that every tool of the `transformers` family can load."""
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def choose_device(name: str) -> torch.device:
    """The device of that class ('cpu' or 'cuda'); raises XstiltsError where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise XstiltsError("missing-model", "no CUDA device here", "the study's plan asks for one", "give --device cpu")
    if name == "cpu":
        keep_memory()
    return torch.device(name)
