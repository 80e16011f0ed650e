"""The features that need texts, tokenizer and encoder, from the store of a run's steps."""

import json
from collections import defaultdict
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.analysis.runs import MEASURED, Run
from xstilts.analysis.transfer.features import Numbers, read_measured
from xstilts.analysis.transfer.transferability import fertility, h_score, log_me, subword_overlap
from xstilts.data.prepare import read_rows
from xstilts.engine import Step, Store, write_atomically
from xstilts.engine.store import MANIFEST
from xstilts.errors import MISSING, XstiltsError
from xstilts.tasks.task import Task
from xstilts.tasks.types import READ

TEXTS = 500
"""Rows of each language that are looked at."""
CLASSES = "classification"
"""The task type whose rows have one class each, as LogME and H-score need."""


def measure(run: Run, store: Path) -> None:
    """Writes what the run's texts, tokenizers and untouched encoders say into the run folder; what is there is kept.

    Sub-words are those of the first rows of the task and split that most languages have, unlabelled; LogME and H-score
    are of the mean of an encoder's last hidden states on training rows of intermediate classification tasks.
    Raises XstiltsError where the store does not have the run's encoders.
    """
    there = Store(store)
    steps = dict(_steps(run, there))
    bases = {name: fingerprint for name in run.encoders for fingerprint, step in steps.items()
             if step.label in (f"pretrain {name}", f"fetch {name}")}  # fmt: skip
    if not bases:
        raise XstiltsError(f"{store} does not hold the encoders of {run.folder}", "its steps are kept elsewhere",
                           "give the folder that `study` had as --store", MISSING)  # fmt: skip
    found: Numbers = defaultdict(dict)
    texts = _texts(steps, there)
    for name, base in bases.items():
        found["fertility"][name], found["overlap"][name] = _subwords(there.path(base), texts)
        found["logme"][name], found["h_score"][name] = _scores(base, steps, there)
        if sizes := _sizes(steps[base], there):
            found["log_size"][name] = sizes
    merged = {key: {**found.get(key, {}), **own} for key, own in read_measured(run).items()}
    text = json.dumps({**found, **merged}, indent=1, ensure_ascii=False)
    write_atomically(run.folder / MEASURED, text)


def _steps(run: Run, store: Store) -> Iterator[tuple[str, Step]]:
    for fingerprint in run.plan["steps"]:
        if store.has(fingerprint):
            manifest = json.loads((store.path(fingerprint) / MANIFEST).read_text(encoding="utf-8"))
            yield fingerprint, Step(**manifest["step"])


def _texts(steps: dict[str, Step], store: Store) -> dict[str, list[str]]:
    """The first texts of each language, of the task and split that has most languages.

    Not of retrieval, whose rows hold English sentences as well.
    """
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for fingerprint, step in steps.items():
        if step.kind == "rows" and step.arguments["task"]["type"] != "retrieval":
            of = step.arguments["task"]["name"], step.arguments["split"]
            found[of][step.arguments["language"]] = fingerprint
    if not found:
        return {}
    most = max(found.values(), key=len)
    texts = {}
    for code, fingerprint in most.items():
        rows = read_rows([store.path(fingerprint)]).slice(0, TEXTS)
        texts[code] = [text for name in READ[steps[fingerprint].arguments["task"]["type"]].TEXT_COLUMNS
                       for text in map(_joined, rows[name].to_pylist()) if text]  # fmt: skip
    return texts


def _joined(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else value or ""


def _subwords(folder: Path, texts: dict[str, list[str]]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Fertility of each language, and overlap of each two, with a model's own tokenizer."""
    from xstilts.models.encoders import load_tokenizer

    tokenizer = load_tokenizer(folder)
    pieces = {code: tokenizer(found, add_special_tokens=False)["input_ids"] for code, found in texts.items()}
    of = {code: fertility(found, [len(ids) for ids in pieces[code]]) for code, found in texts.items()}
    kinds = {code: {i for ids in found for i in ids} for code, found in pieces.items()}
    overlap = {a: {b: round(subword_overlap(kinds[a], kinds[b]), 6) for b in kinds if b != a} for a in kinds}
    return {code: round(value, 6) for code, value in of.items() if value == value}, overlap


def _scores(base: str, steps: dict[str, Step], store: Store) -> tuple[Numbers, Numbers]:
    """LogME and H-score {task: {language: value}} of the untouched encoder on what was trained next."""
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    tasks = {}
    trained = [step for step in steps.values() if step.kind == "train" and step.inputs["encoder"] == base]
    for one, key, told in [(step, key, told) for step in trained for key, told in step.arguments["tasks"].items()]:
        if told["task"]["type"] == CLASSES:
            name, start = told["task"]["name"], f"train.{key}."
            tasks[name] = told["task"], told["max_length"]
            rows[name] |= {put.removeprefix(start): of for put, of in one.inputs.items() if put.startswith(start)}
    logme: Numbers = {name: {} for name in tasks}
    h: Numbers = {name: {} for name in tasks}
    for name, (entry, length) in tasks.items():
        for code, fingerprint in rows[name].items():
            table = read_rows([store.path(fingerprint)]).slice(0, TEXTS)
            vectors, labels = _embeddings(store.path(base), table, Task(**entry), length)
            logme[name][code], h[name][code] = round(log_me(vectors, labels), 6), round(h_score(vectors, labels), 6)
    return logme, h


def _embeddings(folder: Path, table: pa.Table, task: Task, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean last hidden states [n, h] and class numbers [n]."""
    import torch

    from xstilts.evaluation.retrieve import embed
    from xstilts.models.encoders import load_base, load_tokenizer
    from xstilts.tasks import classification

    tokenizer, model = load_tokenizer(folder), load_base(folder)
    encoded = classification.encode(table, task, tokenizer, length)
    last = model.config.num_hidden_layers
    vectors = embed(model, encoded, tokenizer.pad_token_id, torch.device("cpu"), [last])[0]
    assert encoded.labels is not None
    return vectors, encoded.labels


def _sizes(step: Step, store: Store) -> dict[str, float]:
    """Logarithm of the characters of pretraining text in each language, for an encoder that was pretrained here."""
    rows = {key.removeprefix("rows."): of for key, of in step.inputs.items() if key.startswith("rows.")}
    counted = {code: sum(map(len, read_rows([store.path(of)])["text"].to_pylist()))
               for code, of in rows.items() if store.has(of)}  # fmt: skip
    return {code: round(log(count), 6) for code, count in counted.items() if count}
