"""Batch sizes in tokens, and what is packed: constants of training and prediction that cost estimates also need."""

MICRO_TOKENS = {"cpu": 1024, "cuda": 32768}
"""Tokens of a forward pass in training, padding included: small groups of similar length have little padding."""

PACKED_TOKENS = {"cpu": 2048, "cuda": 32768}
"""The same without padding: larger groups cast the weights to bf16 less often."""

PREDICTED_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Tokens of a prediction batch: small enough for the processor's cache, large enough to fill a GPU."""

TRANSLATED_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Tokens of a batch of sentences to translate, with padding; beam search multiplies them by the number of beams."""

PACKED_TYPES = frozenset({"bert", "camembert", "modernbert", "roberta", "xlm-roberta"})
"""Model types whose layers pass extra arguments to the attention function; tests show that packing changes nothing."""

PACKED_FROM = {"cpu": 256, "cuda": 0}
"""The smallest hidden size that is packed: below, the calls for each group cost more than the padding."""
