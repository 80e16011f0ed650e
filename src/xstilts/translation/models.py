"""Translation models: sequence-to-sequence models of `transformers`, from the hub or a folder."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from xstilts.context import Context
from xstilts.errors import XstiltsError
from xstilts.models.encoders import cannot_load, load_pretrained, save
from xstilts.models.hardware import choose_device
from xstilts.models.published import check_unchanged

ORIGIN = "translator.json"
AUTO_CLASS = "AutoModelForSeq2SeqLM"


@dataclass(frozen=True)
class Translator:
    """A model on its device with its tokenizer; `longest` is the most tokens that it can read or write."""

    name: str
    revision: str
    model: Any
    tokenizer: Any
    longest: int


def fetch(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes a translation model from a local folder or the hub, its tokenizer, and its origin (`translator.json`).

    arguments: `load` (folder or repository), `revision` (a commit of the repository), `content` (checksum of a local
    folder). Remote code is never run, and old `.bin` weights are read through torch's weights-only loader. Raises
    XstiltsError if nothing can be loaded or if the model is not a sequence-to-sequence model.
    """
    place, revision = arguments["load"], arguments["revision"] or None
    config = load_pretrained("AutoConfig", place, revision=revision)
    if type(config) not in transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        why = f"a model of type '{config.model_type}' does not turn one sequence into another"
        hint = "give a sequence-to-sequence model: NLLB, M2M-100, mBART-50, Opus-MT or MADLAD-400"
        raise XstiltsError("unsupported", f"'{place}' is not a translation model", why, hint)
    tokenizer = _tokenizer(place, revision=revision)
    model = load_pretrained(AUTO_CLASS, place, dtype="auto", revision=revision)
    check_unchanged(arguments)
    try:
        save(model, tokenizer, out)
    except ValueError as error:  # transformers checks generation settings only when it saves them
        raise cannot_load(place, error) from None
    (out / ORIGIN).write_text(json.dumps({"model": place, "revision": arguments["revision"]}))


def load_translator(folder: Path, device: str, precision: str) -> Translator:
    """The model in a folder that `fetch` wrote, in bfloat16 if `precision` is `bf16`, else in float32.

    Raises XstiltsError if it cannot be loaded or the device is missing.
    """
    place = choose_device(device)
    try:
        origin = json.loads((folder / ORIGIN).read_text())
    except (OSError, ValueError) as error:
        raise cannot_load(folder, error) from None
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    tokenizer, model = _tokenizer(folder), load_pretrained(AUTO_CLASS, folder, dtype=dtype)
    positions = getattr(model.config, "max_position_embeddings", None)
    longest = min(tokenizer.model_max_length, positions or tokenizer.model_max_length)
    return Translator(origin["model"], origin["revision"], model.to(place).eval(), tokenizer, longest)


def _tokenizer(place: str | Path, **options: Any) -> Any:
    """A new tokenizer: the language of a text is part of its state, so users must not share one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*sacremoses.*")
        return load_pretrained("AutoTokenizer", place, **options)
