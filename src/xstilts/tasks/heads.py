"""What most task types share between a model and its loss."""

from typing import TYPE_CHECKING, Any

from xstilts.tasks.encoding import IGNORED

if TYPE_CHECKING:
    import torch


def run_model(model: Any, batch: dict[str, "torch.Tensor"]) -> "torch.Tensor":
    """The logits of a model with one head, of the shape that its class gives."""
    return model(**{name: tensor for name, tensor in batch.items() if name != "labels"}).logits


def cross_entropy_sum(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Summed cross entropy of logits [..., k] and labels [...], ignored labels left out, in float32."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits.flatten(0, -2).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum")
