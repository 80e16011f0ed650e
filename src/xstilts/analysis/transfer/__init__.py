"""Predicting transfer: gains of earlier runs, what may explain them, and sources ranked for languages to come."""

from xstilts.analysis.transfer.measure import measure
from xstilts.analysis.transfer.predict import predict_by_distance, predict_transfer, write_scores

__all__ = ["measure", "predict_by_distance", "predict_transfer", "write_scores"]
