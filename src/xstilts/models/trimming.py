"""Training on the rows of the vocabulary that the data can reach, and merging them back afterwards.

A row that no token names has no gradient: AdamW only lets it decay. So it can stand aside during the training, with
its optimiser state, and be given its decay at once at the end.
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
    """A model whose input embeddings have the rows `kept` alone, int64 [rows], ascending; `file` holds the matrix
    [vocabulary, h] that they were taken from, so that it takes no memory during the training."""

    model: Any
    kept: np.ndarray
    file: Path

    def encoded(self, full: Encoded) -> Encoded:
        """The same sequences with the numbers of the rows that are left."""
        return replace(full, ids=np.searchsorted(self.kept, full.ids).astype(full.ids.dtype))


def trim(model: Any, encoded: list[Encoded], pad_id: int, scratch: Path) -> Trimmed:
    """Leaves the model, in place, the embedding rows that the sequences name, and those up to the padding's; the whole
    matrix waits in the folder `scratch`.

    The padding keeps its number, by which some models tell positions. Not for models whose output is tied to these
    embeddings: their softmax would change.
    """
    reached = [np.unique(part.ids) for part in encoded]
    kept = np.unique(np.concatenate([*reached, np.arange(pad_id + 1)])).astype(np.int64)
    embeddings = model.get_input_embeddings()
    scratch.mkdir(parents=True, exist_ok=True)
    whole, file = embeddings.weight.detach(), scratch / "vocabulary.safetensors"
    save_file({"whole": whole.cpu().contiguous()}, file)
    embeddings.weight = torch.nn.Parameter(whole[torch.from_numpy(kept).to(whole.device)])
    embeddings.num_embeddings = len(kept)
    return Trimmed(model, kept, file)


@contextmanager
def merged(trimmed: Trimmed, decay: float) -> Iterator[None]:
    """Puts the whole vocabulary back for as long as the model is looked at or saved: trained rows among the others,
    which are multiplied by `decay`.

    decay: the product of 1 - learning rate · weight decay over all updates, which is what AdamW (Loshchilov and Hutter
    2019, algorithm 2) makes of a row without gradients.
    """
    embeddings = trimmed.model.get_input_embeddings()
    trained = embeddings.weight
    whole = load_file(trimmed.file)["whole"].mul_(decay).to(trained.device)
    whole[torch.from_numpy(trimmed.kept).to(trained.device)] = trained.detach()
    embeddings.weight, embeddings.num_embeddings = torch.nn.Parameter(whole), len(whole)
    try:
        yield
    finally:
        embeddings.weight, embeddings.num_embeddings = trained, len(trained)
