"""Encoders and the heads on them: ordinary `transformers` classes, saved as ordinary folders."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from pickle import PickleError
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from xstilts.context import Context
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.hashing import checksum
from xstilts.models.hub_models import model_folder, no_model, weights_file
from xstilts.models.published import check_unchanged
from xstilts.tasks.task_types import TRAINED

logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()

MASKED_LM = TRAINED["mlm"].AUTO_CLASS
WITHOUT_WEIGHTS = ("AutoConfig", "AutoTokenizer")
LOADING_ERRORS = (
    OSError, ValueError, RuntimeError, ImportError, KeyError, AssertionError, TypeError, ArithmeticError,
    AttributeError, PickleError, SafetensorError, StrictDataclassError,
)  # fmt: skip
"""What `transformers` raises for a folder that is absent, incomplete, corrupt or hostile."""

_tokenizers: dict[str, Any] = {}


def load_pretrained(auto_class: str, place: str | Path, **options: Any) -> Any:
    """What the `transformers` auto class of that name loads from a folder, or from a hub repository at `revision`.

    Code that comes with the files never runs, and `.bin` weights are read by torch's weights-only loader. Raises
    XstiltsError if nothing can be loaded, of kind 'unsafe' if that would need such code.
    """
    folder, revision, weights = Path(place), options.pop("revision", None), auto_class not in WITHOUT_WEIGHTS
    if not folder.is_dir():
        folder = model_folder(str(place), revision or "", weights)
    try:
        return getattr(transformers, auto_class).from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, **options
        )
    except LOADING_ERRORS as error:
        refusal = cannot_load(place, error)
        if refusal.kind == "bad-file" and weights and not weights_file(path.name for path in folder.iterdir()):
            refusal = no_model(str(place), "model.safetensors")
        raise refusal from None


def cannot_load(place: str | Path, error: Exception) -> XstiltsError:
    """What one of `LOADING_ERRORS` means for the user."""
    if "trust_remote_code" in str(error):
        why = "xstilts never runs code that comes with a model: it could do anything on this machine"
        hint = "use a model that `transformers` supports without `trust_remote_code`"
        return XstiltsError("unsafe", f"'{place}' needs Python code of its own", why, hint)
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    hint = "give a folder in the format of `save_pretrained` or the name of a hub repository"
    return XstiltsError("bad-file", f"cannot load '{place}'", reason, hint)


def load_tokenizer(encoder: str | Path, revision: str | None = None) -> Any:
    """The fast tokenizer of a model or vocabulary folder, or of a hub repository; equal files give one object.

    Raises XstiltsError if there is none.
    """
    files = [Path(encoder) / name for name in ("tokenizer.json", "tokenizer_config.json")]
    content = "".join(checksum(file) for file in files if file.is_file())
    if content not in _tokenizers or not content:
        _tokenizers[content] = load_pretrained("AutoTokenizer", encoder, use_fast=True, revision=revision)
        if backend := getattr(_tokenizers[content], "backend_tokenizer", None):  # as it is after it was used
            backend.no_truncation()
            backend.no_padding()
    return _tokenizers[content]


def load_model(auto_class: str, place: str | Path, **options: Any) -> tuple[Any, list[str]]:
    """A model in float32, and the names of those weights of its head or pooler that the files lack: these are random.

    Raises XstiltsError if the files cannot be loaded, lack weights of the encoder (its pooler aside) or hold weights
    that are not finite.
    """
    options = {"dtype": torch.float32, "weights_only": True, "output_loading_info": True, **options}
    model, info = load_pretrained(auto_class, place, **options)
    if any(name.startswith("lm_predictions.") for name in info["unexpected_keys"]) and auto_class == MASKED_LM:
        # DeBERTa-v3 stores its head under a name that `transformers` reads only with this setting
        if "config" in options:
            options["config"].update({"legacy": False})
        else:
            options["legacy"] = False
        model, info = load_pretrained(auto_class, place, **options)
    missing = sorted(info["missing_keys"])
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    if absent := [name for name in missing if name.startswith(prefix) and "pooler" not in name]:
        why = f"{len(absent)} of its weights are missing, such as {absent[0]}"
        hint = "download it again, or check that its configuration belongs to its weights"
        raise XstiltsError("bad-file", f"the encoder in '{place}' is incomplete", why, hint)
    check_finite(model, f"the model in '{place}'", "use another checkpoint of it")
    return model, missing


def load_finished(auto_class: str, place: str | Path, revision: str | None = None) -> Any:
    """A model with a trained head, in float32 and evaluation mode.

    Raises XstiltsError as `load_model` does, if the configuration names another head than `auto_class` has, or if the
    files lack weights of the head or pooler, which would be random.
    """
    config = load_pretrained("AutoConfig", place, revision=revision)
    head, architectures = auto_class.removeprefix("AutoModelFor"), config.architectures or []
    if not any(name.endswith(f"For{head}") for name in architectures):
        what, why = f"'{place}' has no head for {head}", f"it is {', '.join(architectures) or 'an encoder alone'}"
        raise XstiltsError("unsupported", what, why, "give a model that was fine-tuned for this type of task")
    model, missing = load_model(auto_class, place, revision=revision)
    if missing:
        what, why = f"the model in '{place}' is incomplete", f"its files lack weights such as {missing[0]}"
        raise XstiltsError("bad-file", what, why, "download it again, or train its head")
    return model.eval()


def longest_input(model: Any, tokenizer: Any) -> int:
    """The most tokens that a model reads; RoBERTa and its kin count positions from behind the id of padding."""
    positions: int = getattr(model.config, "max_position_embeddings", tokenizer.model_max_length)
    for name, part in model.named_modules():
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            positions = part.num_embeddings - part.padding_idx - 1
    return min(positions, tokenizer.model_max_length)


def load_base(encoder: str | Path) -> Any:
    """The encoder without a head, in float32; raises XstiltsError as `load_model` does."""
    return load_model("AutoModel", encoder)[0]


def check_finite(model: Any, name: str, hint: str) -> None:
    """Raises XstiltsError if a weight of the model is NaN or infinite."""
    weights = dict(model.named_parameters())
    if broken := [key for key, weight in weights.items() if not weight.isfinite().all()]:
        what = f"{name} has weights that are not finite"
        raise XstiltsError("not-finite", what, f"{len(broken)} of {len(weights)} tensors, such as {broken[0]}", hint)


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Writes an ordinary model folder of `transformers`; raises XstiltsError if a weight is not finite."""
    check_finite(model, "the trained model", "lower the learning rate or warm up for longer")
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for file in out.glob("*.safetensors"):  # safetensors makes its files readable by their owner alone
        file.chmod((out / "config.json").stat().st_mode)


