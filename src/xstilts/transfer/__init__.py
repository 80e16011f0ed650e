"""Predicting transfer: gains of earlier runs, features that explain them, and sources ranked for new languages."""

from xstilts.transfer.predict_transfer import predict_by_distance, predict_transfer, write_scores
from xstilts.transfer.transferability import measure

__all__ = ["measure", "predict_by_distance", "predict_transfer", "write_scores"]
