"""Which languages to choose, how firm the choice is, and why others were left out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages.candidates import Candidates, rank
from xstilts.languages.distance import DEFAULT
from xstilts.languages.evidence import Evidence, explain
from xstilts.languages.strategies import EXHAUSTIVE, predicted
from xstilts.languages.strategies import STRATEGIES as BY_DISTANCE
from xstilts.randomness import generator

STRATEGIES = (*BY_DISTANCE, "predicted")


@dataclass(frozen=True)
class Selection:
    """The languages chosen, near to far, with the distance of each from the anchor and the features it rests on.

    `excluded` says of every candidate that could not be chosen why; `exact` is False for a seeded draw; `method` says
    how, where there is more than one way. `shared` is empty for a measure that rests on no features.
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
        """What speaks for and against every candidate, near to far."""
        return explain(self.strategy, self.known, self.languages) if self.known else ()

    def __str__(self) -> str:
        lines = [f"{self.strategy} of {self.anchor} by {self.measure}: {' '.join(self.languages)}"]
        for one in self.evidence:
            if one.chosen:
                share = "" if one.probability is None else f"  P {one.probability:.2f}"
                shared = "" if one.shared is None else f"  {one.shared} shared"
                ends = "" if one.low is None or one.high is None else f" [{one.low:.3f}, {one.high:.3f}]"
                about = f"  {one.script}  {one.family}"
                lines.append(f"  {one.language}  {one.distance:.3f}{ends}{shared}{share}{about}")
        return "\n".join([*lines, *(f"  left out: {code} ({why})" for code, why in self.excluded.items())])


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
    """Chooses k of the candidates by their distance from the anchor.

    `near` and `far` take the k nearest or farthest; `diverse` the set whose smallest distance, among its members and
    to the anchor, is largest (max-min); `random` any k; `stratified` k that are equally spaced over the range of
    distances; `same-script` and `other-script` the k nearest among those with the anchor's script or with another;
    `predicted` the k with the highest of `scores` (see `read_scores`). With `exact=False` the choice is a draw that
    follows from `seed`, as each strategy in `xstilts.languages.strategies` describes; `random` is always such a draw.
    Candidates without a measured distance are never chosen; `match` and `exclude` leave out further ones, see `rank`.
    Raises XstiltsError for an unknown strategy, measure, trait or language, or for too few candidates.
    """
    if strategy not in STRATEGIES:
        hint = did_you_mean(strategy, STRATEGIES) or "Choose one of them."
        raise XstiltsError(
            "unknown-name",
            f"Unknown language strategy '{strategy}'",
            f"There are {', '.join(STRATEGIES)}.",
            hint[0].upper() + hint[1:],
        )
    match = (*match, *(("script",) if strategy == "same-script" else ()))
    exclude = (*exclude, *(("script",) if strategy == "other-script" else ()))
    known = rank(candidates, anchor, measure, match, exclude)
    if strategy == "predicted":
        known = _scored(known, scores or {})
    _require(known, k)
    draw = None if exact and strategy != "random" else generator("languages", strategy, seed)
    choose = predicted(scores or {}) if strategy == "predicted" else BY_DISTANCE[strategy]
    codes = tuple(known.codes[i] for i in choose(known.codes, known.matrix.values, k, draw))
    at = {code: known.matrix.pair(0, i) for i, code in enumerate(known.codes, 1) if code in codes}
    return Selection(
        strategy,
        known.anchor,
        codes,
        {code: pair.value for code, pair in at.items()},
        {code: pair.shared for code, pair in at.items() if pair.shared is not None},
        known.excluded,
        draw is None,
        measure,
        _method(strategy, len(known.codes), k, draw is None),
        known,
    )


def _method(strategy: str, n: int, k: int, exact: bool) -> str:
    if strategy != "diverse":
        return ""
    sets = math.comb(n if exact else max(k, math.ceil(n / 2)), k)
    way = "all compared" if sets < EXHAUSTIVE else "too many to compare: greedy, then exchanges until none improves"
    return f"{sets:,} sets, {way}"


def _scored(known: Candidates, scores: Mapping[str, float]) -> Candidates:
    """Only the candidates that have a score."""
    kept = [i for i, code in enumerate(known.codes, 1) if code in scores]
    matrix = known.matrix.take([0, *kept])
    missing = {code: "no score" for code in known.codes if code not in scores}
    return Candidates(known.anchor, matrix.codes[1:], matrix, known.excluded | missing, known.alike)


def _require(known: Candidates, k: int) -> None:
    if k < 1:
        raise XstiltsError(
            "too-few", f"Cannot choose {k} languages", "A selection has at least one.", "Give a k from 1."
        )
    if len(known.codes) < k:
        left_out = "; ".join(f"{code}: {reason}" for code, reason in known.excluded.items())
        usable = f"{len(known.codes)} can be chosen ({', '.join(known.codes) or 'none'})"
        raise XstiltsError(
            "bad-argument",
            f"Cannot choose {k} languages",
            f"Of the candidates besides '{known.anchor}', {usable}."
            + (f" Left out: {left_out}." if left_out else " None was left out."),
            "Give more candidates or a smaller k.",
        )
