"""How an encoder's tokenizer splits the languages of a study, measured on examples that its steps have prepared."""

from collections.abc import Collection, Mapping, Sequence
from math import isnan, log
from pathlib import Path
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
    languages, without labels; log_size is the natural logarithm of the number of characters of pretraining text, for
    encoders that the study pretrained. Encoders that are not in the store, or have no fast tokenizer, are left out.
    """
    result: dict[str, Any] = {"fertility": {}, "overlap": {}, "log_size": {}}
    texts = _texts(facts, store)
    for name, fingerprint in facts["encoder_steps"].items():
        if file := store.find(fingerprint, "tokenizer.json"):
            result["fertility"][name], result["overlap"][name] = _subwords(file, texts)
            if sizes := _log_sizes(steps[fingerprint], store):
                result["log_size"][name] = sizes
    return result


def _texts(facts: Mapping[str, Any], store: Store) -> dict[str, list[str]]:
    """The first texts of each language, of the target that is scored in most languages.

    Not of retrieval, whose examples hold English sentences as well. Languages are compared on one target, whose
    examples are often translations of each other, and never on pretraining texts, which differ in content.
    """
    columns: tuple[str, ...] = ()
    most: dict[str, str] = {}
    for target, examples in facts["examples"].items():
        finished = store.finished(examples.values())
        steps = {code: fingerprint for code, fingerprint in examples.items() if fingerprint in finished}
        if facts["types"][target] != "retrieval" and len(steps) > len(most):
            columns, most = READ[facts["types"][target]].TEXT_COLUMNS, steps
    texts = {}
    for code, fingerprint in most.items():
        table = pq.read_table(store.find(fingerprint, "examples.parquet"), columns=list(columns)).slice(0, TEXTS)
        values = (value for name in columns for value in table[name].to_pylist() if value)
        texts[code] = [" ".join(value) if isinstance(value, list) else value for value in values]
    return texts


def _subwords(file: Path, texts: dict[str, list[str]]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Fertility of each language, and overlap of each two, with the tokenizer of a file."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = {
        code: [encoded.ids for encoded in tokenizer.encode_batch_fast(of_language, add_special_tokens=False)]
        for code, of_language in texts.items()
    }
    per_word = {code: fertility(texts[code], [len(of_text) for of_text in ids[code]]) for code in texts}
    distinct = {code: {i for of_text in of_language for i in of_text} for code, of_language in ids.items()}
    overlap = {a: {b: round(subword_overlap(distinct[a], distinct[b]), 6) for b in distinct} for a in distinct}
    return {code: round(value, 6) for code, value in per_word.items() if not isnan(value)}, overlap


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


def _log_sizes(step: Step, store: Store) -> dict[str, float]:
    """Log of the characters of an encoder's pretraining text in each language; {} for one that was fetched."""
    sizes = {}
    for name, fingerprint in step.inputs.items():
        if name.startswith("rows.") and (file := store.find(fingerprint, "examples.parquet")):
            text = pq.read_table(file, columns=["text"])["text"]
            if count := pc.sum(pc.utf8_length(text)).as_py():
                sizes[name.removeprefix("rows.")] = round(log(count), 6)
    return sizes
