"""Everything that a report shows, from a run folder's predictions; no training is repeated to change an analysis."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.analysis.bootstrap import FEWEST_REPLICATES, multi_bootstrap, resample_arms
from xstilts.analysis.breakdown import breakdowns
from xstilts.analysis.covariates import covariates, families_of
from xstilts.analysis.diagnostics import checkpoints, degenerate_runs, improvement, selection
from xstilts.analysis.effects import compare_arms, effect, paired_cells, random_language_effect
from xstilts.analysis.gain_by_distance import distance_to_sources, gains_by_language, rank_correlation, slope
from xstilts.analysis.interpretation import doubt_about, missing_cells
from xstilts.analysis.power import decision
from xstilts.analysis.verdicts import (
    NOT_INTERPRETABLE,
    UNDETERMINED,
    answer,
    as_json,
    figures,
    rounded,
    sentence,
    verdict,
)
from xstilts.errors import XstiltsError
from xstilts.languages import MEASURES
from xstilts.runs.reader import BASELINE, Run, read_run
from xstilts.runs.run_files import AFTER_RETRY, BY_ORACLE, ESTIMATES, TRANSLATIONS, read_json
from xstilts.runs.score_table import ScoreTable

Result = dict[str, Any]


def analyse(folder: Path) -> Result:
    """Scores, effects, verdicts and the relation to distance of a finished (or partly finished) run.

    With one replicate, differences have no intervals and every verdict is undetermined. `missing` of the result lists
    what a partly finished run lacks; contrasts that lack an arm or a target are in it, and not among the verdicts.
    Raises XstiltsError if the folder holds no run, or none of its predictions.
    """
    run = read_run(folder)
    study, budgets, held_out = run.study, run.budgets, list(run.plan["held_out"])
    tables = {target: run.score_table(target) for target in run.scored}
    encoders = sorted({cell[1] for table in tables.values() for cell in table.cluster_stats if cell[1]})
    if not encoders:
        hint = "finish the study: run it again, and it computes what is missing"
        raise XstiltsError("unfinished", f"{folder} has no predictions to analyse", "no target was scored", hint)
    baselines = [row for table in tables.values() for row in _against_baseline(run, table, encoders)]
    missing = missing_cells(run, tables)
    controls = _judged(run, study["controls"], encoders, {}, missing)
    doubts = {each["contrast"]: doubt_about(study, each, baselines, controls) for each in study["contrasts"]}
    verdicts = _judged(run, study["contrasts"], encoders, doubts, missing)
    retried, chosen = (replace(run, tables=name, score_tables={}) for name in (AFTER_RETRY, BY_ORACLE))
    if oracle := _judge_variant(chosen, encoders, doubts):
        oracles = {target: chosen.score_table(target) for target in chosen.scored}
        oracle["checkpoints"] = checkpoints(tables, oracles, held_out)
    also = [run.score_table(target, metric) for target in run.scored for metric in study["also"][target]]
    return {
        "study": study,
        "plan": run.plan,
        "encoders": encoders,
        "held_out": held_out,
        "missing": missing,
        "answer": _answer(run, verdicts, baselines),
        "verdicts": verdicts,
        "controls": controls,
        "scores": _scores(tables.values(), held_out),
        "also": _scores(also, held_out),
        "runs": [row for table in tables.values() for row in _runs(table, held_out)],
        "baselines": baselines,
        "languages": [row for contrast in [*verdicts, *controls] for row in _per_language(run, contrast, encoders)],
        "breakdowns": list(breakdowns(run, encoders)),
        "distance": [_distance(run, contrast, encoders) for contrast in verdicts],
        "selection": selection(tables.values(), budgets, held_out),
        "degenerate_runs": degenerate_runs(budgets),
        "after_retry": _judge_variant(retried, encoders, doubts),
        "by_oracle": oracle,
        "budgets": budgets,
        "estimates": read_json(folder, ESTIMATES, []),
        "translations": read_json(folder, TRANSLATIONS, []),
    }


def _judged(
    run: Run, contrasts: list[Result], encoders: list[str], doubts: dict[str, str], missing: list[str]
) -> list[Result]:
    """The verdicts on those contrasts that can be judged; why not, for the others, is added to `missing`."""
    rows = []
    for contrast in contrasts:
        try:
            rows.append(_judge(run, contrast, encoders, doubts.get(contrast["contrast"], "")))
        except XstiltsError as error:
            if error.kind not in ("too-few", "missing-file"):
                raise
            missing.append(f"'{contrast['contrast']}' cannot be judged: {error.what}; {error.why}")
    return rows


def _judge_variant(run: Run, encoders: list[str], doubts: dict[str, str]) -> Result | None:
    """Verdicts and scores by other predictions of the run's cells, as far as these go; None if there are none.

    A contrast that they give no interval for is left out: a failed step of theirs must not hide the run's own verdicts.
    """
    if not run.scored:
        return None
    verdicts = []
    for contrast in run.study["contrasts"]:
        if set(contrast["targets"]) <= set(run.scored):
            with suppress(XstiltsError):
                verdicts.append(_judge(run, contrast, encoders, doubts[contrast["contrast"]]))
    scores = _scores([run.score_table(target) for target in run.scored], run.plan["held_out"])
    return {"verdicts": [row for row in verdicts if row["low"] is not None], "scores": scores}


def _judge(run: Run, contrast: Result, encoders: list[str], doubt: str = "") -> Result:
    """The verdict on the primary targets together, random-language inference, and parts of the same contrast.

    doubt: why the contrast cannot be interpreted, "" if it can.
    The parts (per encoder, per target, and on the classification tasks together) are at the study's level each.
    """
    study, margin = run.study, run.study["equivalence"]
    declared = study["controls"] if contrast in study["controls"] else study["contrasts"]
    compare = partial(compare_arms, run, contrast["left"], contrast["right"], encoders=encoders)
    comparison = compare(contrast["targets"], level=1 - (1 - study["level"]) / len(declared))
    whole = effect(comparison)
    word = NOT_INTERPRETABLE if doubt else verdict(whole, margin)
    settles = None
    if word == UNDETERMINED and whole.low is not None:
        settles = rounded(decision(whole, margin, len(encoders)))
    families = families_of([code for _, code in comparison.columns])
    try:
        random = as_json(random_language_effect(comparison, families), families=len(set(families.values())))
    except XstiltsError as refused:
        random = {"refused": refused.why}
    bootstrap = None
    fewest = min(len(paired_cells(comparison, encoder)) for encoder in encoders)
    if fewest >= FEWEST_REPLICATES and whole.low is not None:
        bootstrap = rounded(multi_bootstrap(comparison, resample_arms(comparison), whole.degrees))
    parts = [as_json(effect(compare(contrast["targets"], encoders=[name])), encoder=name) for name in encoders]
    held_out = [name for name in run.scored if set(run.plan["held_out"]) & set(run.score_table(name).languages)]
    for target in list(held_out):
        try:
            parts.append(as_json(effect(compare([target])), target=target))
        except XstiltsError:  # not finished, and the contrast is not judged on it
            held_out.remove(target)
    together = [target for target in held_out if study["types"][target] == "classification"]
    if len(together) > 1:
        parts.append(as_json(effect(compare(together)), target=f"classification tasks: {', '.join(together)}"))
    scope = f"for {'this encoder' if len(encoders) == 1 else f'these {len(encoders)} encoders'}"
    return as_json(
        whole,
        **contrast,
        verdict=word,
        sentence=sentence(contrast["left"], contrast["right"], whole, margin, scope, doubt),
        decision=settles,
        random_languages=random,
        bootstrap=bootstrap,
        runs=improvement(comparison),
        parts=parts,
    )


def _answer(run: Run, verdicts: list[Result], baselines: list[Result]) -> str:
    """The answer to the study's question, as far as its contrasts ask about distance, and the numbers of the first."""
    arms = run.study["arms"].items()
    strategies = {name: arm.get("languages", "english") for name, arm in arms if "intermediate" in arm}
    text = answer([(row["left"], row["right"], row["verdict"]) for row in verdicts], strategies)
    if not verdicts:
        return text
    first, artificial = verdicts[0], set(run.study.get("artificial", ()))
    scored = {code for target in first["targets"] for code in run.score_table(target).languages}
    languages = len(scored & set(run.plan["held_out"]))
    beaten = {(row["target"], row["arm"]): row["beaten"] for row in baselines}
    arms = first["left"], first["right"]
    not_learned = {target for target, _ in beaten if all(beaten.get((target, arm)) is False for arm in arms)}
    made = bool(artificial & set(first["targets"]))
    numbers = figures(first, languages, len(run.encoders), made, not_learned)
    return " ".join(filter(None, [text, numbers]))


