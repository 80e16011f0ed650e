"""Which files of a model's repository are fetched from the hub, and which ones are weights."""

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from xstilts.errors import XstiltsError
from xstilts.hub_access import download, open_repository

SMALL_FILES = ("*.json", "*.txt", "*.model", "*.spm", "*.tiktoken", "*.jinja")
"""Configuration and tokenizer; code of a model's own is never fetched."""
INDEX = ".index.json"
WEIGHTS = ("model.safetensors", f"model.safetensors{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")
"""Files of weights or their index, the first that a model has."""


def model_folder(name: str, revision: str, weights: bool) -> Path:
    """The folder of the cache with the files of a model on the hub, with or without its weights; raises XstiltsError.

    Other files than safetensors are fetched only if there are none.
    """
    repository = open_repository("model", name, revision)
    names = [file for file in repository.digests if "/" not in file]
    if "config.json" not in names:
        raise no_model(f"the repository '{name}' of the hub", "config.json")
    small = [file for file in names if any(fnmatchcase(file, pattern) for pattern in SMALL_FILES)]
    paths = download(repository, small)
    if weights:
        main = weights_file(names)
        if not main:
            raise no_model(f"the repository '{name}' of the hub", WEIGHTS[0])
        shards = {main}
        if main.endswith(INDEX):
            try:
                shards = set(json.loads(paths[small.index(main)].read_bytes())["weight_map"].values())
                if absent := sorted(shards.difference(names)):
                    raise ValueError(f"the repository has no file {absent[0]}")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                what, hint = f"{main} of '{name}' does not list the files of its weights", "use another revision of it"
                raise XstiltsError("bad-file", what, repr(error), hint) from None
        download(repository, sorted(shards))
    return paths[0].parent


def weights_file(names: Iterable[str]) -> str:
    """The file of weights among the names of a model's files, or the index of several; "" if there is none.

    >>> weights_file(["config.json", "pytorch_model.bin", "model.safetensors.index.json"])
    'model.safetensors.index.json'
    """
    names = set(names)
    return next((name for name in WEIGHTS if name in names), "")


def no_model(place: str, file: str) -> XstiltsError:
    """The error for a place without a file that every model has."""
    hint = "give a folder in the format of `save_pretrained` or the name of a hub repository"
    return XstiltsError("missing-model", f"there is no model in {place}", f"it has no {file}", hint)
