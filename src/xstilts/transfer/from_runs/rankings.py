"""From runs to a ranking of source languages for new languages, with warnings about what limits it."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from xstilts.analysis.covariates import families_of
from xstilts.analysis.verdicts import rounded
from xstilts.errors import XstiltsError
from xstilts.languages import distance_matrix
from xstilts.runs.reader import Run
from xstilts.runs.run_files import read_language_features
from xstilts.tasks.task import catalogue_entries
from xstilts.transfer.from_runs.gains import gains, signal
from xstilts.transfer.from_runs.ridge import (
    TrainingSet,
    choose_penalty,
    redrawn_weights,
    standardised,
    training_set,
    weights,
)
from xstilts.transfer.from_runs.validation import LEVEL, Result, leave_out
from xstilts.transfer.metrics import TOP

FEW_LANGUAGES, FEW_FAMILIES, FEW_CANDIDATES, FEW_TRAININGS = 8, 4, 5, 5


def rank_by_runs(
    runs: Sequence[Run], wanted: Sequence[str] = (), candidates: Sequence[str] = (), target: str = ""
) -> Result:
    """Learn from the gains of runs, validate on languages left out, and rank sources for the wanted languages.

    Args:
        wanted: languages to rank sources for; their own gains are not learnt from.
        candidates: sources to rank; by default those that the runs could draw from.
        target: learn from one target task only.

    Raises XstiltsError if there is nothing to learn from, or one run is a part of another.
    """
    warnings = _run_warnings(runs)
    learnt_from = [gain for gain in gains(runs, target) if gain.language not in wanted]
    if len({(gain.intermediate, gain.sources) for gain in learnt_from}) < 2:
        others = ", ".join(wanted) or "those trained on"
        why = f"a ranking is learnt from arms with different sources or tasks, in languages other than {others}"
        hint = "give a run with several arms, or fewer languages with --for"
        raise XstiltsError("too-few", "there is nothing to compare in these runs", why, hint)
    data = training_set(learnt_from, {run.name: read_language_features(run.folder) for run in runs})
    penalty = choose_penalty(data.x, data.y, data.languages)
    coefficients = dict(zip(data.names, weights(data.x, data.y, penalty).tolist(), strict=True))
    largest = sorted(coefficients, key=lambda name: -abs(coefficients[name]))
    checks = [check for by in ("language", "family") if (check := leave_out(data, by))]
    tests = signal(learnt_from)
    pools = [code for run in runs for code in (run.plan["study"]["languages"]["anchor"], *run.plan["pool"])]
    languages = sorted(set(data.languages.tolist()))
    return {
        "rows": len(learnt_from),
        "languages": languages,
        "units": len(set(data.trainings)),
        "families": sorted(set(families_of(languages).values())),
        "penalty": penalty,
        "absent": data.absent,
        "weights": {name: round(coefficients[name], 6) for name in largest if name not in data.absent},
        "validation": checks,
        "signal": tests,
        "warnings": [*warnings, *_warnings(data, checks, tests)],
        "rankings": _rankings(wanted, _sources(wanted, candidates or dict.fromkeys(pools)), data, penalty),
    }


def _sources(wanted: Sequence[str], candidates: Iterable[str]) -> list[str]:
    """The candidates that are not wanted languages; raises XstiltsError if there are none to rank."""
    sources = [code for code in candidates if code not in wanted]
    if wanted and not sources:
        what, why = f"there is no source to rank for '{wanted[0]}'", "every candidate is a language to rank for"
        raise XstiltsError("too-few", what, why, "give others with --candidates")
    return sources


def _rankings(wanted: Sequence[str], sources: Sequence[str], data: TrainingSet, penalty: float) -> Result:
    """For each wanted language, each intermediate task with each source alone, best first.

    Scores are averaged over runs, encoders and targets. score: predicted rank, 0 in the middle; low, high: its
    percentiles when languages and trainings are redrawn; top: how often it is then among the first three; best: how
    often it is first.
    """
    if not wanted:
        return {}
    coefficients, redrawn = weights(data.x, data.y, penalty), redrawn_weights(data, penalty)
    contexts = {(gain.run, gain.encoder, gain.target): gain for gain in data.gains}.values()
    choices = list(itertools.product(sorted({gain.intermediate for gain in data.gains}), sources))
    rankings: dict[str, list[Result]] = {code: [] for code in wanted}
    for code, ranking in rankings.items():
        each = itertools.product(contexts, choices)
        alone = [replace(gain, language=code, intermediate=task, sources=(source,)) for gain, (task, source) in each]
        x = standardised(alone, data).reshape(len(contexts), len(choices), -1).mean(0)
        scores, drawn = x @ coefficients, redrawn @ x.T
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        place = (-drawn).argsort(1, kind="stable").argsort(1)
        distances = dict(zip(sources, distance_matrix([code, *sources]).values[0, 1:], strict=True))
        for i in np.argsort(-scores, kind="stable"):
            task, source = choices[i]
            row = {"source": source, "intermediate": task, "score": scores[i], "low": low[i], "high": high[i]}
            shares = {"top": (place[:, i] < TOP).mean(), "best": (place[:, i] == 0).mean()}
            ranking.append(rounded(row | shares | {"distance": distances[source]}))
    return rankings


def _run_warnings(runs: Sequence[Run]) -> list[str]:
    """Warn of trainings that two runs share, which count twice, and of tasks in artificial languages.

    Raises XstiltsError if one run is a part of another.
    """
    warnings, artificial = [], []
    for small, large in itertools.combinations(sorted(runs, key=lambda run: len(run.trainings)), 2):
        if common := small.trainings & large.trainings:
            if common == small.trainings:
                what, why = f"{small.folder} repeats {large.folder} or a part of it", "its trainings would count twice"
                raise XstiltsError("inconsistent", what, why, f"leave {small.folder} out")
            count = f"{len(common)} training{'s' if len(common) > 1 else ''}"
            warnings.append(f"{small.folder} and {large.folder} share {count}, which count twice")
    for run in runs:
        entries = catalogue_entries() | run.plan["study"].get("tasks", {})
        if any("world" in (entries.get(task, {}).get("source") or {}) for task in run.study["tasks"].values()):
            artificial.append(str(run.folder))
    if artificial:
        what = f"the languages of {', '.join(artificial)} are artificial: they share only grammars with the real"
        warnings.append(f"{what} languages of the same names, so this ranking is for artificial languages")
    return warnings


def _warnings(data: TrainingSet, checks: Sequence[Result], tests: Sequence[Result]) -> list[str]:
    """What limits the ranking, in words."""
    languages, trainings = sorted(set(data.languages.tolist())), sorted(set(data.trainings.tolist()))
    families = len(set(families_of(languages).values()))
    idle = [training for training in trainings if not data.y[data.trainings == training].any()]
    few = f"{len(languages)} languages are too few to tell how well new ones are predicted (fewer than {FEW_LANGUAGES})"
    related = f"the languages are of {families} {'family' if families == 1 else 'families'}: others may differ"
    narrow = f"with {len(trainings)} trainings of an encoder, the intervals are too narrow"
    equal = f"in {len(idle)} of {len(trainings)} trainings all arms score the same ({', '.join(idle)})"
    limits = [(len(languages) < FEW_LANGUAGES, few), (families < FEW_FAMILIES, related)]
    limits += [(len(trainings) < FEW_TRAININGS, narrow), (bool(idle), equal)]
    for test in tests:
        name, p = test["target"], test["p"]
        few = f"'{name}': {test['units']} complete trainings are too few to test whether arms differ at all"
        noise = f"'{name}': gains are within noise: arms differ no more than replicates do"
        limits += [(p is None, few), (p is not None and p > 1 - LEVEL, f"{noise} (p = {p or 0:.2f}, {test['run']})")]
    for check in checks:
        low, count = check["over_nearest"]["spearman"]["low"], check["candidates"]
        unproven = f"with a {check['by']} left out, the ridge is not shown to rank better than the nearest language"
        few = f"{count:.1f} candidates per language on average: NDCG@3 means little"
        limits += [(low is None or low <= 0, unproven), (count < FEW_CANDIDATES and check["by"] == "language", few)]
    return [text for applies, text in limits if applies]
