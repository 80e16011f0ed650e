"""Mining pairs of translations by the ratio margin (Artetxe and Schwenk 2019, aclanthology.org/P19-1309)."""

import numpy as np

from xstilts.tasks.neighbours import neighbours, unit

NEIGHBOURS = 4


def mine(source: np.ndarray, target: np.ndarray, k: int = NEIGHBOURS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One-to-one pairs of rows, the best first: indices into source and target, int64 [p], and margins, float [p].

    source: float [n, h]; target: float [m, h]. The margin of a pair is its cosine divided by the mean of both sides'
    mean cosines with their k nearest neighbours. Candidates are each row's best neighbour by margin, in both
    directions; from high to low, a pair is chosen if neither of its rows is taken and its margin is above 0.
    """
    (forward, ahead), (backward, behind) = neighbours(unit(source), unit(target), k)
    near_source, near_target = forward.mean(1, dtype=float), backward.mean(1, dtype=float)
    there = forward / ((near_source[:, None] + near_target[ahead]) / 2)
    back = backward / ((near_target[:, None] + near_source[behind]) / 2)
    rows, columns = np.arange(len(source)), np.arange(len(target))
    best, best_back = there.argmax(1), back.argmax(1)
    pairs = np.concatenate([np.stack([rows, ahead[rows, best]], 1), np.stack([behind[columns, best_back], columns], 1)])
    margins = np.concatenate([there[rows, best], back[columns, best_back]])
    order = np.argsort(-margins, kind="stable")
    chosen = order[_one_to_one(pairs[order], len(source), len(target))]
    chosen = chosen[margins[chosen] > 0]
    return pairs[chosen, 0], pairs[chosen, 1], margins[chosen]


def _one_to_one(pairs: np.ndarray, sources: int, targets: int) -> np.ndarray:
    """Positions of the pairs, given from good to bad, that a greedy one-to-one choice takes, ascending.

    A pair that comes first for both of its rows among the remaining ones is part of any greedy choice, so that all such
    pairs are taken at once, and those that they rule out are dropped.
    """
    left, chosen = np.arange(len(pairs)), []
    while len(left):
        first_source, first_target = np.full(sources, len(pairs)), np.full(targets, len(pairs))
        np.minimum.at(first_source, pairs[left, 0], left)
        np.minimum.at(first_target, pairs[left, 1], left)
        taken = left[(first_source[pairs[left, 0]] == left) & (first_target[pairs[left, 1]] == left)]
        chosen.append(taken)
        free = ~np.isin(pairs[left, 0], pairs[taken, 0]) & ~np.isin(pairs[left, 1], pairs[taken, 1])
        left = left[free]
    return np.sort(np.concatenate(chosen)) if chosen else left


def fit_threshold(margins: np.ndarray, correct: np.ndarray, gold: int) -> tuple[float, float]:
    """The smallest margin of pairs that are taken, chosen for the highest F1, and that F1 in points.

    margins: float [p]; correct: bool [p]; gold: the number of pairs to find. The threshold lies half way between the
    last pair taken and the next (XTREME's `bucc_optimize`), on the last pair if all are taken, and at 0, which takes
    all, if no pair is correct.
    """
    margins = np.asarray(margins, float)
    order = np.argsort(-margins, kind="stable")
    margins, hits = margins[order], np.cumsum(correct[order])
    if not len(hits) or not hits[-1]:
        return 0.0, 0.0
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + gold)
    best = int(f1.argmax())
    following = margins[min(best + 1, len(margins) - 1)]
    return float((margins[best] + following) / 2), float(100 * f1[best])
