"""What an encoder's own tokenizer makes of the languages of a study, from texts that its steps have prepared."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isnan, log
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from xstilts.engine import Step, Store, write_atomically
from xstilts.runs.language_features import SUBWORDS
from xstilts.tasks.task_types import READ

TEXTS = 500
"""Rows of each language that are looked at."""
WORDS = (1.5, 10.0)
"""Characters that words have in the mean. Where they have more, the text is taken to be written without spaces
(Malayalam has 9.0 in SIB-200, Chinese 11.9 in PAWS-X); where they have fewer, as letters with spaces between them."""


def write_subwords(run: Path, steps: Mapping[str, Step], encoders: Iterable[str], store: Store) -> None:
    """Measures what there is to measure and writes it into the run folder, in place of what was there."""
    found = measure_subwords(steps, encoders, store)
    write_atomically(run / SUBWORDS, json.dumps(found, indent=1, ensure_ascii=False))


def measure_subwords(steps: Mapping[str, Step], encoders: Iterable[str], store: Store) -> dict[str, Any]:
    """Fertility and log_size {encoder: {language: number}} and overlap {encoder: {language: {language: number}}}.

    Sub-words are those of the first rows of the target that is scored in most languages, unlabelled; log_size is the
    logarithm of the characters of pretraining text, of encoders that were pretrained here. Left out are encoders that
    are not in the store, or have no fast tokenizer.
    """
    found: dict[str, Any] = {"fertility": {}, "overlap": {}, "log_size": {}}
    texts = _texts(steps, store)
    for name, base in bases(steps, encoders).items():
        file = store.find(base, "tokenizer.json")
        if file:
            found["fertility"][name], found["overlap"][name] = _pieces(file, texts)
        if file and (sizes := _sizes(steps[base], store)):
            found["log_size"][name] = sizes
    return found


def bases(steps: Mapping[str, Step], encoders: Iterable[str]) -> dict[str, str]:
    """Encoder → fingerprint of the step that fetches or pretrains it."""
    labels = {step.label: fingerprint for fingerprint, step in steps.items()}
    named = {name: labels.get(f"pretrain {name}") or labels.get(f"fetch {name}") for name in encoders}
    return {name: fingerprint for name, fingerprint in named.items() if fingerprint}


def _texts(steps: Mapping[str, Step], store: Store) -> dict[str, list[str]]:
    """The first texts of each language, of the target that is scored in most languages.

    Not of retrieval, whose rows hold English sentences as well. Languages are compared on one target, whose rows often
    say the same in all of them, and never on pretraining texts, which say different things.
    """
    scored = [
        of for step in steps.values() if step.kind == "predict"
        for key, of in step.inputs.items() if key.startswith("rows.") and of in steps
    ]  # fmt: skip
    rows = {of: steps[of].arguments for of in dict.fromkeys(scored)}
    there = store.finished(of for of, told in rows.items() if told["task"]["type"] != "retrieval")
    groups: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for fingerprint, told in rows.items():
        if fingerprint in there:
            groups[told["task"]["name"], told["split"]][told["language"]] = fingerprint
    texts: dict[str, list[str]] = {}
    for code, fingerprint in max(groups.values(), key=len, default={}).items():
        file = store.find(fingerprint, "examples.parquet")
        columns = READ[rows[fingerprint]["task"]["type"]].TEXT_COLUMNS
        table = pq.read_table(file, columns=list(columns)).slice(0, TEXTS)
        texts[code] = [text for name in columns for text in map(_joined, table[name].to_pylist()) if text]
    return texts


def _joined(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else value or ""


def _pieces(file: Path, texts: dict[str, list[str]]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Fertility of each language, and overlap of each two, with the tokenizer of a file."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    pieces = {
        code: [encoded.ids for encoded in tokenizer.encode_batch_fast(found, add_special_tokens=False)]
        for code, found in texts.items()
    }
    of = {code: fertility(found, [len(ids) for ids in pieces[code]]) for code, found in texts.items()}
    kinds = {code: {i for ids in found for i in ids} for code, found in pieces.items()}
    overlap = {a: {b: round(subword_overlap(kinds[a], kinds[b]), 6) for b in kinds} for a in kinds}
    return {code: round(value, 6) for code, value in of.items() if not isnan(value)}, overlap


def fertility(texts: Sequence[str], pieces: Sequence[int]) -> float:
    """Sub-words per word (Rust et al. 2021, arXiv 2012.15613), from texts and the number of sub-words of each.

    Words are what spaces separate; NaN for texts whose spaces do not separate words.
    """
    words = [word for text in texts for word in text.split()]
    if not words or not WORDS[0] <= sum(map(len, words)) / len(words) <= WORDS[1]:
        return float("nan")
    return sum(pieces) / len(words)


def subword_overlap(one: Collection[int], other: Collection[int]) -> float:
    """Shared sub-words over the sum of both numbers of different ones, 0 to 0.5 (Lin et al. 2019, arXiv 1905.12688)."""
    a, b = set(one), set(other)
    return len(a & b) / (len(a) + len(b)) if a or b else float("nan")


def _sizes(step: Step, store: Store) -> dict[str, float]:
    """Logarithm of the characters of an encoder's pretraining text in each language; {} for one that was fetched."""
    rows = {key.removeprefix("rows."): of for key, of in step.inputs.items() if key.startswith("rows.")}
    files = {code: file for code, of in rows.items() if (file := store.find(of, "examples.parquet"))}
    counted = {code: pc.sum(pc.utf8_length(pq.read_table(file, columns=["text"])["text"])).as_py() or 0
               for code, file in files.items()}  # fmt: skip
    return {code: round(log(count), 6) for code, count in counted.items() if count}
