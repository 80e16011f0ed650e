"""How many operations and weights an encoder or a translator has, from its configuration alone."""

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from xstilts.models.limits import PACKED_FROM, PACKED_TYPES

ENCODER, TRANSLATOR = "FacebookAI/xlm-roberta-base", "facebook/nllb-200-distilled-600M"
"""What stands in where no size is known."""
GATED = frozenset({"modernbert", "eurobert"})
"""Model types whose feed-forward has a gate: three products of hidden x intermediate, not two."""


@dataclass(frozen=True)
class Shape:
    """What a model's cost depends on: its model type, layers, widths, vocabulary, and the layers of a decoder, which
    are as wide; `known` is False where another model stands in."""

    model: str
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    embedding: int = 0
    decoder_layers: int = 0
    known: bool = True

    @property
    def body(self) -> int:
        """Weights of the layers: 4 h² of attention and 2 h·f of feed-forward each, 3 h·f where it is gated."""
        wide = (3 if self.model in GATED else 2) * self.hidden * self.intermediate
        return self.layers * (4 * self.hidden**2 + wide)

    @property
    def decoder(self) -> int:
        """Weights of the decoder's layers, which look at the encoder's states as well: 4 h² more of attention each."""
        return self.decoder_layers * (8 * self.hidden**2 + 2 * self.hidden * self.intermediate)

    @property
    def parameters(self) -> int:
        """All weights but biases, norms and positions, which are less than a hundredth."""
        return self.body + self.decoder + self.vocabulary * (self.embedding or self.hidden)

    def packs(self, device: str) -> bool:
        """Whether batches are computed without their padding on that class of device."""
        return self.model in PACKED_TYPES and self.hidden >= PACKED_FROM[device]

    def forward(self, tokens: float, squares: float) -> float:
        """FLOPs of one forward pass: 2 a weight and token, and 4·h a layer and pair of tokens of a sequence.

        tokens: all that are computed, padding included; squares: sum over sequences of their padded length squared.
        The formula is that of Narayanan et al. 2021 (arxiv.org/abs/2104.04473, appendix), without its output layer.
        """
        return 2 * self.body * tokens + 4 * self.layers * self.hidden * squares

    def write(self, tokens: float) -> float:
        """FLOPs of a decoder that writes so many tokens, of all beams together, each by the output layer over the whole
        vocabulary; as many are taken to be read as are written. Attention of token to token is left out: sentences are
        short."""
        return 2 * tokens * (self.decoder + self.hidden * self.vocabulary)

    def word_head(self, tokens: float) -> float:
        """FLOPs of the masked-language-model head on that many tokens, forward."""
        return 2 * tokens * (self.hidden**2 + self.hidden * self.vocabulary)


@cache
def _published() -> dict[str, Shape]:
    text = files("xstilts.costs").joinpath("encoders.yaml").read_text(encoding="utf-8")
    table = yaml.safe_load(text).items()
    return {name: Shape(**{k: v for k, v in entry.items() if k != "source"}) for name, entry in table}


def shape_of(load: str, stand_in: str = ENCODER) -> Shape:
    """The shape of a model in a folder, or of one on the hub whose size is published; else that of another."""
    file = Path(load) / "config.json"
    if file.is_file():
        return configured(json.loads(file.read_text(encoding="utf-8")))
    return _published().get(load) or replace(_published()[stand_in], known=False)


def configured(config: dict[str, Any], vocabulary: int = 0) -> Shape:
    """The shape that a `transformers` configuration describes; what it leaves out is as in BERT base."""
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
