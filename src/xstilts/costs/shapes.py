"""Weights and FLOPs of an encoder or a translator, from its configuration alone."""

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from xstilts.models.hardware import PACKED_FROM, PACKED_TYPES

ENCODER, TRANSLATOR = "FacebookAI/xlm-roberta-base", "facebook/nllb-200-distilled-600M"
"""Assumed for models of unknown size."""
GATED = frozenset({"modernbert", "eurobert"})
"""Model types whose feed-forward is gated: three products of hidden × intermediate, not two."""


@dataclass(frozen=True)
class Shape:
    """What a model's cost depends on: its type, layers, widths, vocabulary and decoder layers (as wide as the others);
    `known` is False if another model stands in."""

    model: str
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    embedding: int = 0
    decoder_layers: int = 0
    known: bool = True

    @property
    def width(self) -> int:
        """Values of a row of the embedding matrix."""
        return self.embedding or self.hidden

    @property
    def body(self) -> int:
        """Weights of the layers: 4 h² of attention and 2 h·f of feed-forward each, 3 h·f if gated."""
        return self.layers * self.hidden * (4 * self.hidden + (2 + (self.model in GATED)) * self.intermediate)

    @property
    def decoder(self) -> int:
        """Weights of the decoder's layers: 4 h² more each, of attention to the encoder's states."""
        return self.decoder_layers * self.hidden * (8 * self.hidden + 2 * self.intermediate)

    @property
    def parameters(self) -> int:
        """All weights but biases, norms and positions, which are less than a hundredth."""
        return self.body + self.decoder + self.vocabulary * self.width

    def packs(self, device: str) -> bool:
        """Whether batches are computed without padding on a class of device."""
        return self.model in PACKED_TYPES and self.hidden >= PACKED_FROM[device]

    def forward(self, tokens: float, squares: float, masked: float = 0.0, written: float = 0.0) -> float:
        """FLOPs of a forward pass: 2 per weight and token, 4·h per layer and pair of tokens of a sequence.

        tokens include padding; squares is the sum of squared sequence lengths (Narayanan et al. 2021,
        arxiv.org/abs/2104.04473, appendix). The masked-language-model head runs on `masked` tokens, the decoder and its
        output layer on `written` ones, whose attention to one another is left out: sentences are short.
        """
        layers = 2 * self.body * tokens + 4 * self.layers * self.hidden * squares
        output = self.hidden * self.vocabulary
        return layers + 2 * masked * (self.hidden**2 + output) + 2 * written * (self.decoder + output)


@cache
def _published() -> dict[str, Shape]:
    table = yaml.safe_load(files("xstilts.costs").joinpath("encoders.yaml").read_text(encoding="utf-8"))
    return {name: Shape(**{k: v for k, v in entry.items() if k != "source"}) for name, entry in table.items()}


def shape_of(load: str, stand_in: str = ENCODER) -> Shape:
    """The shape of a model in a folder or of a published one; else that of `stand_in`."""
    file = Path(load) / "config.json"
    if file.is_file():
        return configured(json.loads(file.read_text(encoding="utf-8")))
    return _published().get(load) or replace(_published()[stand_in], known=False)


def configured(config: dict[str, Any], vocabulary: int = 0) -> Shape:
    """The shape that a `transformers` configuration describes; missing entries are as in BERT base."""
    hidden = config.get("hidden_size") or config.get("d_model", 768)
    return Shape(
        model=config.get("model_type", ""),
        layers=config.get("encoder_layers") or config.get("num_hidden_layers") or config.get("num_layers", 12),
        hidden=hidden,
        intermediate=config.get("intermediate_size") or config.get("encoder_ffn_dim") or config.get("d_ff", 4 * hidden),
        vocabulary=vocabulary or config.get("vocab_size", 30_000),
        embedding=config.get("input_embedding_size", 0),
        decoder_layers=config.get("decoder_layers") or config.get("num_decoder_layers", 0),
    )
