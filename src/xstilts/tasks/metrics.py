"""Metrics as pure functions of golds and predictions, in points from 0 to 100.

Those of `xtreme-2020` follow the benchmark's evaluator in every oddity and in the order of its arithmetic, so that all
printed digits are equal. Corrected variants have names of their own: `token_accuracy`, `segmented_f1`, `macro_f1`.
"""

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import cache, partial
from itertools import pairwise

import numpy as np

from xstilts.errors import XstiltsError

Scores = dict[str, float]


def chunks(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Chunks (first word, last word, type) of a tag sequence, by the rule of conlleval and seqeval 0.0.12.

    A tag is a prefix (B, I, E, S, O) and a type after the last hyphen; a tag without a hyphen is its own type, and its
    first letter is read as the prefix: so adjacent equal parts of speech merge into one chunk, while those that start
    with S or B never do and those that start with O never count. An I- without a chunk before it opens one, so IOB1
    works like IOB2. An "O" between sentences keeps their chunks apart. The prefixes of BILOU and BMEW, which seqeval
    does not have, are read as those of BIOES.

    >>> sorted(chunks(["B-PER", "I-PER", "O", "B-LOC"]))
    [(0, 1, 'PER'), (3, 3, 'LOC')]
    """
    result = set()
    start = 0
    for i, (previous, tag) in enumerate(pairwise(["O-", *tags, "O"])):
        ends, begins = _boundary(previous, tag)
        if ends:
            result.add((start, i - 1, previous.rpartition("-")[2]))
        if begins:
            start = i
    return result


OTHER_PREFIXES = {"L-": "E", "U-": "S", "M-": "I", "W-": "S"}


@cache
def _boundary(previous: str, tag: str) -> tuple[bool, bool]:
    """Whether a chunk ends, and whether one begins, between two neighbouring tags."""
    before, prefix = (OTHER_PREFIXES.get(each[:2], each[:1]) for each in (previous, tag))
    other_type = previous.rpartition("-")[2] != tag.rpartition("-")[2]
    ends = before in "ES" or (before in "BI" and prefix in "BSO") or (before not in "O." and other_type)
    begins = prefix in "BS" or (before in "ESO" and prefix in "EI") or (prefix not in "O." and other_type)
    return ends, begins


def set_f1(gold: Collection[Hashable], predicted: Collection[Hashable]) -> Scores:
    """F1, precision and recall of distinct items (BUCC's pairs, chunks), in the benchmark's order of operations."""
    wanted, given = set(gold), set(predicted)
    shared = len(wanted & given)
    precision = shared / len(given) if given else 0.0
    recall = shared / len(wanted) if wanted else 0.0
    f1 = 2 * precision * recall / (precision + recall) if shared else 0.0
    return {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}


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


@cache
def punctuation() -> frozenset[str]:
    """All characters of Unicode's categories P, and ASCII's punctuation, which has symbols ($ + < = > ^ ` | ~) too."""
    characters = map(chr, range(sys.maxunicode + 1))
    return frozenset(c for c in characters if unicodedata.category(c)[0] == "P") | frozenset(string.punctuation)


def squad_normal(answer: str) -> str:
    """SQuAD v1.1's normal form, which XQuAD and TyDiQA use for every language: lower case, no ASCII punctuation, no
    English article, single spaces."""
    text = "".join(c for c in answer.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    # Not only the article: the two letters are removed everywhere. The other branch never matches.
    "ar": r"\sال^|ال",
    "hi": "",
    "zh": "",
}
"""What MLQA's evaluator removes from an answer, per language."""


def mlqa_normal(answer: str, language: str) -> str:
    """MLQA's normal form: lower case, no punctuation, no article of the language, single spaces; in Chinese with a
    space around each character from U+4E00 to U+9FA5. Raises KeyError for a language that MLQA does not have."""
    text = "".join(c for c in answer.lower() if c not in punctuation())
    if ARTICLES[language]:
        text = re.sub(ARTICLES[language], " ", text)
    if language == "zh":
        text = re.sub("[\u4e00-\u9fa5]", r" \g<0> ", text)
    return " ".join(text.split())


SEGMENTED = ("zh", "ja", "th")
"""Languages whose answers `segmented_f1` splits into characters; in all others it is the official F1."""
UNSPACED = re.compile(
    "[\u0e00-\u0e7f\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]"
)
"""A character of a script that is written without spaces: Thai, kana, Han."""


def segmented(answer: str) -> str:
    """Normal form of `segmented_f1` for zh, ja and th: lower case, no punctuation, a space around each character of a
    script without spaces (Thai vowel and tone marks count as characters)."""
    text = "".join(c for c in answer.lower() if c not in punctuation())
    return " ".join(UNSPACED.sub(r" \g<0> ", text).split())


def normaliser(metric: str, language: str) -> Callable[[str], str]:
    """The normal form by which a metric of question answering compares answers in a language: MLQA's for `mlqa_…`,
    by characters for `segmented_…` in zh, ja and th, else SQuAD's. Raises XstiltsError for `mlqa_…` in a language that
    MLQA does not have."""
    if metric.startswith("mlqa_"):
        if language not in ARTICLES:
            what, why = f"MLQA has no normal form for '{language}'", f"{metric} is defined for {', '.join(ARTICLES)}"
            hint = f"judge by {metric.removeprefix('mlqa_')}, or leave the language out"
            raise XstiltsError("inconsistent", what, why, hint)
        return partial(mlqa_normal, language=language)
    return segmented if metric.startswith("segmented_") and language in SEGMENTED else squad_normal


def answer_scores(
    gold: Sequence[tuple[str, Sequence[str]]], predicted: Mapping[str, str], normalise: Callable[[str], str]
) -> Scores:
    """Exact match and token F1 of normalised answers, each the best over a question's golds, mean over questions.

    gold: id and answers, at least one, of each question; a question without a prediction scores 0.
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
    """F1, 0 to 1, over the white-space tokens of two normalised answers; 0 if nothing is shared, also for two empty
    answers."""
    predicted, wanted = prediction.split(), gold.split()
    shared = sum((Counter(predicted) & Counter(wanted)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def average_precision(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Average precision at k, 0 to 1, of n ranked lists, float [n].

    hits: bool [n, k], whether the candidate at each rank, the best first, is relevant; relevant: int [n], how many
    candidates are relevant in all, at least 1. With h_r the hits up to rank r, AP@k is the sum of h_r / r over the
    ranks r with a hit, divided by min(relevant, k). This is how XTREME-R scores LAReQA (`average_precision_at_k` in its
    utils_lareqa.py); with one relevant candidate it is the reciprocal rank, as which Mewsli-X is scored. mAP@k is the
    mean over the queries of a language, then over languages.

    >>> average_precision(np.array([[True, False, True], [False, True, False]]), np.array([2, 1])).tolist()
    [0.8333333333333333, 0.5]
    """
    ranks = np.arange(1, hits.shape[1] + 1)
    return np.asarray((hits * np.cumsum(hits, 1) / ranks).sum(1) / np.minimum(relevant, hits.shape[1]))


def ranked_average_precision(
    relevant: Sequence[Collection[str]], rankings: Sequence[Sequence[str]], k: int = 20
) -> np.ndarray:
    """`average_precision` at k of rankings of ids, float [n]; an id that is ranked twice counts at its first rank.

    relevant: the relevant ids of each query, at least one. Ranks that a shorter ranking leaves free are misses.
    """
    hits = np.zeros((len(rankings), k), bool)
    for row, (wanted, ranking) in enumerate(zip(relevant, rankings, strict=True)):
        top = list(ranking[:k])
        first = {name: rank for rank, name in reversed(list(enumerate(top)))}
        hits[row, [first[name] for name in first.keys() & set(wanted)]] = True
    return average_precision(hits, np.array([len(set(wanted)) for wanted in relevant]))


def share(sums: np.ndarray) -> np.ndarray:
    """Points, 0 to 100, of summed statistics [..., 2]: what is counted as right, and all."""
    return 100 * sums[..., 0] / sums[..., 1]


def f1_of_sums(sums: np.ndarray) -> np.ndarray:
    """F1 in points of summed statistics [..., 3]: right, predicted and gold; 0 if there is nothing to find."""
    total = sums[..., 1] + sums[..., 2]
    return np.where(total > 0, 200 * sums[..., 0] / np.maximum(total, 1), 0.0)


def mean_f1(sums: np.ndarray) -> np.ndarray:
    """Mean F1 in points of summed statistics [..., k + k]: of each label how often gold and prediction share it, and
    how often it occurs in the two; a label that occurs nowhere does not count."""
    shared, total = np.split(sums, 2, -1)
    f1 = 2 * shared / np.maximum(total, 1e-300)
    return np.asarray(100 * f1.sum(-1) / np.maximum((total > 0).sum(-1), 1))
