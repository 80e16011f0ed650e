"""Training on the rows of the vocabulary that the data can reach, and merging them back afterwards.

A row that no token names has no gradient: AdamW only lets it decay. So it can stand aside during the training, with
its optimiser state, and be given its decay at once at the end.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from xstilts.tasks.encoding import Encoded


@dataclass(frozen=True)
class Trimmed:
    """A model whose input embeddings have the rows `kept` alone, int64 [rows], ascending; `whole` is the matrix that
    they were taken from, float [vocabulary, h]."""

    model: Any
    kept: np.ndarray
    whole: torch.Tensor

    def encoded(self, full: Encoded) -> Encoded:
        """The same sequences with the numbers of the rows that are left."""
        return replace(full, ids=np.searchsorted(self.kept, full.ids).astype(full.ids.dtype))


def trim(model: Any, encoded: list[Encoded], pad_id: int) -> Trimmed:
    """Leaves the model, in place, the embedding rows that the sequences name, and those up to the padding's.

    The padding keeps its number, by which some models tell positions. Not for models whose output is tied to these
    embeddings: their softmax would change.
    """
    reached = [np.unique(part.ids) for part in encoded]
    kept = np.unique(np.concatenate([*reached, np.arange(pad_id + 1)])).astype(np.int64)
    embeddings = model.get_input_embeddings()
    whole = embeddings.weight.detach()
    rows = torch.from_numpy(kept).to(whole.device)
    embeddings.weight = torch.nn.Parameter(whole[rows])
    embeddings.num_embeddings = len(kept)
    return Trimmed(model, kept, whole)


def merge(trimmed: Trimmed, decay: float) -> None:
    """Puts the whole vocabulary back, in place: trained rows among the others, which are multiplied by `decay`.

    decay: the product of 1 - learning rate · weight decay over all updates, which is what AdamW (Loshchilov and Hutter
    2019, algorithm 2) makes of a row without gradients.
    """
    embeddings = trimmed.model.get_input_embeddings()
    whole = trimmed.whole.mul_(decay)
    rows = torch.from_numpy(trimmed.kept).to(whole.device)
    whole[rows] = embeddings.weight.detach()
    embeddings.weight = torch.nn.Parameter(whole)
    embeddings.num_embeddings = len(whole)
