"""Compare the items of a prediction file with those of the gold labels, and say how they differ."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from xstilts.errors import XstiltsError
from xstilts.tasks.task import BETWEEN_LABELS
from xstilts.workflows.predictions.prediction_formats import TAGGED, Content, Label, Prediction

SPAN_TAG = re.compile(r"O|[BIES]-\S+")


@dataclass(frozen=True)
class Options:
    """How files are read: see `compare_files`."""

    task_type: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    pattern: str = ""
    parallel: bool = False
    skip_mismatched: bool = False


@dataclass
class LanguageItems:
    """The items of one language that are compared: gold labels, what each item shares with others, and the predictions
    of each system (0 is left) and seed; left_out: items whose gold and predictions differ."""

    gold: list[Label]
    clusters: list[str]
    predictions: dict[tuple[int, str], list[Label]]
    left_out: int = 0


@dataclass
class TaskItems:
    """The items of one task by language; metric: the task's default, "" for the first of its type; files: path and
    format, then system (0 is left), language and seed, of what was read; notes: what a user should know of it."""

    task: str
    task_type: str
    languages: dict[str, LanguageItems]
    metric: str = ""
    files: list[tuple[Path, str, int, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def match_items(
    code: str,
    gold: tuple[Content, list[Prediction]],
    systems: Mapping[tuple[int, str], tuple[Content, list[Prediction]]],
    task: TaskItems,
    options: Options,
) -> dict[int | str, str]:
    """Add the items of one language to the task, without those whose gold and predictions differ; returns these by
    number (or by id, if gold does not have it), with the first difference of each in words."""
    gold_file = gold[0]
    examples = [
        replace(each, label=_of_type(each.label, task.task_type, True, gold_file.path, each.line)) for each in gold[1]
    ]
    by_id = examples[0].id is not None
    differences: dict[int | str, str] = {}
    matched: dict[tuple[int, str], list[Prediction | None]] = {}
    for key, (content, predictions) in systems.items():
        typed = [_typed(each, task.task_type, content.path) for each in predictions]
        has_id = typed[0].id is not None
        if by_id and has_id:
            found = {each.id: each for each in typed}
            matched[key] = [found.pop(example.id, None) for example in examples]
            for extra in found.values():
                text = f"{content.path}, line {extra.line}: id '{extra.id}' is not in {gold_file.path}"
                differences.setdefault(str(extra.id), text)
        else:
            if len(typed) != len(examples):
                raise _other_number(gold_file, examples, content, typed, task.task_type)
            matched[key] = list(typed)
            if by_id != has_id:
                task.notes.append("predictions and gold labels are matched by order, because only one of them has ids")
        for i, (example, each) in enumerate(zip(examples, matched[key], strict=True)):
            if i not in differences and (text := _difference(i, gold_file, example, content, each, task.task_type)):
                differences[i] = text
    kept = [i for i in range(len(examples)) if i not in differences]
    if not kept:
        why = next(iter(differences.values()))
        what = f"no item{f' in {code}' * bool(code)} has the same gold and predictions"
        raise XstiltsError("inconsistent", what, why, "compare with the gold labels of the same data")
    task.languages[code] = LanguageItems(
        [examples[i].label for i in kept],
        [_cluster(code, i, examples[i], gold_file, options) for i in kept],
        {key: [each.label for i in kept if (each := column[i])] for key, column in matched.items()},
        len(differences),
    )
    return {key: differences[key] for key in sorted(differences, key=lambda key: (isinstance(key, str), key))}


def _cluster(code: str, number: int, example: Prediction, gold: Content, options: Options) -> str:
    """The name of what an item shares with others: by column or document, else its id, else its own number."""
    if "cluster" in options.columns and not example.cluster:
        what, why = f"{gold.path} has no column of clusters", "the format has no columns with names"
        raise XstiltsError(
            "bad-argument", what, why, f"leave --clusters out; lines -DOCSTART- begin documents in {TAGGED}"
        )
    name = example.cluster or example.id or str(number)
    shared = options.parallel or (gold.format != TAGGED and (example.cluster or example.id is not None))
    return name if shared else f"{code}: {name}"


def _typed(each: Prediction, task_type: str, path: Path) -> Prediction:
    """A prediction, and the gold label next to it, in the form of the task type: tags, gold answers and, sorted, the
    labels of a text as tuples."""
    gold = None if each.gold is None else _of_type(each.gold, task_type, True, path, each.line)
    return replace(each, label=_of_type(each.label, task_type, False, path, each.line), gold=gold)


def _of_type(label: Label, task_type: str, is_gold: bool, path: Path, line: int) -> Label:
    if isinstance(label, str) and task_type == "tagging":
        return tuple(label.split())
    if task_type == "multilabel":
        words = filter(None, map(str.strip, label.split(BETWEEN_LABELS))) if isinstance(label, str) else label
        return tuple(sorted(set(words)))
    if task_type == "qa" and is_gold:  # a question without an answer has none, and not an empty one
        return tuple(filter(None, (label,) if isinstance(label, str) else label))
    if isinstance(label, tuple) and task_type in ("classification", "qa"):
        what, why = f"{path}, line {line}: several labels", f"an item of {task_type} has one"
        raise XstiltsError("bad-file", what, why, "check --task-type, or write one label")
    return label


def _difference(
    number: int, gold: Content, example: Prediction, content: Content, each: Prediction | None, task_type: str
) -> str:
    """How gold and prediction of an item differ, in words; "" if they do not."""
    item = f"id '{example.id}'" if example.id is not None else f"sentence {number + 1:,}"
    if each is None:
        return f"{content.path}: no prediction for {item} of {gold.path}"
    size, gold_size = len(each.label), len(example.label)
    if example.tokens is not None and each.tokens is not None:
        tokens, gold_tokens = map(list, (each.tokens, example.tokens))
        if tokens != gold_tokens and list(map(_normal, tokens)) != list(map(_normal, gold_tokens)):
            pairs = zip(tokens, gold_tokens, strict=False)
            shared = min(len(tokens), len(gold_tokens))
            place = next((i for i, pair in enumerate(pairs) if _normal(pair[0]) != _normal(pair[1])), shared)
            line, gold_line = (at.line + place * (of.format == TAGGED) for at, of in ((each, content), (example, gold)))
            texts = _around(tokens, place), _around(gold_tokens, place)
            return f"{content.path}, line {line:,} ({item}): {texts[0]}\n{gold.path}, line {gold_line:,}: {texts[1]}"
    if task_type == "tagging" and size != gold_size:
        return f"{content.path}, line {each.line:,} ({item}): {size} tags, {gold.path} has {gold_size}"
    if each.gold is not None and each.gold != example.label:
        return f"{content.path}, line {each.line:,} ({item}): another gold label than {gold.path}"
    return ""


def _around(tokens: Sequence[str], place: int) -> str:
    """A token of a sentence with the two before it and the two after it."""
    first, last = max(0, place - 2), place + 3
    text = " ".join(tokens[first:last]) or "nothing"
    return f"'{'… ' * (first > 0)}{text}{' …' * (last < len(tokens))}'"


def _normal(token: str) -> str:
    return unicodedata.normalize("NFC", token)


def _other_number(
    gold: Content, examples: Sequence[Prediction], content: Content, predictions: Sequence[Prediction], task_type: str
) -> XstiltsError:
    unit = "sentences" if task_type == "tagging" else "items"
    what = f"{content.path} has {len(predictions):,} {unit}, and {gold.path} has {len(examples):,}"
    pairs = enumerate(zip(examples, predictions, strict=False))
    texts = (_difference(i, gold, example, content, each, task_type) for i, (example, each) in pairs)
    why = next(filter(None, texts), "they are matched by their order, and one file ends before the other")
    hint = f"predict the same {unit} in the same order; --skip-mismatched needs equal numbers of them"
    return XstiltsError("inconsistent", what, why, hint)


def check_labels(task: TaskItems, metric: str) -> None:
    """Raise XstiltsError if a label is empty, the labels of gold and predictions have nothing in common, or spans are
    judged and a tag is not that of a span; labels that only predictions have are noted."""
    if task.task_type == "qa":
        return
    for code, items in task.languages.items():
        where = f" in {code}" if code else ""
        gold, predicted = label_words(items.gold), set().union(*map(label_words, items.predictions.values()))
        wrong = sorted(tag for tag in gold | predicted if not SPAN_TAG.fullmatch(tag))
        if metric == "span_f1" and wrong:
            seed = next((seed for seed, labels in items.predictions.items() if wrong[0] in label_words(labels)), None)
            path = next(
                (path for path, _, *key in task.files if (key[0], key[2]) == seed and key[1] == code), "gold labels"
            )
            what, why = f"{path}: '{wrong[0][:40]}' is not the tag of a span{where}", "span_f1 reads B-PER, I-PER, O"
            hint = "convert the tags to IOB or IOBES, or score the tag of each word with --metric token_accuracy"
            raise XstiltsError("bad-file", what, why, hint)
        unknown = sorted(predicted - gold)
        if empty := [word for word in (*unknown, *gold & {""}) if word.lower() in ("", "nan")]:
            what = f"a label is {'empty' if not empty[0] else repr(empty[0])}{where}"
            raise XstiltsError(
                "bad-file", what, "every item needs a gold label and a prediction", "write what is missing"
            )
        if metric != "span_f1" and gold and predicted and not gold & predicted:
            shown = [", ".join(sorted(labels)[:5]) for labels in (gold, predicted)]
            what, why = f"no prediction is a gold label{where}", f"gold has {shown[0]}; the predictions have {shown[1]}"
            raise XstiltsError("inconsistent", what, why, "use the same label words in both")
        if metric != "span_f1" and unknown:
            task.notes.append(f"predicted labels that gold does not have{where}: {', '.join(unknown[:5])}")


def label_words(labels: Iterable[Label]) -> set[str]:
    """The different labels, or tags of sentences."""
    return {word for label in labels for word in ((label,) if isinstance(label, str) else label)}


def constant_prediction(task_type: str, gold: Sequence[Label], predicted: Sequence[Label]) -> str:
    """What is predicted for every item, in words, although gold labels differ; "" if predictions differ as well, as
    answers do."""
    if task_type == "multilabel":
        predicted, gold = ([BETWEEN_LABELS.join(each) for each in labels] for labels in (predicted, gold))
    labels = label_words(predicted)
    if task_type == "qa" or len(labels) != 1 or len(label_words(gold)) < 2:
        return ""
    label = labels.pop()
    return f"'{label}'" if label else "no label"
