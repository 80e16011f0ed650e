"""From a person's own examples and options to a study: what `train` runs, and anyone can repeat with `study`."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.costs.shapes import shape_of
from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.tasks.task import find_task
from xstilts.workflows.user_data.kinds import KINDS

Row = dict[str, Any]
USER_TASK = "user-task"
"""The name of the person's task in its study."""
DEFAULT_ENCODER = "intfloat/multilingual-e5-small@fd1525a9fd15316a2d503bf26ab031a61d056e98"
"""The smallest encoder that transfers: 118 million weights, a download of 471 MB."""
UPDATES, FEWEST_EPOCHS, MOST_EPOCHS = 300, 3, 30
"""Updates of a training by default, and the fewest and most epochs: with fewer updates, small encoders were
half-trained (docs/laptop.md)."""
DEFAULT_TRANSLATOR = "facebook/m2m100_418M"
"""A translator between 100 languages with 418 million weights, whose licence (MIT) allows any use."""
BATCH_SIZE, INTERMEDIATE_EXAMPLES = 32, 10_000
STRATEGIES = ("near", "far", "diverse", "random", "stratified", "all")
CHANGES: dict[str, Row] = {
    "translate": {"translated": "translator"},
    "shots": {"shots": "shots"},
    "lora": {"lora": {}},
    "balanced": {"class_weights": "balanced"},
    "best": {"checkpoint": "best"},
    "average": {"checkpoint": "average"},
}
"""Parts of an arm that change the training on the person's rows → settings of its `target_training`."""
SPLITS = ("train", "validation", "test", "shots")


@dataclass(frozen=True)
class TrainingOptions:
    """What a person wants from a training.

    languages: those that the model is for; arms: what is compared, as `parse_arm` reads them; encoder, translator: a
    folder or a repository, perhaps with `@REVISION`, "" for the default; seeds: runs of each arm; examples: of the
    intermediate training; epochs, learning_rate: of all trainings, None for the defaults; lora: train adapters only;
    class_weights: `balanced`, or "" for equal ones; checkpoint: `last`, `best` on the development rows,
    or `average`.
    """

    languages: tuple[str, ...]
    arms: tuple[str, ...] = ("none",)
    encoder: str = ""
    translator: str = ""
    seeds: int = 1
    examples: int | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int = BATCH_SIZE
    max_length: int | None = None
    lora: bool = False
    class_weights: str = ""
    checkpoint: str = "last"
    seed: int = 1
    licence: str = ""


def user_study(name: str, task: Row, language: str, rows: int, options: TrainingOptions) -> Row:
    """The settings of a study that trains what is wished for on `rows` examples of a person's task, an `user_task`.

    >>> task = user_task("classification", ("bad", "good"), ("text_a", "label"), ("en", "sw"))
    >>> study = user_study("reviews", task, "en", 1000, TrainingOptions(("sw",), ("none", "mnli")))
    >>> study["contrasts"], study["targets"]["user-task"]["training"]["epochs"]
    (['mnli - none'], 10)
    """
    encoder = _place(options.encoder or DEFAULT_ENCODER)
    hidden = shape_of(encoder["load"]).hidden
    rate = options.learning_rate or default_rate(hidden, options.lora)
    recipe = {"learning_rate": rate, "warmup": 0.1, "weight_decay": 0.01}
    common = {"batch_size": options.batch_size, "recipe": recipe} | ({"lora": {}} if options.lora else {})
    arms = {text: parse_arm(text) for text in options.arms}
    intermediate: Row = {}
    pool: list[str] = []
    for arm in arms.values():
        if "lora" in arm.get("target_training", {}):
            arm["target_training"]["learning_rate"] = options.learning_rate or default_rate(hidden, lora=True)
        if task_name := arm.get("intermediate", ""):
            examples = options.examples or INTERMEDIATE_EXAMPLES
            epochs = options.epochs or epochs_for(examples, options.batch_size)
            intermediate[task_name] = {"task": task_name, "examples": examples, "epochs": epochs, **common}
            pool += [code for code in find_task(task_name).languages if code not in (language, *options.languages)]
    pool = list(dict.fromkeys(pool)) if any("languages" in arm for arm in arms.values()) else []
    first, translates = options.arms[0], any("translated" in arm.get("target_training", {}) for arm in arms.values())
    epochs = options.epochs or epochs_for(rows, options.batch_size)
    weights = {"class_weights": options.class_weights} if options.class_weights else {}
    return {
        "name": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or USER_TASK,
        "question": f"Which training is best in {', '.join(options.languages)}?",
        "seed": options.seed,
        "replicates": options.seeds,
        "checkpoint": options.checkpoint,
        "equivalence": 1.0,
        "languages": {
            "anchor": language,
            "candidates": [*options.languages, *pool],
            "always_held_out": list(options.languages),
            "never_held_out": pool,
            "minimum": 1,
        },
        "encoders": {"encoder": encoder},
        "translators": {"translator": _place(options.translator or DEFAULT_TRANSLATOR)} if translates else {},
        "tasks": {USER_TASK: task},
        "intermediate": intermediate,
        "arms": arms,
        "targets": {USER_TASK: {"training": {"epochs": epochs, **common, **weights}}},
        "primary": [USER_TASK],
        "contrasts": [f"{text} - {first}" for text in options.arms[1:]],
    }


