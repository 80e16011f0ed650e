"""Files in the benchmark's own layout: a folder per task, `test-{lang}.tsv` or `test-{lang}.json` in it.

Reading never stops at a mistake: all mistakes in a file are collected in `Mistakes`, with their lines.
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from xstilts.errors import XstiltsError, and_more, did_you_mean
from xstilts.languages import language
from xstilts.tasks.spelling import INVISIBLE
from xstilts.tasks.xtreme import Target, Targets

NOT_HIDDEN = "[!.]*"
SHOWN = 10
"""Different mistakes that are listed for one file; the rest are counted."""


class Mistakes:
    """The mistakes in one file. The same mistake in further lines is counted and not listed again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first: dict[str, int | str] = {}
        self.count: Counter[str] = Counter()

    def add(self, what: str, where: int | str = 0) -> None:
        """Add a mistake in a line, counted from 1, or in the line of a JSON string; 0 if no line can be named."""
        self.first.setdefault(what, where)
        self.count[what] += 1

    def __iter__(self) -> Iterator[str]:
        for what, where in list(self.first.items())[:SHOWN]:
            number = where
            if isinstance(where, str):  # written with escapes, it is not in the text
                string = json.dumps(where, ensure_ascii=False)
                before, string, _ = self.path.read_text(encoding="utf-8").partition(string)
                number = before.count("\n") + 1 if string else 0
            line = f", line {number}" if number else ""
            yield f"{self.path}{line}: {what}{and_more(self.count[what] - 1, 'time')}"
        if len(self.first) > SHOWN:
            yield f"{self.path}: further kinds of mistakes: {len(self.first) - SHOWN:,}"

    def __bool__(self) -> bool:
        return bool(self.first)


def all_mistakes(mistakes: list[str], hint: str) -> XstiltsError:
    """The error that lists all of them."""
    what = f"{len(mistakes)} mistake{'s' * (len(mistakes) != 1)}"
    return XstiltsError("bad-file", what, "\n       ".join(mistakes), hint)


def check_folders(*folders: Path | None) -> None:
    """Raises XstiltsError if one of the folders does not exist; None stands for no folder."""
    for folder in folders:
        if folder and not folder.is_dir():
            why = "predictions and labels are folders with one folder per task"
            raise XstiltsError("missing-file", f"there is no folder {folder}", why, "check the path")


def read_both(
    predictions: Path, labels: Path | None, target: Target, code: str, submission: bool = False
) -> tuple[Any, Any, list[str]]:
    """Golds and predictions of a task in a language, and every mistake in the two files.

    Both are lines, or pairs of ids; of questions the golds are [(id, answers)] and the predictions {id: answer}, of
    queries {id: ids of candidates} both. Golds are None without a folder of labels. submission: whether ids are checked
    as well, since the benchmark needs them.
    """
    in_predicted = Mistakes(predictions / target.name / target.file(code))
    predicted = _read(in_predicted.path, target, in_predicted, gold=False)
    for number, (first, second) in enumerate(predicted if submission and target.kind == "pairs" else (), 1):
        if not first.startswith(f"{code}-") or not second.startswith("en-"):
            in_predicted.add(f"expected an id that begins with '{code}-', a tab, and one with 'en-'", number)
    if labels is None:
        return None, predicted, list(in_predicted)
    in_gold = Mistakes(labels / target.name / target.file(code))
    gold = _read(in_gold.path, target, in_gold, gold=True)
    if target.aligned and gold and predicted:
        _compare_lines(predicted, gold, target, in_gold.path, in_predicted)
    if submission and target.kind in ("answers", "rankings") and not in_gold and (predicted or not in_predicted):
        questions = set(gold) if target.kind == "rankings" else {key for key, _ in gold}
        for key in (key for key in predicted if key not in questions):
            in_predicted.add(f"'{key}' is no question of {in_gold.path}", key)
        for key in sorted(questions - predicted.keys()):
            in_predicted.add(f"no answer to question '{key}'")
    return gold, predicted, [*in_gold, *in_predicted]


