"""Encoders, tokenizers and vocabularies; batches, packing and precision."""