def user_task(
    kind: str, labels: Sequence[str], columns: Iterable[str], languages: Sequence[str], max_length: int | None = None,
    unanswerable: bool = False, licence: str = "", parallel: bool = False,
) -> Row:  # fmt: skip
    """The entry of a person's task, whose examples are in files that `write_examples` writes.

    columns: those of the examples, id and language aside; max_length: the usual one of the kind if None; unanswerable:
    whether a question may have no answer; licence: of the data, in words; parallel: whether rows of equal
    ids are translations of each other.
    """
    if "-1" in labels:
        why, hint = "data sets mark rows without a label by it", "write another word, such as negative"
        raise XstiltsError("bad-row", "the label '-1' is reserved", why, hint)
    facts = KINDS[kind]
    metrics = list(facts.metrics)
    if kind == "tagging" and not any(label[:2] in ("B-", "I-") for label in labels):
        metrics.reverse()  # parts of speech: there are no spans
    source = {
        "format": "jsonl",
        "files": {split: f"{split}-{{lang}}.jsonl" for split in SPLITS},
        "columns": {name: name for name in ("id", *columns)},
    }
    return {
        "type": facts.type,
        "labels": [] if kind == "choice" else list(labels),
        "languages": list(languages),
        "metrics": metrics,
        "max_length": max_length or facts.max_length,
        "unanswerable": unanswerable,
        "licence": licence,
        "parallel": parallel,
        "source": source | ({"cluster": "context"} if kind == "qa" else {}),
    }


def write_examples(folder: Path, splits: Mapping[tuple[str, str], pa.Table]) -> None:
    """Write examples by split and language as the files of `user_task`."""
    folder.mkdir(parents=True, exist_ok=True)
    for (split, code), table in splits.items():
        lines = []
        for row in table.drop_columns(["language"]).to_pylist():
            if "answers" in row:  # as SQuAD writes them
                row["answers"] = [{"text": a["text"], "answer_start": a["start"]} for a in row["answers"]]
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        write_atomically(folder / f"{split}-{code}.jsonl", "".join(lines))