def _read(path: Path, target: Target, mistakes: Mistakes, gold: bool) -> Any:
    if target.kind == "answers":
        return _read_questions(path, mistakes) if gold else _read_answers(path, mistakes)
    if target.kind == "pairs":
        return _read_pairs(path, mistakes, gold)
    if target.kind == "rankings":
        return _read_rankings(path, mistakes, gold)
    if target.kind == "choices":
        return _read_choices(path, target, mistakes)
    return _read_lines(path, target, mistakes)


def _read_lines(path: Path, target: Target, mistakes: Mistakes) -> list[str]:
    """The stripped lines of a file of labels, indices or tags; of tags, an empty line ends every sentence."""
    lines = _lines(path, mistakes)
    if target.kind == "tags" and lines and lines[-1]:
        lines.append("")
    words = {*target.words, *([""] if target.kind == "tags" else [])}
    for number, line in enumerate(lines, 1):
        if target.kind == "indices":
            if not line.isascii() or not line.isdigit():
                mistakes.add(f"'{line[:40]}' is no index (a number from 0)", number)
        elif line not in words:
            odd = " and ".join(f"U+{ord(char):04X}" for char in dict.fromkeys(line) if INVISIBLE.match(char))
            found = f"'{INVISIBLE.sub('', line)[:40]}'" + f" with the invisible {odd}" * bool(odd)
            mistakes.add(f"unknown label {found}, expected one of {' '.join(target.words)}", number)
    if not any(lines) and not mistakes:
        mistakes.add("no example in it")
    return lines


