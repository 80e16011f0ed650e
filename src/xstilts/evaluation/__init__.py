"""Predictions, retrieval and scores, also in the layout of the benchmark."""
