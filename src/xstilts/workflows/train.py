"""Train a model on a person's data: infer, plan, train, compare, take the best out."""

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xstilts.engine import Report, Store
from xstilts.errors import XstiltsError
from xstilts.workflows.model import Model
from xstilts.workflows.prepare_training import chosen_arms, executor, prepare
from xstilts.workflows.trained_model import finish
from xstilts.workflows.user_data.labelled_data import LabelledData
from xstilts.workflows.user_data.row_languages import codes_of
from xstilts.workflows.user_study import TrainingOptions


def train(
    data: Any, for_: Sequence[str], out: str | Path, *, text: str | Sequence[str] | None = None,
    label: str | None = None, language: str | None = None, kind: str | None = None, test: LabelledData = None,
    shots: LabelledData = None, intermediate: str = "", sources: str = "", compare: Sequence[str] = (),
    examples: int | None = None, encoder: str = "", translator: str = "", seeds: int = 1,
    epochs: int | None = None, learning_rate: float | None = None, batch_size: int = 32, max_length: int | None = None,
    lora: bool = False, class_weights: str = "", checkpoint: str = "last", seed: int = 1, licence: str = "",
    store: str | Path = "runs/store", device: str = "auto", jobs: int | None = None,
    per_gpu: int = 1, watch: Report = lambda event: None, note: Callable[[str], None] = lambda line: None,
) -> Model:  # fmt: skip
    """Train a model on labelled data in one language, for use in others, and write it into a folder.

    Args:
        data: a file (CSV, TSV, JSONL, JSON, Parquet, CoNLL, SQuAD), a DataFrame, a `datasets.Dataset`, columns, or
            dictionaries.
        for_: codes of the languages that the model is for.
        out: the folder of the model; `run/` in it has the study's run with its report.
        text, label, language, kind: columns and kind of the data, if they cannot be inferred.
        test: labelled rows to score on: a pattern with `{lang}`, language → data, or data with a column of languages.
        shots: a few labelled rows in the languages of the model to train on as well, given like `test`.
        intermediate, sources: a task to train on first, and languages for it, such as `near:3`.
        examples: of the intermediate task, by default 10,000.
        compare: several trainings, of which the best is taken: parts with `+` between them, which are `none`,
            `TASK[@STRATEGY[:COUNT]]`, `translate` and `shots`.
        encoder, translator: a folder or `OWNER/NAME[@REVISION]`; by default multilingual-e5-small and M2M-100 (418M)
            from the hub.
        seeds: runs of each training.
        max_length: tokens of a text that are read; by default 128, and 384 of a question with its context.
        lora: train low-rank adapters instead of all weights; needs the package peft.
        class_weights: `balanced` makes rare labels count more, for one label a row.
        checkpoint: the weights that are kept: `last`, `best` on the development rows, or `average` over the last ones.
        licence: of the data, for the model's card, such as `CC BY 4.0`.
        store: where finished steps are kept.
        jobs: steps at once, with a core each; if not told, as many as there are cores, and one training alone gets all.
        per_gpu: steps that may share a GPU, if their planned memory fits together.
        watch, note: called with events of steps, and with lines about what was inferred.

    Raises XstiltsError if the data cannot be understood, or a step fails.
    """
    _check_main_module()
    options = TrainingOptions(
        codes_of(for_), chosen_arms(compare, intermediate, sources, shots is not None), encoder, translator,
        seeds=seeds, examples=examples, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size,
        max_length=max_length, lora=lora, class_weights=class_weights, checkpoint=checkpoint, seed=seed,
        licence=licence,
    )  # fmt: skip
    columns: dict[str, Any] = {"text": text, "label": label, "language": language, "kind": kind}
    prepared = prepare(data, options, Path(out), columns, test=test, shots=shots, device=device)
    for line in prepared.notes:
        note(line)
    return finish(prepared, Store(store), Path(out), executor(prepared, jobs, per_gpu), watch)


def _check_main_module() -> None:
    """Raise XstiltsError if a process that runs steps has imported the script that calls `train`."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        why = "a process of its own runs each step, and imports the script first"
        hint = "put the call below `if __name__ == '__main__':`"
        raise XstiltsError("bad-argument", "`train` is called when its script is imported", why, hint)
