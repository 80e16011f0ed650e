"""From runs to a ranking of sources for new languages, with what there is to say against it."""

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages import all_languages, distance_matrix
from xstilts.runs.language_features import Numbers, read_measured
from xstilts.runs.reader import Run
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.task import catalogue
from xstilts.transfer.gains import Row, gains, signal
from xstilts.transfer.model import Learnt, choose_penalty, learn, redrawn_weights, standardised, weights
from xstilts.transfer.ranking import TOP
from xstilts.transfer.validation import LEVEL, family, left_out

FEW_LANGUAGES, FEW_FAMILIES, FEW_CANDIDATES, FEW_TRAININGS = 8, 4, 5, 5
ONLY_DISTANCE = "no runs were given, so there is only distance to go by: near to far, whatever it may be worth"

Result = dict[str, Any]


def predict_transfer(
    runs: Sequence[Run], wanted: Sequence[str] = (), candidates: Sequence[str] = (), target: str = ""
) -> Result:
    """Learns from the gains of runs, validates on languages left out, and ranks sources for the wanted languages.

    Args:
        wanted: languages to rank sources for; their own gains are not learnt from. candidates: sources to rank, those
            that the runs could draw from by default. target: learns from one target task only.

    Raises XstiltsError where there is nothing to learn from.
    """
    twice = shared_trainings(runs)
    known = {run.name: read_measured(run.folder) for run in runs}
    rows = gains(runs, target)
    seen = [row for row in rows if row.language not in wanted]
    if not seen or len({(row.intermediate, row.sources) for row in seen}) < 2:
        raise XstiltsError(
            "too-few",
            "there is nothing to compare in these runs",
            "a ranking is learnt from arms with different sources or intermediate tasks, in languages other than "
            f"{', '.join(wanted) or 'those trained on'}",
            "give a run with several arms, or fewer languages with --for",
        )
    learnt = learn(seen, known)
    penalty = choose_penalty(learnt)
    found = weights(learnt, penalty)
    checks = [check for by in ("language", "family") if (check := left_out(learnt, seen, known, by))]
    noise = signal(seen)
    among = [code for code in candidates or _pool(runs) if code not in wanted]
    order = np.argsort(-np.abs(found), kind="stable")
    return {
        "rows": len(seen), "languages": list(learnt.languages), "units": len(learnt.units),
        "families": sorted({family(code) for code in learnt.languages}),
        "penalty": penalty, "absent": learnt.design.absent,
        "weights": {learnt.design.names[i]: round(float(found[i]), 6) for i in order
                    if learnt.design.names[i] not in learnt.design.absent},
        "validation": checks, "signal": noise,
        "warnings": [*twice, *_artificial(runs), *_warnings(learnt, checks, noise)],
        "rankings": {code: _rank(code, among, seen, learnt, penalty, known) for code in wanted},
    }  # fmt: skip


def _artificial(runs: Sequence[Run]) -> list[str]:
    """A warning for runs whose languages share nothing with those of the same names but the grammar."""
    entries = [run for run in runs if any(_of_a_world(run, name) for name in run.study["tasks"].values())]
    names = ", ".join(str(run.folder) for run in entries)
    return [f"the languages of {names} are artificial: only their grammars are those of the real languages of the same "
            "names, so that this ranks sources for artificial languages"] if entries else []  # fmt: skip


def _of_a_world(run: Run, task: str) -> bool:
    own = run.plan["study"].get("tasks", {}).get(task)
    known = catalogue().get(task)
    return "world" in (own.get("source") or {}) if own else isinstance(known and known.source, WorldSource)


def shared_trainings(runs: Sequence[Run]) -> list[str]:
    """Warnings for runs that have trainings in common, which count twice; raises XstiltsError where one run is a part
    of another."""
    told = []
    for one, other in itertools.combinations(sorted(runs, key=lambda run: len(run.trainings)), 2):
        if common := one.trainings & other.trainings:
            if common == one.trainings:
                raise XstiltsError("inconsistent", f"{one.folder} is {other.folder} over again, or a part of it",
                                   "the same trainings would be counted twice", f"leave {one.folder} out")  # fmt: skip
            count = f"{len(common)} training{'s' if len(common) > 1 else ''}"
            told.append(f"{one.folder} and {other.folder} have {count} in common: what they show counts twice")
    return told


def _pool(runs: Sequence[Run]) -> list[str]:
    """The languages that the runs could take as sources."""
    codes = [code for run in runs for code in (run.plan["study"]["languages"]["anchor"], *run.plan["pool"])]
    return list(dict.fromkeys(codes))