def _scores(tables: Iterable[ScoreTable], held_out: list[str]) -> list[Result]:
    """Mean and standard deviation over all replicates, per target, arm and language."""
    rows = []
    for table in tables:
        for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats):
            for code in table.languages:
                values = table.scores(table.cells(arm), code)
                facts = {"target": table.target, "metric": table.metric, "arm": arm, "language": code}
                sd = float(values.std(ddof=1)) if len(values) > 1 else None
                numbers = {"mean": float(values.mean()), "sd": sd, "replicates": len(values)}
                rows.append({**facts, "held_out": code in held_out, **numbers})
    return rows


def _runs(table: ScoreTable, held_out: list[str]) -> list[Result]:
    """Every replicate's mean over the held-out languages of a target; [] if it has none."""
    codes = [code for code in table.languages if code in held_out]
    if not codes:
        return []
    rows = []
    for arm, encoder, replicate in table.cluster_stats:
        if arm != BASELINE:
            score = np.mean([table.scores([(arm, encoder, replicate)], code) for code in codes])
            facts = {"target": table.target, "arm": arm, "encoder": encoder, "replicate": replicate}
            rows.append({**facts, "score": round(float(score), 4)})
    return rows


def _against_baseline(run: Run, table: ScoreTable, encoders: list[str]) -> list[Result]:
    """Each arm against the baseline of its target over the held-out languages (over all if it has none of these): is it
    better at all?

    `beaten` is None if there is no interval to tell; a target whose items are of one cluster has no row.
    """
    rows = []
    codes = [code for code in table.languages if code in run.plan["held_out"]] or table.languages
    cells = table.cells(BASELINE)
    for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats if cell[0] != BASELINE) if cells else ():
        ran = [name for name in encoders if table.cells(arm, name)]
        try:
            comparison = compare_arms(run, arm, BASELINE, [table.target], encoders=ran, languages=codes)
            gain = effect(comparison)
        except XstiltsError as error:
            if error.kind != "too-few":  # its items are of one cluster
                raise
            continue
        floor = float(np.mean([table.scores(cells, code) for code in comparison.languages[0]]))
        beaten = None if gain.low is None else gain.low > 0
        facts = {"target": table.target, "arm": arm, "baseline": table.kind.BASELINE, "floor": floor, "beaten": beaten}
        rows.append(as_json(gain, **facts))
    return rows


