"""How an encoder's tokenizer splits the languages of a study, measured on examples that its steps have prepared."""

from collections.abc import Collection, Mapping, Sequence
from math import isnan, log
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from xstilts.engine import Step, Store
from xstilts.tasks.task_types import READ

TEXTS = 500
"""Examples of each language that are read."""
WORDS = (1.5, 10.0)
"""Bounds on the mean length of words in characters. If it is above, the text is taken to be written without spaces
(Malayalam has 9.0 in SIB-200, Chinese 11.9 in PAWS-X); if it is below, as letters with spaces between them."""


def measure_subwords(facts: Mapping[str, Any], steps: Mapping[str, Step], store: Store) -> dict[str, Any]:
    """Fertility and log_size {encoder: {language: number}} and overlap {encoder: {language: {language: number}}}.

    facts: the content of `study.json`. Sub-words are those of the first examples of the target that is scored in most
    languages, which are often translations of each other; log_size is the natural logarithm of the number of characters
    of the text that the study pretrained on. Encoders without files in the store or a fast tokenizer are left out.
    """
    from tokenizers import Tokenizer

    result: dict[str, Any] = {"fertility": {}, "overlap": {}, "log_size": {}}
    columns: tuple[str, ...] = ()
    most: dict[str, str] = {}
    for target, examples in facts["examples"].items():
        finished = store.finished(examples.values())
        present = {code: fingerprint for code, fingerprint in examples.items() if fingerprint in finished}
        if facts["types"][target] != "retrieval" and len(present) > len(most):  # retrieval has English sentences too
            columns, most = READ[facts["types"][target]].TEXT_COLUMNS, present
    texts = {}
    for code, fingerprint in most.items():
        table = pq.read_table(store.find(fingerprint, "examples.parquet"), columns=list(columns)).slice(0, TEXTS)
        values = (value for name in columns for value in table[name].to_pylist() if value)
        texts[code] = [" ".join(value) if isinstance(value, list) else value for value in values]
    for name, fingerprint in facts["encoder_steps"].items():
        file = store.find(fingerprint, "tokenizer.json")
        if not file:
            continue
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        per_word, distinct = {}, {}
        for code, of_language in texts.items():
            ids = [text.ids for text in tokenizer.encode_batch_fast(of_language, add_special_tokens=False)]
            per_word[code] = round(fertility(of_language, [len(of_text) for of_text in ids]), 6)
            distinct[code] = set().union(*ids)
        result["fertility"][name] = {code: value for code, value in per_word.items() if not isnan(value)}
        overlaps = {a: {b: subword_overlap(distinct[a], distinct[b]) for b in texts} for a in texts}
        result["overlap"][name] = {a: {b: round(x, 6) for b, x in row.items()} for a, row in overlaps.items()}
        sizes = {}
        for source, examples in steps[fingerprint].inputs.items():
            if source.startswith("rows.") and (corpus := store.find(examples, "examples.parquet")):
                texts_of_language = pq.read_table(corpus, columns=["text"])["text"]
                if characters := pc.sum(pc.utf8_length(texts_of_language)).as_py():
                    sizes[source.removeprefix("rows.")] = round(log(characters), 6)
        if sizes:
            result["log_size"][name] = sizes
    return result


def fertility(texts: Sequence[str], pieces: Sequence[int]) -> float:
    """Sub-words per word (Rust et al. 2021, arXiv 2012.15613), from texts and the number of sub-words of each.

    Words are separated by spaces; NaN for texts whose spaces do not separate words.

    >>> fertility(["a river", "the old town"], [3, 7])
    2.0
    """
    words = [word for text in texts for word in text.split()]
    if not words or not WORDS[0] <= sum(map(len, words)) / len(words) <= WORDS[1]:
        return float("nan")
    return sum(pieces) / len(words)


def subword_overlap(a: Collection[int], b: Collection[int]) -> float:
    """Shared sub-words over the sum of the distinct ones of each, 0 to 0.5 (Lin et al. 2019, arXiv 1905.12688).

    >>> subword_overlap([1, 2, 3], [3, 4])
    0.2
    """
    return len(set(a) & set(b)) / (len(set(a)) + len(set(b))) if a or b else float("nan")
