"""Everything that a report shows, from a run folder's predictions; no training is repeated to change an analysis."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.analysis.bootstrap import FEWEST_REPLICATES, multi_bootstrap, resample
from xstilts.analysis.comparison import Comparison, compare_arms
from xstilts.analysis.covariates import covariates
from xstilts.analysis.diagnostics import checkpoints, degenerate_runs, improvement, selection
from xstilts.analysis.effects import Effect, effect, paired_cells
from xstilts.analysis.gain_by_distance import distance_to_sources, rank_correlation, slope
from xstilts.analysis.inference import FIXED_LANGUAGES, RANDOM_LANGUAGES, families_of, random_language_effect, refusal
from xstilts.analysis.power import decision, decision_words
from xstilts.analysis.verdicts import UNDETERMINED, answer, as_json, rounded, sentence, verdict
from xstilts.errors import XstiltsError
from xstilts.languages import MEASURES
from xstilts.runs.reader import BASELINE, Run, encoder_kinds, read_run
from xstilts.runs.run_files import AFTER_RETRY, BY_ORACLE, ESTIMATES, TRANSLATIONS, read_json
from xstilts.runs.score_table import ScoreTable

Result = dict[str, Any]


def analyse(run: Path) -> Result:
    """Scores, effects, verdicts and the relation to distance of a finished (or partly finished) run.

    Raises XstiltsError where the folder holds no run, or a declared contrast cannot be judged.
    """
    found = read_run(run)
    study, plan, budgets = found.study, found.plan, found.budgets
    tables = {target: found.score_table(target) for target in found.labelled}
    encoders = sorted({cell[1] for table in tables.values() for cell in table.cluster_stats if cell[1]})
    held_out = list(plan["held_out"])
    context = {"study": study, "plan": plan, "encoders": encoders, "held_out": held_out, "kinds": encoder_kinds(plan)}
    declared = [*study["contrasts"], *study["controls"]]
    judged = [_judge(found, contrast, encoders) for contrast in study["contrasts"]]
    controls = [_judge(found, contrast, encoders) for contrast in study["controls"]]
    strategies = {name: arm.get("languages", "english") for name, arm in study["arms"].items() if "intermediate" in arm}
    baselines = [row for table in tables.values() for row in _against_baseline(found, table, encoders)]
    retried, chosen = (replace(found, tables=name, score_tables={}) for name in (AFTER_RETRY, BY_ORACLE))
    oracle = _judge_variant(chosen, encoders)
    told = answer([(v["left"], v["right"], v["verdict"]) for v in judged], strategies)
    return {
        **context,
        "answer": told and told + _caveat(judged, baselines),
        "verdicts": judged,
        "controls": controls,
        "scores": [row for table in tables.values() for row in _scores(table, held_out)],
        "also": _also(found, held_out),
        "baselines": baselines,
        "languages": [row for c in declared for row in _per_language(found, c, encoders)],
        "distance": [_distance(found, contrast, encoders) for contrast in study["contrasts"]],
        "selection": selection(tables.values(), budgets, held_out),
        "degenerate_runs": degenerate_runs(budgets),
        "after_retry": _judge_variant(retried, encoders),
        "by_oracle": oracle and {**oracle, "checkpoints": checkpoints(tables, _score_tables(chosen), held_out)},
        "budgets": budgets,
        "estimates": read_json(run, ESTIMATES, []),
        "translations": read_json(run, TRANSLATIONS, []),
    }


def _score_tables(run: Run) -> dict[str, ScoreTable]:
    return {target: run.score_table(target) for target in run.scored}


def _judge_variant(run: Run, encoders: list[str]) -> Result | None:
    """Verdicts and scores by other predictions of the run's cells, as far as these go; None where there are none.

    A contrast that they cannot judge is left out: a step of theirs that failed must not hide the run's own verdicts.
    """
    tables = _score_tables(run)
    if not tables:
        return None
    verdicts = []
    for contrast in run.study["contrasts"]:
        if set(contrast["targets"]) <= set(tables):
            with suppress(XstiltsError):
                verdicts.append(_judge(run, contrast, encoders))
    return {
        "verdicts": verdicts,
        "scores": [row for table in tables.values() for row in _scores(table, run.plan["held_out"])],
    }


def _judge(run: Run, contrast: Result, encoders: list[str]) -> Result:
    """The verdict on the primary targets together, and beside it other readings and parts of the same contrast."""
    study = run.study
    family = study["controls"] if contrast in study["controls"] else study["contrasts"]
    level = 1 - (1 - study["level"]) / len(family)
    comparison = _compare(run, contrast, contrast["targets"], encoders, level)
    whole = effect(comparison)
    word = verdict(whole, study["equivalence"])
    text = sentence(contrast["left"], contrast["right"], whole, word, study["equivalence"], len(encoders))
    decides = decision(whole, study["equivalence"], len(encoders)) if word == UNDETERMINED else None
    return as_json(
        whole, **contrast, verdict=word, sentence=text,
        decision=decides and {**rounded(vars(decides)),
                              "text": decision_words(decides, whole.replicates // len(encoders))},
        readings=_readings(comparison, whole),
        bootstrap=_bootstrap(comparison, whole),
        runs=improvement(comparison),
        parts=_parts(run, contrast, encoders),
    )  # fmt: skip


def _compare(
    run: Run, contrast: Result, targets: list[str], encoders: list[str], level: float | None = None
) -> Comparison:
    return compare_arms(run, contrast["left"], contrast["right"], targets, level=level, encoders=encoders)


def _parts(run: Run, contrast: Result, encoders: list[str]) -> list[Result]:
    """The contrast per encoder, per target, and on the classification tasks together: each for itself."""

    def part(targets: list[str], among: list[str]) -> Effect:
        return effect(_compare(run, contrast, targets, among))

    targets = run.scored
    parts = [as_json(part(contrast["targets"], [encoder]), encoder=encoder) for encoder in encoders]
    parts += [as_json(part([target], encoders), target=target) for target in targets]
    together = [target for target in targets if run.study["types"][target] == "classification"]
    if len(together) > 1:
        parts.append(as_json(part(together, encoders), target=f"classification tasks: {', '.join(together)}"))
    return parts


def _readings(comparison: Comparison, whole: Effect) -> list[Result]:
    """Both readings of a contrast; the second one in words where it is refused."""
    families = families_of([code for codes in comparison.languages for code in codes])
    reason = refusal(comparison.languages, families)
    second: Result = {"reading": RANDOM_LANGUAGES, "refused": reason}
    if not reason:
        wider = random_language_effect(comparison, families)
        second = as_json(wider, reading=RANDOM_LANGUAGES, families=len(set(families.values())))
    return [as_json(whole, reading=FIXED_LANGUAGES), second]


def _bootstrap(comparison: Comparison, whole: Effect) -> Result | None:
    """The multi-bootstrap's intervals, where every encoder has replicates enough."""
    pairs = {encoder: paired_cells(comparison, encoder) for encoder in comparison.encoders}
    if min(map(len, pairs.values())) < FEWEST_REPLICATES:
        return None
    cells = list(dict.fromkeys(cell for own in pairs.values() for pair in own for cell in pair))
    scores = [
        dict(zip(cells, resample(table, cells, codes).T, strict=True))
        for table, codes in zip(comparison.tables, comparison.languages, strict=True)
    ]
    return rounded(vars(multi_bootstrap(scores, pairs, whole.level, whole.degrees)))


