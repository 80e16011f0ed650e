"""Metrics as pure functions of golds and predictions, in points from 0 to 100.

Those of `xtreme-2020` follow the benchmark's evaluator in every oddity and in the order of its arithmetic, so that
the printed digits are equal. Corrected variants have names of their own: `token_accuracy`, `segmented_f1`,
`macro_f1`, `expected_calibration_error`.
"""

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import numpy as np

from xstilts.errors import XstiltsError

Scores = dict[str, float]
Questions = Sequence[tuple[str, Sequence[str]]]
"""Id and gold answers of each question."""


def chunks(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Chunks (first word, last word, type) of a tag sequence, by the rule of conlleval and seqeval 0.0.12.

    A tag is a prefix (B, I, E, S, O) and a type after the last hyphen; a tag without a hyphen is its own type,
    and its first letter is read as the prefix: so adjacent equal parts of speech merge into one chunk, while
    those that start with S or B never do and those that start with O never count. An I- without a
    chunk before it opens one.
    """
    found = set()
    start, kind, previous = 0, "", "O"
    for i, tag in enumerate([*tags, "O"]):
        prefix, name = tag[:1], tag.split("-")[-1]
        if _ends(previous, prefix, kind, name):
            found.add((start, i - 1, kind))
        if _begins(previous, prefix, kind, name):
            start = i
        previous, kind = prefix, name
    return found


def _ends(previous: str, prefix: str, kind: str, name: str) -> bool:
    if previous in "ES":
        return True
    if previous in "BI" and prefix in "BSO":
        return True
    return previous not in "O." and kind != name


def _begins(previous: str, prefix: str, kind: str, name: str) -> bool:
    if prefix in "BS":
        return True
    if previous in "ESO" and prefix in "EI":
        return True
    return prefix not in "O." and kind != name


def chunk_f1(gold: Sequence[str], predicted: Sequence[str]) -> Scores:
    """Micro-averaged F1, precision and recall of chunks, as seqeval 0.0.12 gives them; 0 where nothing is shared.

    gold, predicted: equally many tags of all sentences, one after the other, with an "O" after each sentence.
    """
    number = {tag: i for i, tag in enumerate(sorted({*gold, *predicted}))}
    one, other = _chunk_keys(gold, number), _chunk_keys(predicted, number)
    return _f1(len(np.intersect1d(one, other, assume_unique=True)), len(other), len(one))


def _chunk_keys(tags: Sequence[str], number: Mapping[str, int]) -> np.ndarray:
    """A number for each chunk, int64 [chunks], equal only for chunks with the same first and last word and type.

    The rule looks at two neighbouring tags only, so it is asked once for each pair of distinct tags.
    """
    prefixes, names = [tag[:1] for tag in number], [tag.split("-")[-1] for tag in number]
    pairs = [[(prefixes[i], prefixes[j], names[i], names[j]) for j in range(len(number))] for i in range(len(number))]
    types = {name: i for i, name in enumerate(dict.fromkeys(names))}
    ids = np.fromiter(map(number.__getitem__, tags), np.int64, len(tags))
    if not len(ids):
        return ids
    before, after = ids[:-1], ids[1:]
    opens = np.empty(len(ids), bool)
    opens[0] = _begins("O", prefixes[ids[0]], "", names[ids[0]])
    opens[1:] = np.array([[_begins(*pair) for pair in row] for row in pairs])[before, after]
    closes = np.empty(len(ids), bool)
    closes[:-1] = np.array([[_ends(*pair) for pair in row] for row in pairs])[before, after]
    closes[-1] = _ends(prefixes[ids[-1]], "O", names[ids[-1]], "O")
    first = np.maximum.accumulate(np.where(opens, np.arange(len(ids)), 0))
    last = np.flatnonzero(closes)
    kind = np.array([types[name] for name in names])[ids[last]]
    return (first[last] * len(ids) + last) * len(types) + kind


def _f1(shared: int, predicted: int, gold: int) -> Scores:
    """F1, precision and recall from counts, in the benchmark's order of operations."""
    precision = shared / predicted if predicted else 0.0
    recall = shared / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if shared else 0.0
    return {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}


def pair_f1(gold: Sequence[tuple[str, str]], predicted: Sequence[tuple[str, str]]) -> Scores:
    """F1, precision and recall over the *sets* of pairs of BUCC: a pair given twice counts once."""
    one, other = set(gold), set(predicted)
    return _f1(len(one & other), len(other), len(one))


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Share of equal labels, compared as text; gold and predicted are equally long and not empty."""
    correct = sum(map(str.__eq__, gold, predicted))
    return float(correct) / len(predicted) * 100


def macro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Mean over the labels that occur in either sequence of each label's F1."""
    wanted, given = Counter(gold), Counter(predicted)
    shared = Counter(g for g, p in zip(gold, predicted, strict=True) if g == p)
    labels = wanted.keys() | given.keys()
    return 100 * sum(2 * shared[label] / (wanted[label] + given[label]) for label in sorted(labels)) / len(labels)


CALIBRATION_BINS = 15


def calibration_bin(confidence: np.ndarray, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """The number of the bin (lower, upper] that each confidence, 0 to 1, falls in; int [n]."""
    return np.clip(np.ceil(np.asarray(confidence, float) * bins).astype(int) - 1, 0, bins - 1)


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Mean distance of confidence and accuracy over equal bins, weighted by their sizes (Guo et al. 2017, eq. 3).

    confidence: float [n], 0 to 1, the probability of the predicted label; correct: bool [n].
    """
    where = calibration_bin(confidence, bins)
    difference = np.bincount(where, confidence) - np.bincount(where, correct)
    return float(100 * np.abs(difference).sum() / len(confidence))


@cache
def punctuation() -> frozenset[str]:
    """All characters of Unicode's categories P, and ASCII's punctuation, which has symbols ($ + < = > ^ ` | ~) too."""
    characters = map(chr, range(sys.maxunicode + 1))
    return frozenset(c for c in characters if unicodedata.category(c)[0] == "P") | frozenset(string.punctuation)


def squad_normal(answer: str) -> str:
    """SQuAD v1.1's normal form: lower case, no ASCII punctuation, no English article, single spaces.

    XQuAD and TyDiQA use it for every language.
    """
    text = "".join(c for c in answer.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    # Not only the article: the two letters go wherever they stand. The other branch never matches.
    "ar": r"\sال^|ال",
    "hi": "",
    "zh": "",
}
"""What MLQA's evaluator takes out of an answer, per language."""


def mlqa_normal(answer: str, language: str) -> str:
    """MLQA's normal form: lower case, no punctuation, no article of the language, single spaces; in Chinese a space
    round each character from U+4E00 to U+9FA5. Raises KeyError for a language that is not MLQA's."""
    text = "".join(c for c in answer.lower() if c not in punctuation())
    if ARTICLES[language]:
        text = re.sub(ARTICLES[language], " ", text)
    if language == "zh":
        text = re.sub("[\u4e00-\u9fa5]", r" \g<0> ", text)
    return " ".join(text.split())


UNSPACED = re.compile(
    "[\u0e00-\u0e7f\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]"
)
"""A character of a script that is written without spaces: Thai, kana, Han."""


def segmented(answer: str) -> str:
    """Normal form of `segmented_f1` for zh, ja and th: lower case, no punctuation, a space round each character of a
    script without spaces (Thai vowel and tone marks count as characters)."""
    text = "".join(c for c in answer.lower() if c not in punctuation())
    return " ".join(UNSPACED.sub(r" \g<0> ", text).split())


SEGMENTED = ("zh", "ja", "th")
"""Languages whose answers `segmented_f1` splits into characters; in the others it is the official F1."""


def normaliser(metric: str, language: str) -> Callable[[str], str]:
    """The normal form by which a metric of question answering compares answers in a language: MLQA's for `mlqa_…`,
    by characters for `segmented_…` in zh, ja and th, else SQuAD's.

    Raises XstiltsError for `mlqa_…` in a language that MLQA does not have.
    """
    if metric.startswith("mlqa_"):
        if language not in ARTICLES:
            raise XstiltsError(
                "inconsistent",
                f"MLQA has no normal form for '{language}'",
                f"the metric {metric} is defined for {', '.join(ARTICLES)}",
                f"judge by {metric.removeprefix('mlqa_')}, or leave the language out",
            )
        return partial(mlqa_normal, language=language)
    return segmented if metric.startswith("segmented_") and language in SEGMENTED else squad_normal


def answer_scores(gold: Questions, predicted: Mapping[str, str], normalise: Callable[[str], str]) -> Scores:
    """Exact match and token F1 of normalised answers, each the best over a question's golds, mean over questions.

    A question without a prediction scores 0. Every question has at least one gold answer.
    """
    exact = f1 = 0.0
    for key, answers in gold:
        if key in predicted:
            given = normalise(predicted[key])
            wanted = [normalise(answer) for answer in answers]
            exact += given in wanted
            f1 += max(token_f1(given, answer) for answer in wanted)
    return {"exact_match": 100.0 * exact / len(gold), "f1": 100.0 * f1 / len(gold)}


def token_f1(prediction: str, gold: str) -> float:
    """F1, 0 to 1, over the white-space tokens of two normalised answers; 0 where nothing is shared, two empty answers
    included."""
    predicted, wanted = prediction.split(), gold.split()
    shared = sum((Counter(predicted) & Counter(wanted)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)
