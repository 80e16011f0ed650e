"""The kinds of task that a person's data may form."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What sets a kind of task apart.

    type: the task type that trains it; texts: the columns that a model may read; gold: the column of gold labels;
    metrics: the first one judges; max_length: tokens that are read unless more are asked for; checked: whether the task
    type checks each example, and not the inference of columns.
    """

    type: str
    texts: tuple[str, ...]
    gold: str
    metrics: tuple[str, ...]
    max_length: int = 128
    checked: bool = False


KINDS = {
    "classification": Kind("classification", ("text_a",), "label", ("accuracy", "macro_f1")),
    "pair": Kind("classification", ("text_a", "text_b"), "label", ("accuracy", "macro_f1")),
    "multilabel": Kind("multilabel", ("text_a", "text_b"), "label", ("micro_f1", "macro_f1", "exact_match")),
    "tagging": Kind("tagging", ("tokens",), "tags", ("span_f1", "token_accuracy"), checked=True),
    "qa": Kind("qa", ("context", "question"), "answers", ("f1", "exact_match"), 384, checked=True),
    "choice": Kind("multiple_choice", ("context", "question", "choices"), "label", ("accuracy",), checked=True),
}
