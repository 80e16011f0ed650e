"""Translation models: ordinary sequence-to-sequence models of `transformers`, from the hub or a folder."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from xstilts.context import Context
from xstilts.errors import XstiltsError
from xstilts.models.encoders import LOADING_ERRORS, choose_device, save

ORIGIN = "translator.json"
FAILURES = (*LOADING_ERRORS, ImportError, KeyError, AssertionError)
"""The tokenizers of Opus-MT and M2M-100 raise also the last three where their files are absent or wrong."""


@dataclass(frozen=True)
class Translator:
    """A model on its device with its tokenizer; `longest` is the number of tokens that it can read or write."""

    name: str
    revision: str
    model: Any
    tokenizer: Any
    longest: int


def fetch(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes a translation model from a local folder or the hub with its tokenizer, and `translator.json`: whence.

    arguments: `load` (folder or repository), `revision` (a commit of the repository), `content` (checksum of a local
    folder). Remote code is never run, and old `.bin` weights are read through torch's weights-only loader. Raises
    XstiltsError where nothing can be loaded or where the model is none that turns a sequence into another.
    """
    place, revision = arguments["load"], arguments["revision"] or None
    options = {"revision": revision, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(place, **options)
        if type(config) not in transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
            raise _not_for_translation(place, config.model_type)
        tokenizer = _tokenizer(place, **options)
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(place, dtype="auto", weights_only=True, **options)
    except FAILURES as error:
        raise _cannot_load(place, error) from None
    try:
        save(model, tokenizer, out)
    except ValueError as error:  # settings of generation that contradict each other are refused only here
        raise _cannot_load(place, error) from None
    (out / ORIGIN).write_text(json.dumps({"model": place, "revision": arguments["revision"]}))


def load_translator(folder: Path, device: str, precision: str) -> Translator:
    """The model in a folder that `fetch` wrote, in bfloat16 where `precision` is `bf16`, else in float32.

    Raises XstiltsError where it cannot be loaded or the device is not there.
    """
    place = choose_device(device)
    try:
        origin = json.loads((folder / ORIGIN).read_text())
        tokenizer = _tokenizer(folder)
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
            folder, dtype=torch.bfloat16 if precision == "bf16" else torch.float32, trust_remote_code=False
        )
    except FAILURES as error:
        raise _cannot_load(str(folder), error) from None
    positions = getattr(model.config, "max_position_embeddings", None)
    longest = min(tokenizer.model_max_length, positions or tokenizer.model_max_length)
    return Translator(origin["model"], origin["revision"], model.to(place).eval(), tokenizer, longest)


def _tokenizer(place: str | Path, **options: Any) -> Any:
    """One of its own: which language a text is in is a state of it, so that no two users can share one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*sacremoses.*")
        return transformers.AutoTokenizer.from_pretrained(place, **options)


def _not_for_translation(place: str, kind: str) -> XstiltsError:
    return XstiltsError(
        "unsupported",
        f"'{place}' is no translation model",
        f"a model of type '{kind}' does not turn one sequence into another",
        "give a sequence-to-sequence model: NLLB, M2M-100, mBART-50, Opus-MT or MADLAD-400",
    )


def _cannot_load(place: str, error: Exception) -> XstiltsError:
    return XstiltsError(
        "network",
        f"cannot load the translation model '{place}'",
        str(error).strip().partition("\n")[0] or type(error).__name__,
        "give a folder in the format of `save_pretrained` or the name of a hub repository",
    )
