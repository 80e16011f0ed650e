"""Which languages may be trained on and which are only ever evaluated on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages.candidates import Candidates, rank
from xstilts.languages.identity import language
from xstilts.randomness import generator


@dataclass(frozen=True)
class Split:
    """Languages near to far on either side; `excluded` says why a language is not in the pool though nobody asked.

    A language without a measured distance cannot be trained on: it stands in `excluded` and at the end of `held_out`
    (not there if it was asked never to be held out).
    """

    pool: tuple[str, ...]
    held_out: tuple[str, ...]
    excluded: dict[str, str]
    anchor: str


def split_languages(
    candidates: Sequence[str],
    *,
    anchor: str = "en",
    held_out: float = 0.5,
    always_held_out: Sequence[str] = (),
    never_held_out: Sequence[str] = (),
    seed: int = 0,
) -> Split:
    """Splits the candidates into a source pool and a held-out set that both reach from near to far.

    `held_out` in (0, 1) is the share of measured candidates to hold out. They are sorted by distance and cut into
    consecutive strata (pairs for one half), of which each gives its share to both sides; a forced language counts
    towards its stratum, and what it takes too much of is made up for in the strata after it. Within these bounds
    every script is split as evenly as it can be, ties by a draw that follows from `seed`. Raises XstiltsError for a
    share out of range, a forced language that is no candidate or is forced both ways, and a side left empty.
    """
    if not 0 < held_out < 1:
        raise XstiltsError(
            "bad-argument",
            f"held_out is {held_out}",
            "It is the share of languages to hold out.",
            "Give a number between 0 and 1.",
        )
    known = rank(candidates, anchor)
    out, keep = _forced(known, always_held_out, never_held_out)
    measured = known.codes
    strata = _strata(measured, held_out, out, keep)
    picked = _balanced(strata, out & {*measured}, generator("languages", "split", seed))
    unmeasured = tuple(code for code in known.excluded if code not in keep)
    pool = tuple(code for code in measured if code not in picked)
    held = tuple(code for code in measured if code in picked)
    if not pool or not held:
        empty = "source pool" if not pool else "held-out set"
        reasons = "".join(f" {code}: {reason}." for code, reason in known.excluded.items())
        raise XstiltsError(
            "too-few",
            f"The {empty} would be empty",
            f"There are {len(measured)} candidates with a measured distance from '{known.anchor}'.{reasons}",
            "Give more candidates, another share, or force fewer of them to one side.",
        )
    return Split(pool, held + unmeasured, known.excluded, known.anchor)


def _forced(known: Candidates, always: Sequence[str], never: Sequence[str]) -> tuple[set[str], set[str]]:
    """The codes forced out of the pool and into it, all of them candidates and none in both."""
    out, keep = ({language(one).code for one in side} for side in (always, never))
    if both := out & keep:
        raise XstiltsError(
            "bad-argument",
            f"'{min(both)}' is forced to both sides",
            "A language is either held out or in the source pool.",
            "Take it from always_held_out or from never_held_out.",
        )
    if strange := (out | keep) - {*known.codes, *known.excluded}:
        raise XstiltsError(
            "bad-argument",
            f"'{min(strange)}' is forced to one side but is not to be split",
            f"The candidates are {', '.join(sorted({*known.codes, *known.excluded}))}.",
            "Add it to the candidates or do not force it.",
        )
    return out, keep


@dataclass(frozen=True)
class Stratum:
    """Neighbours in distance: all of them, those on which nothing is forced, and how many of these to hold out."""

    codes: tuple[str, ...]
    free: tuple[str, ...]
    due: int


def _strata(measured: Sequence[str], share: float, out: set[str], keep: set[str]) -> list[Stratum]:
    """Consecutive blocks of `measured` (near to far), as many as the smaller side gets one language from each."""
    n = len(measured)
    target = int(share * n + 0.5)
    blocks = max(1, min(target, n - target))
    bounds = [(i * n + blocks // 2) // blocks for i in range(blocks + 1)]
    strata, taken = [], 0
    for start, stop in pairwise(bounds):
        codes = tuple(measured[start:stop])
        free = tuple(code for code in codes if code not in out | keep)
        forced = sum(code in out for code in codes)
        due = min(max((2 * target * stop + n) // (2 * n) - taken - forced, 0), len(free))
        strata.append(Stratum(codes, free, due))
        taken += forced + due
    return strata


def _balanced(strata: list[Stratum], forced: set[str], draw: np.random.Generator) -> set[str]:
    """The forced codes and, of each stratum, as many as are due, so that scripts are split in equal shares.

    Minimises the sum over scripts of (held out - share of the script's languages) squared, one stratum after the
    other from a random start until nothing improves.
    """
    script = {code: language(code).script for one in strata for code in one.codes}
    total = Counter(script.values())
    share = (len(forced) + sum(one.due for one in strata)) / max(len(script), 1)

    def imbalance(held: set[str]) -> float:
        counts = Counter(script[code] for code in held)
        return round(sum((counts[one] - share * n) ** 2 for one, n in total.items()), 9)

    options = [[set(chosen) for chosen in combinations(one.free, one.due)] for one in strata]
    choice = [sets[draw.integers(len(sets))] for sets in options]
    best, improved = imbalance(forced.union(*choice)), True
    while improved:
        improved = False
        for i, sets in enumerate(options):
            rest = forced.union(*choice[:i], *choice[i + 1 :])
            for chosen in sets:
                if (score := imbalance(rest | chosen)) < best:
                    choice[i], best, improved = chosen, score, True
    return forced.union(*choice)