def parse_arm(text: str) -> Row:
    """The settings of an arm.

    An arm is written as parts with `+` between them: `none` or `TASK[@STRATEGY[:COUNT]]`, and changes of the training
    on the person's rows: `translate` (these are machine-translated into the languages of the model), `shots` (labelled
    rows in these languages are added), `lora`, `balanced` (class weights), and `best` or `average` (checkpoint).

    >>> parse_arm("mnli_translated@far:2")
    {'intermediate': 'mnli_translated', 'languages': 'far', 'count': 2}
    >>> parse_arm("none+shots")
    {'target_training': {'shots': 'shots'}}
    """
    arm: Row = {}
    for part in text.split("+"):
        task, _, strategy = part.partition("@")
        if part in CHANGES and arm.get("target_training", {}).keys() & CHANGES[part].keys():
            what, why = f"cannot read the arm '{text}'", f"'{part}' and another part change the same setting"
            raise XstiltsError("bad-argument", what, why, "leave out one of them")
        if part in CHANGES:
            arm["target_training"] = arm.get("target_training", {}) | CHANGES[part]
        elif "intermediate" in arm:
            what, hint = f"cannot read the arm '{text}'", "write for example mnli+shots"
            raise XstiltsError("bad-argument", what, "an arm has one intermediate task", hint)
        elif part != "none":
            arm |= {"intermediate": find_task(task).name} | (_strategy(text, strategy) if strategy else {})
    return arm


def _strategy(text: str, strategy: str) -> Row:
    """The languages of an arm's intermediate task, as written after `@`."""
    name, _, count = strategy.partition(":")
    if name not in STRATEGIES or not (count or "1").isdigit() or count == "0":
        what, why = f"cannot read the arm '{text}'", f"after @ comes one of {', '.join(STRATEGIES)}, and perhaps :COUNT"
        raise XstiltsError("bad-argument", what, why, "write for example mnli_translated@far:2")
    return {"languages": name} | ({"count": int(count)} if count else {})


def epochs_for(rows: int, batch_size: int) -> int:
    """How often a training goes through its examples, to have about `UPDATES` updates.

    >>> epochs_for(1000, 32), epochs_for(20_000, 32), epochs_for(50, 32)
    (10, 3, 30)
    """
    per_epoch = max(1, round(rows / batch_size))
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(UPDATES / per_epoch)))


def default_rate(hidden: int, lora: bool = False) -> float:
    """The usual learning rate for an encoder of a width: smaller for larger ones (Devlin et al. 2019; docs/laptop.md),
    and ten times as high for low-rank adapters.

    >>> default_rate(384), default_rate(768), default_rate(1024)
    (0.0001, 2e-05, 1e-05)
    """
    return (10 if lora else 1) * (1e-4 if hidden <= 512 else 2e-5 if hidden < 1024 else 1e-5)


def longest_texts(options: TrainingOptions, usual: int) -> int:
    """The tokens of a text that are read: those asked for, else the usual number, or as many as the encoder reads.

    Raises XstiltsError if more are asked for than an encoder in a folder reads; one on the hub is not asked.
    """
    file = Path(options.encoder) / "config.json"
    if not options.encoder or not file.is_file():
        return options.max_length or usual
    config = json.loads(file.read_text(encoding="utf-8"))
    most = config.get("max_position_embeddings", usual)
    if "roberta" in config.get("model_type", ""):  # it counts positions from behind the id of padding
        most -= config.get("pad_token_id", 1) + 1
    if options.max_length and options.max_length > most:
        why, hint = f"the encoder reads at most {most}", "lower --max-length, or use another encoder"
        raise XstiltsError("bad-argument", f"--max-length is {options.max_length}", why, hint)
    return options.max_length or min(usual, most)


def _place(text: str) -> Row:
    """The entry of a model from a folder, or from `OWNER/NAME[@REVISION]`."""
    if Path(text).is_dir() and not (Path(text) / "config.json").is_file():
        why, hint = "config.json is missing", "give a folder in the format of `save_pretrained`"
        raise XstiltsError("missing-model", f"there is no model in {text}", why, hint)
    if Path(text).is_dir():  # a relative path begins with a dot, so that it is never taken for a repository
        return {"load": text if Path(text).is_absolute() else f"./{Path(text)}"}
    load, _, revision = text.partition("@")
    return {"load": load} | ({"revision": revision} if revision else {})
