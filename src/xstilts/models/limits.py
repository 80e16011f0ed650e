"""How much is computed at once and what is packed: what models do and what a plan's price must know."""

MICRO_TOKENS = {"cpu": 1024, "cuda": 32768}
"""Tokens of a forward pass in training with their padding: small groups of similar length waste little."""

PACKED_TOKENS = {"cpu": 2048, "cuda": 32768}
"""The same where nothing is padded: larger groups cast the weights to bf16 less often."""

PREDICTED_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Tokens of a prediction batch: small enough for the processor's cache, large enough to fill a GPU."""

TRANSLATED_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Tokens of a batch of sentences to translate, with padding; beam search multiplies them by the number of beams."""

PACKED_TYPES = frozenset({"bert", "camembert", "modernbert", "roberta", "xlm-roberta"})
"""Model types whose layers hand further arguments on to the attention function; shown equal in the tests."""

PACKED_FROM = {"cpu": 256, "cuda": 0}
"""Hidden size from which on packing pays: below, the calls for each group cost more than the padding."""