def _caveat(judged: list[Result], baselines: list[Result]) -> str:
    """A warning where no judged arm beats the baseline: such arms cannot differ in what they learnt of the task."""
    compared = {(target, v[side]) for v in judged for side in ("left", "right") for target in v["targets"]}
    beaten = [row["beaten"] for row in baselines if (row["target"], row["arm"]) in compared]
    if not beaten or any(beaten):
        return ""
    return " But no arm scores better than the baseline, so this says nothing of transfer."


def _scores(table: ScoreTable, held_out: list[str]) -> list[Result]:
    """Mean and standard deviation over all replicates, per arm and language."""
    rows = []
    for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats):
        cells = table.cells(arm)
        for code in table.languages:
            values = np.array([table.score(cell, code) for cell in cells])
            spread = float(values.std(ddof=1)) if len(values) > 1 else None
            rows.append({"target": table.target, "metric": table.metric, "arm": arm, "language": code,
                         "held_out": code in held_out, "mean": float(values.mean()), "sd": spread,
                         "replicates": len(values)})  # fmt: skip
    return rows


def _also(run: Run, held_out: list[str]) -> list[Result]:
    """Scores by the metrics that a task names beside the one that it is judged by."""
    named = [(target, name) for target in run.labelled for name in run.study["also"][target]]
    return [row for target, name in named for row in _scores(run.score_table(target, name), held_out)]