def _per_language(run: Run, contrast: Result, encoders: list[str]) -> list[Result]:
    """Paired effect in each language of each target, without correction for their number: exploratory."""
    compare, rows = partial(compare_arms, run, contrast["left"], contrast["right"], encoders=encoders), []
    for target in run.scored:
        for code in run.score_table(target).languages:
            facts = {"contrast": contrast["contrast"], "target": target, "language": code}
            with suppress(XstiltsError):  # an arm has not been scored on a target that the contrast is not judged on
                gain = as_json(effect(compare([target], languages=[code])))
                rows.append({**facts, "held_out": code in run.plan["held_out"], **gain})
    return rows


def _distance(run: Run, contrast: Result, encoders: list[str]) -> Result:
    """Gain of each held-out language on the primary targets against its distance from the left arm's sources."""
    sources = [list(codes) for codes in run.plan["sources"][contrast["left"]].values()]
    primary = run.study["measure"]
    compare = partial(compare_arms, run, contrast["left"], contrast["right"], encoders=encoders)
    comparison = compare(contrast["targets"])
    gained = gains_by_language(comparison)
    gains = {code: gained[code] for code in run.plan["held_out"] if code in gained}
    measures = dict.fromkeys((primary, *MEASURES))
    distances = {name: {code: distance_to_sources(code, sources, name) for code in gains} for name in measures}
    distance = distances[primary]
    points = []
    for code, gain in gains.items():
        facts = {"language": code, "gain": gain, "distance": distance[code]}
        scored = [
            table.target for table, codes in zip(comparison.tables, comparison.languages, strict=True) if code in codes
        ]
        low = high = None
        with suppress(XstiltsError):  # its items are of one cluster: a gain without an interval
            alone = effect(compare(scored, languages=[code]))
            low, high = alone.low, alone.high
        points.append({**facts, "low": low, "high": high, "from_anchor": run.plan["distances"].get(code)})
    rho, p, permutations = rank_correlation(np.array(list(distance.values())), np.array(list(gains.values())))
    loads = [str(entry.get("load") or "") for entry in run.plan["study"]["encoders"].values()]
    more = covariates(run.folder, list(gains), sources, loads)
    return {
        "contrast": contrast["contrast"],
        "targets": contrast["targets"],
        "measure": primary,
        "points": [rounded(point, None) for point in points],
        "permutations": permutations,
        **rounded({"rho": rho, "p": p}, None),
        "slopes": [
            rounded(slope(comparison, {name: each})) | {"measure": name} for name, each in (distances | more).items()
        ],
        "adjusted": [rounded(slope(comparison, {primary: distance, name: each})) for name, each in more.items()],
        "joint": rounded(slope(comparison, {primary: distance, **more})),
    }
