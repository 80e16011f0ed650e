"""From a person's own examples and wishes to a study: what `train` runs, and anyone can repeat with `study`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.costs.shapes import shape_of
from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.tasks.task import find_task

OWN = "own"
"""The name of the person's task in its study."""
DEFAULT_ENCODER = "intfloat/multilingual-e5-small@fd1525a9fd15316a2d503bf26ab031a61d056e98"
"""The smallest encoder that transfers: 118 million weights, a download of 471 MB."""
UPDATES, FEWEST_EPOCHS, MOST_EPOCHS = 300, 3, 30
"""A training that is left to itself has about as many updates: with fewer, small encoders were half-trained
(docs/laptop.md)."""
BATCH_SIZE = 32
STRATEGIES = ("near", "far", "diverse", "random", "stratified", "all")
TYPES = {"classification": "classification", "pair": "classification"}
"""Kind of the person's data → task type."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Wishes:
    """What a person wants from a training.

    languages: those that the model is for; arms: what is compared, each `none` or `TASK[@STRATEGY[:COUNT]]`; encoder: a
    folder or a repository, perhaps with `@REVISION`; seeds: runs of each arm; examples, epochs, learning_rate: of the
    intermediate training and of all trainings, None for the defaults.
    """

    languages: tuple[str, ...]
    arms: tuple[str, ...] = ("none",)
    encoder: str = DEFAULT_ENCODER
    seeds: int = 1
    examples: int | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int = BATCH_SIZE
    max_length: int = 128
    seed: int = 1


def own_study(name: str, kind: str, labels: tuple[str, ...], language: str, rows: int, wishes: Wishes) -> Row:
    """The settings of a study that trains what is wished on `rows` examples of a person's task.

    >>> study = own_study("reviews", "classification", ("bad", "good"), "en", 1000, Wishes(("sw",), ("none", "mnli")))
    >>> study["contrasts"], study["targets"]["own"]["training"]["epochs"]
    (['mnli - none'], 10)
    """
    encoder = _encoder(wishes.encoder)
    rate = wishes.learning_rate or default_rate(shape_of(encoder["load"]).hidden)
    recipe = {"learning_rate": rate, "warmup": 0.1, "weight_decay": 0.01}
    common = {"batch_size": wishes.batch_size, "recipe": recipe}
    arms, intermediate, pool = {}, {}, []
    for text in wishes.arms:
        arm, task = parse_arm(text)
        arms[text] = arm
        if task:
            examples = wishes.examples or 10_000
            epochs = wishes.epochs or epochs_for(examples, wishes.batch_size)
            intermediate[task] = {"task": task, "examples": examples, "epochs": epochs, **common}
            pool += [code for code in find_task(task).languages if code not in (language, *wishes.languages)]
    pool = list(dict.fromkeys(pool)) if any("languages" in arm for arm in arms.values()) else []
    first = wishes.arms[0]
    epochs = wishes.epochs or epochs_for(rows, wishes.batch_size)
    return {
        "name": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or OWN,
        "question": f"Which training is best in {', '.join(wishes.languages)}?",
        "seed": wishes.seed,
        "replicates": wishes.seeds,
        "checkpoint": "last",
        "equivalence": 1.0,
        "languages": {
            "anchor": language,
            "candidates": [*wishes.languages, *pool],
            "always_held_out": list(wishes.languages),
            "never_held_out": pool,
            "minimum": 1,
        },
        "encoders": {"encoder": encoder},
        "tasks": {OWN: own_task(kind, labels, (language, *wishes.languages), wishes.max_length)},
        "intermediate": intermediate,
        "arms": arms,
        "targets": {OWN: {"training": {"epochs": epochs, **common}}},
        "primary": [OWN],
        "contrasts": [f"{text} - {first}" for text in wishes.arms[1:]],
    }


def own_task(kind: str, labels: tuple[str, ...], languages: tuple[str, ...], max_length: int) -> Row:
    """The entry of a person's task, whose examples are in files that `write_examples` writes."""
    if kind not in TYPES:
        why, hint = "`train` learns to classify texts and pairs of texts", "describe the task in a study: docs/tasks.md"
        raise XstiltsError("unsupported", f"data of the kind '{kind}' cannot be trained on here yet", why, hint)
    if "-1" in labels:
        why, hint = "data sets mark rows without a gold label so", "write another word, such as negative"
        raise XstiltsError("bad-row", "a label is '-1'", why, hint)
    columns = ["id", "text_a", *(["text_b"] if kind == "pair" else []), "label"]
    files = {split: f"{split}-{{lang}}.jsonl" for split in ("train", "validation", "test")}
    return {
        "type": TYPES[kind],
        "labels": list(labels),
        "languages": list(languages),
        "metrics": ["accuracy", "macro_f1"],
        "max_length": max_length,
        "source": {"format": "jsonl", "files": files, "columns": {name: name for name in columns}},
    }


def write_examples(folder: Path, splits: Mapping[tuple[str, str], pa.Table]) -> None:
    """Write examples by split and language as the files of `own_task`."""
    folder.mkdir(parents=True, exist_ok=True)
    for (split, code), table in splits.items():
        names = [name for name in ("text_a", "text_b", "label") if name in table.column_names]
        rows = table.select(names).to_pylist()
        lines = (json.dumps({"id": f"{code}-{i}", **row}, ensure_ascii=False) for i, row in enumerate(rows))
        write_atomically(folder / f"{split}-{code}.jsonl", "".join(f"{line}\n" for line in lines))


def parse_arm(text: str) -> tuple[Row, str]:
    """The settings of an arm that is written `none` or `TASK[@STRATEGY[:COUNT]]`, and its intermediate task.

    >>> parse_arm("mnli_translated@far:2")
    ({'intermediate': 'mnli_translated', 'languages': 'far', 'count': 2}, 'mnli_translated')
    >>> parse_arm("none")
    ({}, '')
    """
    if text == "none":
        return {}, ""
    task, _, strategy = text.partition("@")
    find_task(task)
    if not strategy:
        return {"intermediate": task}, task
    name, _, count = strategy.partition(":")
    if name not in STRATEGIES or not (count or "1").isdigit() or count == "0":
        what, why = f"cannot read the arm '{text}'", f"after @ comes one of {', '.join(STRATEGIES)}, and perhaps :COUNT"
        raise XstiltsError("bad-argument", what, why, "write for example mnli_translated@far:2")
    return {"intermediate": task, "languages": name} | ({"count": int(count)} if count else {}), task


def epochs_for(rows: int, batch_size: int) -> int:
    """How often a training goes through its examples, to have about `UPDATES` updates.

    >>> epochs_for(1000, 32), epochs_for(20_000, 32), epochs_for(50, 32)
    (10, 3, 30)
    """
    per_epoch = max(1, round(rows / batch_size))
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(UPDATES / per_epoch)))


def default_rate(hidden: int) -> float:
    """The usual learning rate for an encoder of a width: smaller for larger ones (Devlin et al. 2019; docs/laptop.md).

    >>> default_rate(384), default_rate(768), default_rate(1024)
    (0.0001, 2e-05, 1e-05)
    """
    return 1e-4 if hidden <= 512 else 2e-5 if hidden < 1024 else 1e-5


def _encoder(text: str) -> Row:
    """An encoder's entry from a folder, or from `OWNER/NAME[@REVISION]`."""
    if Path(text).is_dir():
        return {"load": str(Path(text).resolve())}
    load, _, revision = text.partition("@")
    return {"load": load} | ({"revision": revision} if revision else {})
