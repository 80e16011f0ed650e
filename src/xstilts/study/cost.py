"""Rough seconds of each step on one core, for order and time left; measured times replace them as a run goes on."""

from typing import Any

from xstilts.study.schema import Encoder, Pretraining, Training

FLOPS_PER_SECOND = 6e10
SECONDS_PER_UPDATE = 0.006
ROWS_UNKNOWN = 10_000
ROWS_PER_LANGUAGE = 500


def parameters(config: dict[str, Any]) -> float:
    """Weights of an encoder's layers: 4 h² of attention and 2 h·f of feed-forward each (embeddings cost no product)."""
    hidden = config.get("hidden_size", 768)
    return config.get("num_hidden_layers", 12) * (4 * hidden**2 + 2 * hidden * config.get("intermediate_size", 3072))


def _seconds(encoder: Encoder, sequences: float, length: float, updates: float, passes: int) -> float:
    config = encoder.pretrain.config if encoder.pretrain else {}
    return 2 * passes * parameters(config) * sequences * length / FLOPS_PER_SECOND + updates * SECONDS_PER_UPDATE


def pretraining_seconds(pretraining: Pretraining, updates: int) -> float:
    """Forward and backward of every update, at full length."""
    encoder = Encoder(pretrain=pretraining)
    return 1 + _seconds(encoder, updates * pretraining.batch_size, pretraining.max_length, updates, passes=3)


def fine_tuning_seconds(encoder: Encoder, training: Training, max_length: int) -> float:
    """Forward and backward of every update, at half the maximum length."""
    sequences = (training.examples or ROWS_UNKNOWN) * training.epochs
    return 0.3 + _seconds(encoder, sequences, max_length / 2, sequences / training.batch_size, passes=3)


def prediction_seconds(encoder: Encoder, languages: int, max_length: int) -> float:
    """One forward pass over a usual number of rows per language, at half the maximum length."""
    return 0.3 + _seconds(encoder, languages * ROWS_PER_LANGUAGE, max_length / 2, 0, passes=1)