def _rank(
    code: str, candidates: Sequence[str], rows: Sequence[Row], learnt: Learnt, penalty: float, known: dict[str, Numbers]
) -> list[Result]:
    """Each intermediate task with each candidate alone, best first, averaged over runs, encoders and targets.

    score: predicted rank, 0 in the middle; low, high: percentiles of it when languages and units are redrawn; top: how
    often it is among the first three then, best: how often it is first.
    """
    contexts = list({(row.run, row.encoder, row.target): row for row in rows}.values())
    choices = [(task, s) for task in sorted({row.intermediate for row in rows}) for s in candidates if s != code]
    if not choices:
        raise _no_source(code)
    made = [Row(c.run, c.encoder, c.unit, "", task, (s,), c.target, code, 0.0, 1.0)
            for c in contexts for task, s in choices]  # fmt: skip
    x = standardised(made, known, learnt.design).reshape(len(contexts), len(choices), -1).mean(0)
    scores = x @ weights(learnt, penalty)
    drawn = redrawn_weights(learnt, penalty) @ x.T
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    place = (-drawn).argsort(1, kind="stable").argsort(1)
    far = distance_matrix([code, *candidates]).values[0, 1:]
    told = [
        {"source": s, "intermediate": task, "score": scores[i], "low": low[i], "high": high[i],
         "top": (place[:, i] < TOP).mean(), "best": (place[:, i] == 0).mean(), "distance": far[candidates.index(s)]}
        for i, (task, s) in enumerate(choices)
    ]  # fmt: skip
    return [_plain(told[i]) for i in np.argsort(-scores, kind="stable")]


def _no_source(code: str) -> XstiltsError:
    why = "every candidate is a language to rank for"
    return XstiltsError(
        "unknown-name", f"there is no source to rank for '{code}'", why, "give others with --candidates"
    )


def predict_by_distance(wanted: Sequence[str], candidates: Sequence[str] = ()) -> Result:
    """What there is without runs, in the form of `predict_transfer`: candidates near to far, XTREME's by default.

    The interval is that of the distance; candidates without a measured distance are left out.
    """
    if not wanted:
        raise XstiltsError("inconsistent", "there is nothing to predict", ONLY_DISTANCE.partition(":")[0],
                           "give run folders to learn from, or languages with --for")  # fmt: skip
    among = [code for code in candidates or _xtreme() if code not in wanted]
    if not among:
        raise _no_source(wanted[0])
    rankings = {code: _near(code, among) for code in wanted}
    return {"rows": 0, "languages": [], "warnings": [ONLY_DISTANCE], "validation": [], "rankings": rankings}


def _xtreme() -> list[str]:
    return [one.code for one in all_languages() if one.glottocode]


def _near(code: str, candidates: Sequence[str]) -> list[Result]:
    found = distance_matrix([code, *candidates], intervals=True)
    pairs = [found.pair(0, int(i)) for i in np.flatnonzero(~np.isnan(found.values[0])) if i > 0]
    return [
        _plain({"source": pair.b, "intermediate": "", "score": -pair.value, "low": _minus(pair.high),
                "high": _minus(pair.low), "distance": pair.value})
        for pair in sorted(pairs, key=lambda pair: (pair.value, pair.b))
    ]  # fmt: skip


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _plain(row: Result) -> Result:
    """Numbers of a JSON object, None for what is not known."""
    return {name: value if isinstance(value, str) or value is None else
            (None if value != value else round(float(value), 6)) for name, value in row.items()}  # fmt: skip


def _warnings(learnt: Learnt, checks: Sequence[Result], noise: Sequence[Result]) -> list[str]:
    """What speaks against the ranking."""
    told = []
    count, families = len(learnt.languages), {family(code) for code in learnt.languages}
    if count < FEW_LANGUAGES:
        told.append(f"{count} languages are too few to say how well a new one is predicted (from {FEW_LANGUAGES} on)")
    if len(families) < FEW_FAMILIES:
        told.append(f"the languages are of {len(families)} families: nothing is known of others")
    if len(learnt.units) < FEW_TRAININGS:
        told.append(
            f"{len(learnt.units)} trainings of an encoder: intervals and shares of the ranking are too sure of it"
        )
    idle = [unit for unit, own in zip(learnt.units, np.abs(learnt.xy).sum((0, 2)), strict=True) if own == 0]
    if idle:
        told.append(f"in {len(idle)} of {len(learnt.units)} trainings no arm differs from another: they teach nothing "
                    f"({', '.join(idle)})")  # fmt: skip
    for one in noise:
        if one["p"] is None:
            told.append(f"'{one['target']}': {one['units']} complete trainings cannot tell whether arms differ at all")
        elif one["p"] > 1 - LEVEL:
            told.append(f"'{one['target']}': gains are within noise, arms differ no more than replicates do "
                        f"(p = {one['p']:.2f}, {one['run']})")  # fmt: skip
    for check in checks:
        low = check["over_nearest"]["spearman"]["low"]
        if low is None or low <= 0:
            told.append(f"leaving out a {check['by']}: not shown to rank better than the nearest language does")
        if check["candidates"] < FEW_CANDIDATES and check["by"] == "language":
            told.append(f"{check['candidates']:.1f} candidates a language in the mean: NDCG@3 says little")
    return told


def write_scores(file: Path, rankings: dict[str, list[Result]], learned_from: Sequence[str]) -> None:
    """The table that the language strategy `predicted` takes: source, target, score and the languages learnt from.

    Where there are several intermediate tasks, a source has the mean of its scores with them.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["source", "target", "score", "learned_from"])
        for target, ranking in rankings.items():
            for source in dict.fromkeys(row["source"] for row in ranking):
                score = float(np.mean([row["score"] for row in ranking if row["source"] == source]))
                writer.writerow([source, target, round(score, 6), " ".join(learned_from)])