def _against_baseline(run: Run, table: ScoreTable, encoders: list[str]) -> list[Result]:
    """Each arm against the baseline of its target over the held-out languages: is it better at all?"""
    rows = []
    if not table.cells(BASELINE):
        return []
    for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats if cell[0] != BASELINE):
        comparison = compare_arms(run, arm, BASELINE, [table.target], encoders=encoders)
        gain = effect(comparison)
        (codes,) = comparison.languages
        floor = float(np.mean([table.score(cell, code) for cell in table.cells(BASELINE) for code in codes]))
        rows.append(as_json(gain, target=table.target, arm=arm, baseline=table.kind.BASELINE, floor=floor,
                            beaten=bool(gain.low > 0)))  # fmt: skip
    return rows


def _per_language(run: Run, contrast: Result, encoders: list[str]) -> list[Result]:
    """Paired effect in each language of each target, without correction for their number: exploratory."""
    rows = []
    for target in run.scored:
        for code in run.score_table(target).languages:
            gain = _gain(run, contrast, [target], code, encoders)
            rows.append(as_json(gain, contrast=contrast["contrast"], target=target, language=code,
                                held_out=code in run.plan["held_out"]))  # fmt: skip
    return rows


def _gain(run: Run, contrast: Result, targets: list[str], code: str, encoders: list[str]) -> Effect:
    """The effect in one language, mean over targets."""
    left, right = contrast["left"], contrast["right"]
    return effect(compare_arms(run, left, right, targets, encoders=encoders, languages=[code]))


def _distance(run: Run, contrast: Result, encoders: list[str]) -> Result:
    """Gain of each held-out language on the primary targets against its distance from the left arm's sources."""
    sources = [list(codes) for codes in run.plan["sources"][contrast["left"]].values()]
    primary = run.study["measure"]
    comparison = _compare(run, contrast, contrast["targets"], encoders)
    codes = [code for code in run.plan["held_out"] if any(code in held for held in comparison.languages)]
    by_measure = {
        name: {code: distance_to_sources(code, sources, name) for code in codes}
        for name in (primary, *(name for name in MEASURES if name != primary))
    }
    points = []
    for code in codes:
        targets = [target for target in contrast["targets"] if code in run.score_table(target).clusters]
        gain = _gain(run, contrast, targets, code, encoders).estimate
        points.append({"language": code, "gain": gain, "distance": by_measure[primary][code],
                       "from_anchor": run.plan["distances"].get(code)})  # fmt: skip
    gains = np.array([point["gain"] for point in points])
    rho, p, permutations = rank_correlation(np.array([point["distance"] for point in points], float), gains)

    def line(columns: Result) -> Result:
        return rounded(slope(comparison, columns))

    more = covariates(run.folder, codes, sources)
    straight = {name: line({name: column}) | {"measure": name} for name, column in by_measure.items()}
    adjusted = [line({primary: by_measure[primary], name: column}) for name, column in more.items()]
    joint = line({primary: by_measure[primary], **more})
    return {"contrast": contrast["contrast"], "measure": primary, "points": [_without_nan(p) for p in points],
            "permutations": permutations, **_without_nan({"rho": rho, "p": p}), "slopes": list(straight.values()),
            "adjusted": adjusted, "joint": joint}  # fmt: skip


def _without_nan(row: Result) -> Result:
    return {name: None if isinstance(value, float) and value != value else value for name, value in row.items()}
