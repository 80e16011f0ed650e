"""A trained model in a folder: load it, predict with it."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.errors import XstiltsError
from xstilts.hashing import checksum, digest
from xstilts.languages import language
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED, TaskType
from xstilts.workflows.model_inputs import cells_of_values, examples_table, prediction_rows
from xstilts.workflows.user_data.kinds import KINDS

STUDY, FACTS, CARD = "xstilts.json", "metrics.json", "README.md"
"""The study that a model comes from, what is known of it, and its card."""
RUN, DATA = "run", "data"
"""Below the model's folder: the run of its study, and below that the examples that this reads."""


class Model:
    """A model that `train` wrote into a folder; its weights are read when it first predicts.

    `folder` is where it is; `facts` what is known of it: kind, labels, scores and recommendation; `checksums` the
    SHA-256 of each of its files, which must have it when the model is read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            self.checksums: dict[str, str] = self.facts.pop("checksums")
            if self.facts.pop("hash") != facts_hash(self.facts, self.checksums):
                raise ValueError("it does not have the hash that it names")
            self.task = Task(**self.facts["task"])
            texts = (self.facts["labels"], self.facts["for"], *self.facts["columns"].values())
            fits = all(isinstance(value, str | list) for value in texts)
            if KINDS[self.facts["kind"]].type != self.task.type or not fits:
                raise ValueError("its entries do not fit together")
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            what, why = f"{folder / FACTS} is damaged", " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise XstiltsError("bad-file", what, why, "train the model again, or download it again") from None

    def __repr__(self) -> str:
        return f"<{self.facts['kind']} model in {self.folder}: {', '.join(self.task.labels[:5])}>"

    @property
    def labels(self) -> tuple[str, ...]:
        """The label words of the training data, in the order of the model's outputs; none for questions."""
        return tuple(self.facts["labels"])

    @property
    def inputs(self) -> dict[str, str]:
        """The columns that the model reads → those of its training data."""
        roles = KINDS[self.facts["kind"]].texts
        return {role: self.facts["columns"][role] for role in roles if role in self.facts["columns"]}

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
        from xstilts.models.encoders import load_finished, load_tokenizer

        self.verify()
        model = load_finished(self._kind.AUTO_CLASS, self.folder)
        outputs = tuple(model.config.id2label[i] for i in sorted(model.config.id2label))
        if self.task.labels and outputs != self.task.labels:
            what, why = f"config.json and {FACTS} in {self.folder} disagree", f"the model gives {', '.join(outputs)}"
            raise XstiltsError("inconsistent", what, why, "download it again, or train it again")
        return model, load_tokenizer(self.folder)

    def verify(self) -> None:
        """Raises XstiltsError of kind "damaged" if a file of the model is not what `train` wrote."""
        for name, recorded in self.checksums.items():
            file = self.folder / name
            if not file.is_file() or checksum(file) != recorded:
                what, why = f"the model in {self.folder} is damaged", f"{name} does not have its checksum in {FACTS}"
                raise XstiltsError("damaged", what, why, "download it again, or train it again")

    @property
    def _kind(self) -> TaskType:
        return FINE_TUNED[self.task.type]

    def predict(self, inputs: Iterable[Any], scores: bool = False, lang: str = "", device: str = "auto") -> list[Any]:
        """What the model predicts for each input: a label, labels, the tags of words, an answer.

        Args:
            inputs: texts; pairs of texts; texts or lists of words to tag; or objects with `context` and `question`, and
                `choices`, as in the training data.
            scores: whether to give pairs of prediction and probability; of an answer, its logits; not for tags.
            lang: the language of texts to tag, which decides where words end.

        Raises XstiltsError for inputs of another form; an empty text is predicted like any other.
        """
        if isinstance(inputs, str | Mapping):
            raise XstiltsError("bad-argument", "one input is given", "`predict` takes a list of them", "write [text]")
        kind, rows = self.facts["kind"], list(inputs)
        if scores and kind == "tagging":
            hint = "leave `scores` out"
            raise XstiltsError("bad-argument", "tags have no scores", "the model gives the best tag of a word", hint)
        cells = cells_of_values(list(self.inputs), rows, code := language(lang).code if lang else "")
        examples = examples_table(self.task.type, cells, [code] * len(rows))
        lines = prediction_rows(kind, self.labels, examples, self.predict_table(examples, device))
        values = [line[next(name for name in ("label", "tags", "answer") if name in line)] for line in lines]
        return [(value, line["score"]) for value, line in zip(values, lines, strict=True)] if scores else values

    def predict_table(self, examples: pa.Table, device: str = "auto") -> pa.Table:
        """Predictions for examples in the schema of the task type, in their order."""
        from xstilts.evaluation.predict import predict_examples

        if not len(examples):
            return pa.table({"prediction": [], "score": []})
        model, tokenizer = self._loaded
        return predict_examples(model, tokenizer, self.task, examples, device)


def facts_hash(facts: Mapping[str, Any], checksums: Mapping[str, str]) -> str:
    """The hash of everything else that is in a model's `metrics.json`."""
    return digest(json.dumps([facts, checksums]))


def load(folder: str | Path) -> Model:
    """The model that `train` wrote into a folder; raises XstiltsError if there is none."""
    path = Path(folder)
    if not (path / FACTS).is_file() or not (path / "config.json").is_file():
        why = f"{FACTS} or config.json is missing" if path.is_dir() else "there is no such folder"
        hint = "give the folder that `xstilts train -o` wrote to"
        raise XstiltsError("missing-model", f"there is no model in {folder}", why, hint)
    return Model(path)
