"""Select source languages, with the evidence for the choice and the reasons for exclusions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages.candidates import Candidates, Evidence, explain, rank
from xstilts.languages.distance import DEFAULT
from xstilts.languages.strategies import EXHAUSTIVE, predicted
from xstilts.languages.strategies import STRATEGIES as BY_DISTANCE
from xstilts.randomness import generator

STRATEGIES = (*BY_DISTANCE, "predicted")


@dataclass(frozen=True)
class Selection:
    """The chosen languages, near to far, with their distances from the anchor and shared features.

    `excluded` gives the reason for every candidate that could not be chosen; `exact` is False for a seeded draw;
    `method` names the search method, if there are several. `shared` is empty for a measure without features.
    """

    strategy: str
    anchor: str
    languages: tuple[str, ...]
    distances: dict[str, float]
    shared: dict[str, int]
    excluded: dict[str, str]
    exact: bool
    measure: str = DEFAULT
    method: str = ""
    known: Candidates | None = field(default=None, repr=False, compare=False)

    @cached_property
    def evidence(self) -> tuple[Evidence, ...]:
        """The evidence for every candidate, near to far."""
        return explain(self.strategy, self.known, self.languages) if self.known else ()

    def __str__(self) -> str:
        lines = [f"{self.strategy} from {self.anchor} by {self.measure}: {' '.join(self.languages)}"]
        for row in self.evidence:
            if row.chosen:
                share = "" if row.probability is None else f"  P {row.probability:.2f}"
                shared = "" if row.shared is None else f"  {row.shared} shared"
                ends = "" if row.low is None or row.high is None else f" [{row.low:.3f}, {row.high:.3f}]"
                about = f"  {row.script}  {row.family}"
                lines.append(f"  {row.language}  {row.distance:.3f}{ends}{shared}{share}{about}")
        return "\n".join([*lines, *(f"  excluded: {code} ({why})" for code, why in self.excluded.items())])


def select(
    strategy: str,
    candidates: Sequence[str],
    k: int,
    *,
    anchor: str = "en",
    exact: bool = True,
    seed: int = 0,
    measure: str = DEFAULT,
    match: Sequence[str] = (),
    exclude: Sequence[str] = (),
    scores: Mapping[str, float] | None = None,
) -> Selection:
    """Selects k of the candidates by their distance from the anchor.

    `near` and `far` take the k nearest or farthest; `diverse` the set whose smallest distance, among its members and
    to the anchor, is largest (max-min); `random` any k; `stratified` k that are equally spaced over the range of
    distances; `same-script` and `other-script` the k nearest among those with the anchor's script or with another;
    `predicted` the k with the highest of `scores` (see `read_scores`). With `exact=False` the choice is a random draw
    seeded by `seed`, as each strategy in `xstilts.languages.strategies` describes; `random` is always such a draw.
    Candidates without a measured distance are never chosen; `match` and `exclude` filter further, see `rank`.
    Raises XstiltsError for an unknown strategy, measure, trait or language, or for too few candidates.

    >>> select("far", ["ar", "de", "hi", "sw", "tr"], 2).languages
    ('tr', 'sw')
    """
    if strategy not in STRATEGIES:
        what, why = f"unknown language strategy '{strategy}'", f"there are {', '.join(STRATEGIES)}"
        raise XstiltsError("unknown-name", what, why, did_you_mean(strategy, STRATEGIES) or "choose one of them")
    match = (*match, "script") if strategy == "same-script" else match
    exclude = (*exclude, "script") if strategy == "other-script" else exclude
    known = rank(candidates, anchor, measure, match, exclude)
    scores = scores or {}
    if strategy == "predicted":
        matrix = known.matrix.take([0, *(i for i, code in enumerate(known.codes, 1) if code in scores)])
        unscored = {code: "no score" for code in known.codes if code not in scores}
        known = replace(known, codes=matrix.codes[1:], matrix=matrix, excluded=known.excluded | unscored)
    _require(known, k)
    draw = None if exact and strategy != "random" else generator("languages", strategy, seed)
    choose = predicted(scores) if strategy == "predicted" else BY_DISTANCE[strategy]
    chosen = choose(known.codes, known.matrix.values, k, draw)
    pairs = {known.codes[i]: known.matrix.pair(0, i + 1) for i in chosen}
    distances = {code: pair.value for code, pair in pairs.items()}
    shared = {code: pair.shared for code, pair in pairs.items() if pair.shared is not None}
    method, n = "", len(known.codes)
    if strategy == "diverse":
        sets = math.comb(n if draw is None else max(k, math.ceil(n / 2)), k)
        way = "all compared" if sets < EXHAUSTIVE else "too many to compare: greedy start, then improving exchanges"
        method = f"{sets:,} sets, {way}"
    about = (known.excluded, draw is None, measure, method, known)
    return Selection(strategy, known.anchor, tuple(pairs), distances, shared, *about)


def _require(known: Candidates, k: int) -> None:
    what = f"cannot choose {k} languages"
    if k < 1:
        raise XstiltsError("bad-argument", what, "a selection has at least one", "give a k from 1")
    if len(known.codes) < k:
        left_out = "; ".join(f"{code}: {reason}" for code, reason in known.excluded.items())
        usable = f"{len(known.codes)} candidates other than '{known.anchor}' can be chosen"
        why = f"{usable} ({', '.join(known.codes) or 'none'})" + (f"; excluded are {left_out}" if left_out else "")
        raise XstiltsError("too-few", what, why, "give more candidates or a smaller k")
