"""The features that need labelled texts and untouched encoders, from the store of a run's steps."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from xstilts.data.prepare import read_examples
from xstilts.engine import Step, Store, read_steps, write_atomically
from xstilts.errors import XstiltsError
from xstilts.evaluation.subwords import SUBWORDS, TEXTS, bases, write_subwords
from xstilts.runs.language_features import MEASURED, Numbers, read_numbers
from xstilts.runs.reader import STEPS, Run
from xstilts.tasks.task import Task
from xstilts.transfer.transferability import h_score, log_me

CLASSES = "classification"
"""The task type whose rows have one class each, as LogME and H-score need."""


def measure(run: Run, store: Store) -> None:
    """Writes LogME and H-score of the run's untouched encoders into the run folder, and what its tokenizers make of
    its texts where the study itself did not.

    They are of the mean of an encoder's last hidden states on training rows of intermediate classification tasks, and
    replace what the file says of these; all else in it is kept. Raises XstiltsError where the store does not have the
    run's encoders.
    """
    planned = read_steps(run.folder / STEPS)[0].steps
    finished = store.finished(planned)
    steps = {fingerprint: step for fingerprint, step in planned.items() if fingerprint in finished}
    encoders = bases(steps, run.encoders)
    if not encoders:
        raise XstiltsError("missing-file", f"{store.place} does not hold the encoders of {run.folder}", "its steps are kept elsewhere",
                           "give what `study` had as --store")  # fmt: skip
    if not (run.folder / SUBWORDS).is_file():
        write_subwords(run.folder, steps, run.encoders, store)
    file = run.folder / MEASURED
    told = read_numbers(file)
    for name, base in encoders.items():
        for key, found in zip(("logme", "h_score"), _scores(base, steps, store), strict=True):
            told[key] = {**told.get(key, {}), name: found}
    write_atomically(file, json.dumps(told, indent=1, ensure_ascii=False))


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
            table = read_examples([store.open(fingerprint)]).slice(0, TEXTS)
            vectors, labels = _embeddings(store.open(base), table, Task(**entry), length)
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
