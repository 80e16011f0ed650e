"""Votes between languages, measured with an encoder on texts that need neither labels nor translations."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xstilts.errors import XstiltsError
from xstilts.models.encoders import load_base, load_tokenizer, longest_input
from xstilts.transfer.votes import Votes, neighbour_votes
from xstilts.workflows.user_data.column_roles import find_text
from xstilts.workflows.user_data.labelled_data import files_by_language
from xstilts.workflows.user_data.tables import read_batches

TEXTS = 50
"""Of each language. With 25, the authors of NN-Rank report 93% of the quality that all texts give."""
DEPTH = 2 / 3
"""Of the layer that is read. Layers from half to two thirds of multilingual E5 small rank sources best."""
BATCH = 10


def measure_votes(
    encoder: str | Path, texts: str, progress: Callable[[str, int], None] = lambda code, left: None
) -> Votes:
    """Shares of votes between all languages with texts (`neighbour_votes`).

    texts: a pattern of file names in which `{lang}` stands for any code or name of a language; a text a line, or a
    column of texts in a table. progress: takes each language and how many are left. Raises XstiltsError for fewer than
    two languages, or a file without texts.
    """
    files = _files(texts)
    tokenizer, model = load_tokenizer(encoder), load_base(encoder).eval()
    layer = round(DEPTH * model.config.num_hidden_layers)
    states = []
    for code, file in files.items():
        states.append(_states(model, tokenizer, _texts(file), layer))
        progress(code, len(files) - len(states))
    return Votes(tuple(files), neighbour_votes(states))


def _files(pattern: str) -> dict[str, Path]:
    """The file of each language that the pattern names."""
    if pattern.count("{lang}") != 1:
        hint = "such as 'texts/{lang}.txt'"
        raise XstiltsError("bad-argument", f"'{pattern}' is no pattern", "it has to have {lang} in it once", hint)
    files = {}
    for code, paths in files_by_language(pattern).items():
        if len(paths) > 1:
            why, hint = f"{' and '.join(map(str, paths.values()))} are in {code}", "write the pattern so that one fits"
            raise XstiltsError("inconsistent", "a language has two files", why, hint)
        files[code] = next(iter(paths.values()))
    if len(files) < 2:
        why = f"{len(files)} files fit '{pattern}' with the name of a language in the place of {{lang}}"
        raise XstiltsError("missing-file", "there are too few texts", why, "give at least two languages")
    return files


def _texts(file: Path) -> list[str]:
    """The first texts of a file; the words of a tagged one with spaces between them."""
    texts: list[str] = []
    for table in read_batches(file, TEXTS):
        name = "tokens" if "tokens" in table.column_names else find_text(table, set())[0][0]
        cells = [" ".join(cell) if isinstance(cell, list) else str(cell or "") for cell in table[name].to_pylist()]
        texts += [cell for cell in cells if cell.strip()]
        if len(texts) >= TEXTS:
            break
    if not texts:
        raise XstiltsError("bad-file", f"{file} has no texts", "all are empty", "give another file")
    return texts[:TEXTS]


def _states(model: Any, tokenizer: Any, texts: Sequence[str], layer: int) -> np.ndarray:
    """The hidden states of all sub-words but the special ones at a layer [tokens, h]."""
    states, longest = [], longest_input(model, tokenizer)
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(
            texts[start : start + BATCH], return_tensors="pt", padding=True, truncation=True, max_length=longest,
            return_special_tokens_mask=True,
        )  # fmt: skip
        special = batch.pop("special_tokens_mask").bool()
        with torch.inference_mode():
            hidden = model(**batch, output_hidden_states=True).hidden_states[layer]
        states.append(hidden[~special].float().numpy())
    return np.concatenate(states)
