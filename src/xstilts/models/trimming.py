"""Training on the vocabulary entries that occur in the data, and merging them back afterwards.

The embedding of a token that never occurs has no gradient: AdamW only lets it decay. It can therefore stay out of the
training, with its optimizer state, and get its decay at the end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from xstilts.tasks.encoding import Encoded


@dataclass(frozen=True)
class Trimmed:
    """A model whose input embeddings have only the rows `token_ids`, int64 [rows], ascending; `file` holds the whole
    matrix [vocabulary, h], which takes no memory during the training."""

    model: Any
    token_ids: np.ndarray
    file: Path

    def encoded(self, full: Encoded) -> Encoded:
        """The same sequences with the token ids of the trimmed vocabulary."""
        return replace(full, ids=np.searchsorted(self.token_ids, full.ids).astype(full.ids.dtype))


def trim(model: Any, encoded: list[Encoded], pad_id: int, scratch: Path) -> Trimmed:
    """Removes, in place, the embeddings of tokens that no sequence has; `scratch` gets a file of the whole matrix.

    Ids up to that of the padding stay, because some models compute positions from it. Not for models whose output is
    tied to these embeddings: their softmax would change.
    """
    token_ids = np.unique(np.concatenate([*(np.unique(part.ids) for part in encoded), np.arange(pad_id + 1)]))
    embeddings = model.get_input_embeddings()
    scratch.mkdir(parents=True, exist_ok=True)
    whole, file = embeddings.weight.detach(), scratch / "vocabulary.safetensors"
    save_file({"whole": whole.cpu().contiguous()}, file)
    rows = whole[torch.from_numpy(token_ids).to(whole.device)]
    embeddings.weight = torch.nn.Parameter(rows, requires_grad=embeddings.weight.requires_grad)
    embeddings.num_embeddings = len(token_ids)
    return Trimmed(model, token_ids, file)


@contextmanager
def merged(trimmed: Trimmed, decay: float) -> Iterator[None]:
    """Restores the whole vocabulary inside the context: trained embeddings, and the others multiplied by `decay`.

    decay: the product of 1 - learning rate · weight decay over all updates, which AdamW (Loshchilov and Hutter 2019,
    algorithm 2) applies to weights without gradients; 1 if the embeddings are frozen.
    """
    embeddings = trimmed.model.get_input_embeddings()
    trained = embeddings.weight
    whole = load_file(trimmed.file)["whole"].mul_(decay).to(trained.device)
    whole[torch.from_numpy(trimmed.token_ids).to(trained.device)] = trained.detach()
    embeddings.weight, embeddings.num_embeddings = torch.nn.Parameter(whole), len(whole)
    try:
        yield
    finally:
        embeddings.weight, embeddings.num_embeddings = trained, len(trained)