def _read_choices(path: Path, target: Target, mistakes: Mistakes) -> list[str]:
    """The whole number `label` of each JSON object, one for each line (XCOPA)."""
    choices = []
    for number, line in enumerate(_lines(path, mistakes), 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            mistakes.add(f"broken JSON: {error}", number)
            continue
        label = record.get("label") if isinstance(record, dict) else None
        if type(label) is not int or str(label) not in target.words:
            mistakes.add(f"expected an object with `label`: {' or '.join(target.words)}", number)
        choices.append(str(label))
    if not choices and not mistakes:
        mistakes.add("no example in it")
    return choices


def _read_rankings(path: Path, mistakes: Mistakes, gold: bool) -> dict[str, list[str]]:
    """The ids of candidates of each query in a JSON object: the relevant ones, or the best first."""
    pairs = _json(path, mistakes, tuple)
    if not isinstance(pairs, tuple):
        if not mistakes:
            mistakes.add("expected a JSON object, query id to ids of candidates")
        return {}
    rankings = {}
    for key, names in pairs:
        if key in rankings:
            mistakes.add(f"query '{key}' occurs several times", key)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            mistakes.add(f"query '{key}' has no list of ids", key)
        elif gold and not names:
            mistakes.add(f"query '{key}' has no relevant candidate", key)
        rankings[key] = names
    if gold and not rankings:
        mistakes.add("no query in it")
    return rankings


def _read_pairs(path: Path, mistakes: Mistakes, gold: bool) -> list[tuple[str, str]]:
    """The pairs `source id TAB English id` of a file, one for each line; a file of predictions may be empty."""
    pairs = []
    for number, line in enumerate(_lines(path, mistakes), 1):
        cells = line.split("\t")
        pairs.append((cells[0], cells[-1]))
        if len(cells) != 2 or not all(cells):
            mistakes.add("expected two ids with a tab between them", number)
        elif INVISIBLE.search(line) or any(cell != cell.strip() for cell in cells):
            mistakes.add("an id has a space or an invisible character at its end or inside", number)
    if gold and not pairs:
        mistakes.add("no pair in it")
    return pairs


def _read_answers(path: Path, mistakes: Mistakes) -> dict[str, str]:
    """The answer to each question id in a JSON object, which may be the value of a key `data`."""
    pairs = _json(path, mistakes, tuple)  # an object with all its keys, also those given twice
    pairs = dict(pairs).get("data", pairs) if isinstance(pairs, tuple) else pairs
    if not isinstance(pairs, tuple):
        if not mistakes:
            mistakes.add("expected a JSON object, question id to answer")
        return {}
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            mistakes.add(f"question '{key}' is answered {count} times", key)
    for key, answer in pairs:
        if not isinstance(answer, str):
            mistakes.add(f"the answer to question '{key}' is no text", key)
    return {key: answer for key, answer in pairs if isinstance(answer, str)}


def _read_questions(path: Path, mistakes: Mistakes) -> list[tuple[str, list[str]]]:
    """Id and gold answers of each question of a SQuAD JSON file."""
    content = _json(path, mistakes)
    if mistakes:
        return []
    questions: list[tuple[str, list[str]]] = []
    try:
        articles = content["data"] if isinstance(content, dict) else content
        for question in (q for article in articles for p in article["paragraphs"] for q in p["qas"]):
            questions.append((str(question["id"]), [answer["text"] for answer in question["answers"]]))
    except (KeyError, TypeError) as error:
        after = f"after question '{questions[-1][0]}'" if questions else "from its start"
        mistakes.add(f"not SQuAD JSON {after}: {error}", questions[-1][0] if questions else 0)
        return []
    for key, answers in questions:
        if not answers:
            mistakes.add(f"question '{key}' has no gold answer", key)
        if not all(isinstance(answer, str) for answer in answers):
            mistakes.add(f"the gold answer to question '{key}' is no text", key)
    if not questions:
        mistakes.add("no question in it")
    return questions


def _compare_lines(predicted: list[str], gold: list[str], target: Target, labels: Path, mistakes: Mistakes) -> None:
    """Add a mistake if predictions cannot belong to the golds: by their number of lines, or by ends of sentences."""
    unit, count, expected = "lines", len(predicted), len(gold)
    if target.kind == "tags":
        unit, count, expected = "sentences", predicted.count(""), gold.count("")
        for number, (tag, gold_tag) in enumerate(zip(predicted, gold, strict=False), 1):
            if bool(tag) != bool(gold_tag):
                what = "a tag where a sentence ends" if tag else "a sentence ends where one goes on"
                mistakes.add(f"{what} in {labels} ({count:,} sentences, expected {expected:,})", number)
                return
    if count != expected:
        mistakes.add(f"{count:,} {unit}, expected {expected:,} as in {labels}", min(len(predicted), len(gold)) + 1)


def unexpected_files(folder: Path, targets: Targets) -> list[str]:
    """What is in such a folder and belongs to no task or language, each with the name that was probably meant."""
    unexpected: list[str] = []
    for entry in sorted(folder.glob(NOT_HIDDEN)):
        if entry.name not in targets or not entry.is_dir():
            guess = did_you_mean(entry.name, targets)
            unexpected.append(f"{entry}: no task of the benchmark" + f", {guess}" * bool(guess))
            continue
        target = targets[entry.name]
        names = {target.file(code): code for code in target.languages}
        for file in (file for file in sorted(entry.glob(NOT_HIDDEN)) if file.name not in names):
            guess = did_you_mean(file.name, names)
            with suppress(XstiltsError):  # the file of the same language has another code
                code = language(file.name.removeprefix("test-").partition(".")[0]).code
                guess = f"did you mean '{target.file(code)}'?" if code in target.languages else guess
            unexpected.append(f"{file}: no file of {entry.name}" + f", {guess}" * bool(guess))
    return unexpected


def _text(path: Path, mistakes: Mistakes) -> str:
    """The text of a file without a byte order mark; "" if it cannot be read."""
    try:
        raw = path.read_bytes()
        return raw.decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        mistakes.add(f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        mistakes.add(f"not UTF-8: byte {raw[error.start]:#04x}", raw.count(b"\n", 0, error.start) + 1)
    return ""


def _lines(path: Path, mistakes: Mistakes) -> list[str]:
    """Stripped lines, ended as Python's text files end them: not at the other separators of Unicode."""
    return [line.strip() for line in io.StringIO(_text(path, mistakes), newline=None)]


def _json(path: Path, mistakes: Mistakes, hook: Callable[..., Any] | None = None) -> Any:
    text = _text(path, mistakes)
    if mistakes:
        return None
    try:
        return json.loads(text, object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        mistakes.add(f"broken JSON: {error}", getattr(error, "lineno", 0))
    return None
