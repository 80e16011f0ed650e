"""Predicting transfer: gains of earlier runs, what may explain them, and sources ranked for languages to come."""

from xstilts.transfer.predict_transfer import predict_by_distance, predict_transfer, write_scores
from xstilts.transfer.text_features import measure

__all__ = ["measure", "predict_by_distance", "predict_transfer", "write_scores"]
