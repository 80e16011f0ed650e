"""A trained model in a folder: load it, predict with it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.errors import XstiltsError
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED, TaskType

STUDY, FACTS, CARD = "xstilts.json", "metrics.json", "README.md"
"""The study that a model comes from, what is known of it, and its card."""
Texts = Sequence[str] | Sequence[tuple[str, str]]
"""Texts, or pairs of texts for a model of pairs."""


class Model:
    """A model that `train` wrote into a folder; its weights are read when it first predicts.

    `folder` is where it is; `facts` what is known of it: kind, labels, scores and recommendation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        self.task = Task(**self.facts["task"])

    def __repr__(self) -> str:
        return f"<{self.facts['kind']} model in {self.folder}: {', '.join(self.task.labels[:5])}>"

    @property
    def labels(self) -> tuple[str, ...]:
        """The label words, in the order of the model's outputs."""
        return self.task.labels

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Language → `score`, `low`, `high`, `baseline`, `examples` on test rows; only languages that had some."""
        return dict(self.facts["scores"])

    @property
    def recommendation(self) -> str:
        """What the comparison of arms says, in words; "" if there was none."""
        return str(self.facts["recommendation"])

    @property
    def transformers(self) -> Any:
        """The model as an object of `transformers`, in evaluation mode."""
        return self._loaded[0]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from xstilts.models.encoders import load_model, load_tokenizer

        model, missing = load_model(self._kind.AUTO_CLASS, self.folder)
        if missing:
            what, why = f"the model in {self.folder} is incomplete", f"it lacks weights such as {missing[0]}"
            raise XstiltsError("bad-file", what, why, "train it again, or download it again")
        return model.eval(), load_tokenizer(self.folder)

    @property
    def _kind(self) -> TaskType:
        return FINE_TUNED[self.task.type]

    def predict(self, texts: Texts, scores: bool = False, device: str = "auto") -> list[Any]:
        """The label of each text, or with `scores` pairs of label and probability.

        Raises XstiltsError if texts are not texts, or not pairs for a model of pairs; an empty text is predicted like
        any other.
        """
        rows = list(texts)
        pairs = self.facts["kind"] == "pair"
        fits = all(isinstance(row, tuple | list) and len(row) == 2 for row in rows) if pairs else True
        flat: list[Any] = [part for row in rows for part in row] if pairs and fits else rows
        if not fits or not all(isinstance(part, str) for part in flat):
            wanted = "pairs of texts" if pairs else "texts"
            raise XstiltsError("bad-argument", "cannot predict for these values", f"the model takes {wanted}", wanted)
        first, second = [row[0] for row in rows] if pairs else flat, [row[1] for row in rows] if pairs else None
        predictions = self.predict_table(examples_table(first, second), device)
        words, shares = predictions["prediction"].to_pylist(), predictions["score"].to_pylist()
        return list(zip(words, shares, strict=True)) if scores else words

    def predict_table(self, examples: pa.Table, device: str = "auto") -> pa.Table:
        """Predictions for examples in the schema of the task type, in their order."""
        if not len(examples):
            return pa.table({"prediction": pa.array([], pa.string()), "score": pa.array([], pa.float32())})
        from xstilts.evaluation.predict import attach_example_ids, run_model
        from xstilts.models.hardware import choose_device, choose_precision, device_class

        place = choose_device(device_class(device))
        model, tokenizer = self._loaded
        encoded = self._kind.encode(examples, self.task, tokenizer, self.task.max_length)
        precision = choose_precision(place.type)
        extracted = run_model(model.to(place), self._kind, encoded, tokenizer.pad_token_id, place, precision)
        return attach_example_ids(examples, self._kind.predict(extracted, encoded, examples, self.task))


def load(folder: str | Path) -> Model:
    """The model that `train` wrote into a folder; raises XstiltsError if there is none."""
    path = Path(folder)
    if not (path / FACTS).is_file() or not (path / "config.json").is_file():
        why = f"{FACTS} or config.json is missing" if path.is_dir() else "there is no such folder"
        hint = "give the folder that `xstilts train -o` wrote to"
        raise XstiltsError("missing-model", f"there is no model in {folder}", why, hint)
    return Model(path)


def examples_table(
    texts: Sequence[str], second: Sequence[str] | None = None, labels: Sequence[str | None] | None = None,
    language: str | Sequence[str] = "",
) -> pa.Table:  # fmt: skip
    """Texts, or pairs of texts, as a table of classification examples; each is a cluster of its own."""
    ids = [str(i) for i in range(len(texts))]
    codes = [language] * len(ids) if isinstance(language, str) else list(language)
    columns: dict[str, Any] = {"id": ids, "cluster_id": ids, "language": codes, "text_a": texts}
    nothing: list[str | None] = [None] * len(ids)
    columns |= {"text_b": second or nothing, "label": labels or nothing}
    schema = FINE_TUNED["classification"].SCHEMA
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names})


def predict_lines(model: Model, batches: Iterable[pa.Table], device: str = "auto") -> Iterator[dict[str, Any]]:
    """For each row of tables with the columns `text_a` and perhaps `text_b` its `label` and `score`, in order."""
    for batch in batches:
        second = batch["text_b"].to_pylist() if "text_b" in batch.column_names else None
        predictions = model.predict_table(examples_table(batch["text_a"].to_pylist(), second), device)
        for word, share in zip(predictions["prediction"].to_pylist(), predictions["score"].to_pylist(), strict=True):
            yield {"label": word, "score": round(share, 4)}
