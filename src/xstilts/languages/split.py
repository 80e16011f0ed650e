"""Split languages into a source pool and a held-out set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages.candidates import rank
from xstilts.languages.identity import language
from xstilts.randomness import generator


@dataclass(frozen=True)
class Split:
    """Both sides, near to far.

    A language without a measured distance cannot be a source: it is in `excluded`, with the reason, and at the end of
    `held_out` unless it may never be held out.
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
    """Splits the candidates into a source pool and a held-out set that both range from near to far.

    `held_out` in (0, 1) is the share of measured candidates to hold out. They are sorted by distance and cut into
    consecutive strata (pairs for one half), each of which gives its share to both sides; a forced language counts
    towards its stratum, and later strata compensate an excess. Within these bounds every script is split as evenly as
    possible, ties by a draw seeded by `seed`. Raises XstiltsError for a share out of range, a forced language that is
    not a candidate or is forced to both sides, and an empty side; the pool may be empty if
    every candidate is forced to be held out.

    >>> split_languages(["ar", "de", "hi", "sw", "tr", "zh"]).held_out
    ('zh', 'hi', 'tr')
    """
    if not 0 < held_out < 1:
        why = "it is the share of languages to hold out"
        raise XstiltsError("bad-argument", f"held_out is {held_out}", why, "give a number between 0 and 1")
    known = rank(candidates, anchor)
    names = {*known.codes, *known.excluded}
    out, keep = ({language(name).code for name in side} for side in (always_held_out, never_held_out))
    if both := out & keep:
        why, hint = "a language is either held out or in the source pool", "force it to one side only"
        raise XstiltsError("bad-argument", f"'{min(both)}' is forced to both sides", why, hint)
    if missing := (out | keep) - names:
        what = f"'{min(missing)}' is forced to one side but is not a candidate"
        why, hint = f"the candidates are {', '.join(sorted(names))}", "add it to the candidates or do not force it"
        raise XstiltsError("bad-argument", what, why, hint)
    measured = known.codes
    picked = _balanced(measured, held_out, out, keep, generator("languages", "split", seed))
    unmeasured = tuple(code for code in known.excluded if code not in keep)
    pool = tuple(code for code in measured if code not in picked)
    held = tuple(code for code in measured if code in picked)
    if not (held or unmeasured) or not (pool or out.issuperset(measured)):
        what = f"the {'held-out set' if pool else 'source pool'} would be empty"
        reasons = "".join(f" {code}: {reason}." for code, reason in known.excluded.items())
        why = f"there are {len(measured)} candidates with a measured distance from '{known.anchor}'.{reasons}"
        hint = "give more candidates, another share, or force fewer of them to one side"
        raise XstiltsError("too-few", what, why, hint)
    return Split(pool, held + unmeasured, known.excluded, known.anchor)


def _balanced(
    measured: Sequence[str], held_out: float, out: set[str], keep: set[str], draw: np.random.Generator
) -> set[str]:
    """The forced codes and what each stratum owes, chosen so that scripts are split in equal shares.

    Strata are consecutive blocks of `measured` (near to far), one for each language of the smaller side. Minimises the
    sum over scripts of (held out - share of the script's languages) squared by coordinate descent over strata from a
    random start.
    """
    n = len(measured)
    target = int(held_out * n + 0.5)
    blocks = max(1, min(target, n - target))
    options, taken = [], 0  # options: per stratum the sets of languages that could be held out
    for start, stop in pairwise((i * n + blocks // 2) // blocks for i in range(blocks + 1)):
        free = [code for code in measured[start:stop] if code not in out | keep]
        taken += len(out.intersection(measured[start:stop]))
        due = min(max((2 * target * stop + n) // max(1, 2 * n) - taken, 0), len(free))
        options.append([set(chosen) for chosen in combinations(free, due)])
        taken += due
    script, forced = {code: language(code).script for code in measured}, out.intersection(measured)
    total, share = Counter(script.values()), taken / max(n, 1)

    def imbalance(held: set[str]) -> float:
        counts = Counter(script[code] for code in held)
        return round(sum((counts[name] - share * n) ** 2 for name, n in total.items()), 9)

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