def fetch(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes an encoder from a folder or the hub, with its masked-language-model head if it has one, and its tokenizer.

    arguments: `load` (folder or repository), `revision` (a commit of the repository), `random_weights` (keeps only
    the configuration, as a baseline), `seed` (of those weights), `content` (checksum of a local folder), `config`
    (settings that replace those of the configuration; none if it is missing).
    """
    place, revision, settings = arguments["load"], arguments["revision"] or None, arguments.get("config", {})
    config = load_pretrained("AutoConfig", place, revision=revision)
    if unknown := [name for name in settings if not hasattr(config, name)]:
        what = f"the configuration of '{place}' has no setting '{unknown[0]}'"
        hint = did_you_mean(unknown[0], vars(config)) or "see its config.json"
        raise XstiltsError("bad-setting", what, "`config` replaces settings", hint)
    config.update(settings)
    options = {"revision": revision, "config": config}
    tokenizer = load_pretrained("AutoTokenizer", place, revision=revision)
    auto_class = "AutoModel" if missing_heads(config.model_type, ["mlm"]) else MASKED_LM
    torch.manual_seed(arguments["seed"])
    if arguments["random_weights"]:
        model = getattr(transformers, auto_class).from_config(config)
    else:
        model, missing = load_model(auto_class, place, **options)
        if missing and auto_class == MASKED_LM:  # the class of the head may lack the pooler that the files have
            model, missing = load_model("AutoModel", place, **options)
        if missing:  # each training draws a pooler of its own
            model.pooler = None
    check_unchanged(arguments)
    save(model, tokenizer, out)


def new_encoder(config: dict[str, Any], tokenizer: Any, seed: int) -> Any:
    """A masked language model with random weights, from a `transformers` configuration with its `model_type`."""
    special = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id", None) for n in ("pad", "cls", "sep", "bos", "eos")}
    settings = {name: value for name, value in special.items() if value is not None} | {"vocab_size": len(tokenizer)}
    torch.manual_seed(seed)
    return transformers.AutoModelForMaskedLM.from_config(transformers.AutoConfig.for_model(**settings | config))


def with_head(encoder: str | Path, auto_class: str, labels: Sequence[str], seed: int, **config: Any) -> Any:
    """The encoder in a folder or on the hub under a fresh head with random weights, without the head that it had.

    labels: become `id2label`; without labels the head has the two outputs of a span; config: further settings of the
    model's configuration. Raises XstiltsError if the encoder cannot be loaded or if there is no such head for its type.
    """
    torch.manual_seed(seed)  # loading draws a pooler for a BERT that was saved without one
    base = load_base(encoder)
    if not _has_head(base.config.model_type, auto_class):
        raise _no_head(encoder, auto_class.removeprefix("AutoModelFor"))
    names = labels or ("start", "end")
    numbers = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    base.config.update({**numbers, "problem_type": None, **config})  # not that of the head that the encoder had
    torch.manual_seed(seed)
    model = getattr(transformers, auto_class).from_config(base.config)
    missing, unexpected = model.base_model.load_state_dict(base.state_dict(), strict=False)
    if any("pooler" not in name for name in [*missing, *unexpected]):
        what = f"the encoder in '{encoder}' does not fit {type(model).__name__}"
        why = f"missing weights {missing[:3]}, unexpected {unexpected[:3]}"
        raise XstiltsError("unsupported", what, why, "check its configuration")
    return model


def with_mlm_head(encoder: str | Path) -> Any:
    """The encoder under the masked-language-model head of its pretraining; raises XstiltsError if it has none."""
    has_class = _has_head(load_pretrained("AutoConfig", encoder).model_type, MASKED_LM)
    model, missing = load_model(MASKED_LM, encoder) if has_class else (None, ["all"])
    if missing:
        raise _no_head(encoder, "masked language modelling")
    return model


def missing_heads(model_type: str, task_types: Iterable[str]) -> list[str]:
    """Those of the task types for which `transformers` has no head on encoders of that type.

    >>> missing_heads("xlm-roberta", ["classification", "qa"])
    []
    >>> missing_heads("eurobert", ["classification", "qa", "multiple_choice"])
    ['qa', 'multiple_choice']
    """
    return [name for name in task_types if name in TRAINED and not _has_head(model_type, TRAINED[name].AUTO_CLASS)]


def _has_head(model_type: str, auto_class: str) -> bool:
    configs, models = transformers.CONFIG_MAPPING, getattr(transformers, auto_class)._model_mapping
    return model_type in configs and configs[model_type] in models


def _no_head(encoder: str | Path, head: str) -> XstiltsError:
    why = "its weights or its class in `transformers` lack one"
    hint = "use another encoder, or leave out the tasks and `mlm` settings that need this head"
    return XstiltsError("unsupported", f"the encoder in '{encoder}' has no head for {head}", why, hint)


def share_encoder(models: Sequence[Any]) -> None:
    """Puts all heads on one encoder, in place: that of the first model whose head wants a pooler, else of the first."""
    bases = [model.base_model for model in models]
    shared = next((base for base in bases if getattr(base, "pooler", None) is not None), bases[0])
    for model in models:
        setattr(model, model.base_model_prefix, shared)
        model.tie_weights()
