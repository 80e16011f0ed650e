"""Weights, FLOPs and memory of an encoder or a translator, from its configuration alone."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from xstilts.costs.devices import package_table
from xstilts.costs.sizes import Size
from xstilts.engine import Step
from xstilts.models.hardware import MICRO_TOKENS, PACKED_FROM, PACKED_TOKENS, PACKED_TYPES, PREDICTED_TOKENS
from xstilts.models.published import published
from xstilts.tasks.mlm import HEADS

XLMR_BASE = "FacebookAI/xlm-roberta-base"

TORCH, CUDA_HOST, CUDA_DEVICE, KERNELS = 0.5e9, 1.5e9, 0.5e9, 0.5e9
"""Bytes of a process that has imported torch (measured), what CUDA takes of the host and of the device (assumed), and
products that are compiled for bf16 on a processor (up to 0.85e9 measured)."""
EXAMPLE, TOKEN, TOKENIZED = 1500, 16, 160
"""Bytes of an example, of a token, and of a token while its text is tokenized: measured."""


@dataclass(frozen=True)
class Shape:
    """What a model's cost depends on: its type, layers, widths, vocabulary and decoder layers (as wide as the others);
    `known` is False if another model stands in; `source` says where published numbers come from."""

    model: str
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    decoder_layers: int = 0
    known: bool = True
    source: str = ""

    @property
    def body(self) -> int:
        """Weights of the layers: 4 h² of attention and 2 h·f of feed-forward each."""
        return self.layers * self.hidden * (4 * self.hidden + 2 * self.intermediate)

    @property
    def decoder(self) -> int:
        """Weights of the decoder's layers: 4 h² more each, of attention to the encoder's states."""
        return self.decoder_layers * self.hidden * (8 * self.hidden + 2 * self.intermediate)

    @property
    def parameters(self) -> int:
        """All weights but biases, norms and positions, which are less than a hundredth."""
        return self.body + self.decoder + self.vocabulary * self.hidden

    def adapters(self, rank: int) -> int:
        """Weights of LoRA: two factors of `rank` for the queries and for the values of each layer."""
        return self.layers * 4 * rank * self.hidden

    def packs(self, device: str) -> bool:
        """Whether batches are computed without padding on a class of device."""
        return self.model in PACKED_TYPES and self.hidden >= PACKED_FROM[device]

    def forward(self, tokens: float, squares: float, masked: float = 0.0, written: float = 0.0) -> float:
        """FLOPs of a forward pass: 2 per weight and token, 4·h per layer and pair of tokens (Narayanan et al. 2021,
        arxiv.org/abs/2104.04473, appendix). tokens include padding; squares is the sum of squared sequence lengths. The
        masked-language-model head runs on `masked` tokens, the decoder and its output layer on `written` ones, whose
        attention is left out: sentences are short."""
        layers = 2 * self.body * tokens + 4 * self.layers * self.hidden * squares
        output = self.hidden * self.vocabulary
        return layers + 2 * masked * (self.hidden**2 + output) + 2 * written * (self.decoder + output)


@cache
def shape_of(load: str, translator: bool = False) -> Shape:
    """The shape of a model in a folder or of a published one; else that of NLLB 600M or XLM-R base."""
    file = Path(load) / "config.json"
    if file.is_file():
        return configured(json.loads(file.read_text(encoding="utf-8")))
    sizes, stand_in = package_table("encoders"), "facebook/nllb-200-distilled-600M" if translator else XLMR_BASE
    name = load if load in sizes else stand_in
    return Shape(model=published(name).model, **sizes[name], known=load in sizes)


def configured(config: dict[str, Any], vocabulary: int = 0) -> Shape:
    """The shape that a `transformers` configuration describes; missing entries are as in BERT base."""
    hidden = config.get("hidden_size") or config.get("d_model", 768)
    return Shape(
        model=config.get("model_type", ""),
        layers=config.get("encoder_layers") or config.get("num_hidden_layers") or config.get("num_layers", 12),
        hidden=hidden,
        intermediate=config.get("intermediate_size") or config.get("encoder_ffn_dim") or config.get("d_ff", 4 * hidden),
        vocabulary=vocabulary or config.get("vocab_size", 30_000),
        decoder_layers=config.get("decoder_layers") or config.get("num_decoder_layers", 0),
    )


def peak(shape: Shape, step: Step, sizes: list[Size], update: float = 0, masked: float = 0) -> tuple[float, float]:
    """GB (1e9 bytes) of all processes that share a step on the host, and of one of its GPUs. update: tokens of an
    update with padding, 0 for predictions; masked: share of masked tokens, 0 if the vocabulary can be trimmed."""
    arguments, ranks = step.arguments, max(1, round(step.resources.get("ranks", 1)))
    device, recipe = arguments["device"], arguments.get("recipe", arguments)
    tokens, model = [size.tokens for size in sizes], 4 * shape.parameters
    data = EXAMPLE * sum(size.examples for size in sizes) + TOKEN * sum(tokens)
    data += TOKENIZED * (max(tokens, default=0) if "encoder" in step.inputs else sum(tokens))  # language by language
    layer = 9 * shape.hidden + 2 * shape.intermediate  # Korthikanti et al. 2022, arxiv.org/abs/2205.05198, §4.1
    batch, trained, retrieved = min(PREDICTED_TOKENS[device], sum(tokens)), 0.0, len(arguments.get("layers", ()))
    values = layer + float(bool(retrieved) * (shape.layers + 1 + 2 * retrieved) * shape.hidden)
    data += 6 * retrieved * shape.hidden * sum(size.sequences for size in sizes)
    if update:
        limits = PACKED_TOKENS if shape.packs(device) else MICRO_TOKENS
        batch = min(update / ranks, recipe["micro_tokens"] or limits[device])
        trimmed = min(shape.vocabulary, 10 * sum(tokens) ** 0.5)  # Heaps' law: 0.3 to 15 × √tokens measured
        words = 2 * shape.vocabulary if masked else trimmed  # masked: gradients of the input and of the output layer
        weights = (
            shape.adapters(arguments["lora"]["rank"]) if "lora" in arguments else shape.body + words * shape.hidden
        )
        trained = 3 * 4 * weights  # gradients and two moments
        values += shape.layers * (shape.hidden if recipe.get("gradient_checkpointing") else layer)
        values += 3 * shape.vocabulary * (masked if shape.model in HEADS else masked > 0)
    held = model + trained + 4 * batch * values
    if device == "cpu":  # a model is held twice while it is loaded
        return ranks * (TORCH + KERNELS * (recipe["precision"] == "bf16") + data + max(2 * model, held)) / 1e9, 0.0
    return ranks * (TORCH + CUDA_HOST + data + 2 * model) / 1e9, (CUDA_DEVICE + held) / 1e9
