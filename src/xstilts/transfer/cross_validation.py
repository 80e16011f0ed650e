"""How well a table's scores and sources are predicted: new mixtures, and languages or families that are left out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats
from sklearn.model_selection import KFold

from xstilts.errors import XstiltsError
from xstilts.transfer.baselines import METHODS, simple_rankings
from xstilts.transfer.left_out import (
    LEVEL,
    blocks_by,
    conformal,
    language_errors,
    left_out_effects,
    left_out_scores,
)
from xstilts.transfer.metrics import ndcg, spearman
from xstilts.transfer.new_languages import rests
from xstilts.transfer.results_table import ResultsTable
from xstilts.transfer.transfer_model import FEWEST, TransferModel, fit_model, usable

FOLDS = 5
Row = dict[str, Any]


def validate_mixtures(results: ResultsTable) -> Row:
    """Mean absolute errors in points of scores after mixtures that were left out, by method, in five folds.

    `coverage`: how many of the scores lie within the 90% interval from errors of trainings in the other folds.
    """
    results = usable(results)
    if len(results.examples) < 2 * FEWEST:
        why, hint = f"it has {len(results.examples)} trainings", f"give at least {2 * FEWEST}"
        raise XstiltsError("too-few", f"'{results.name}' is too small to validate", why, hint)
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    errors = {name: np.full(results.scores.shape, np.nan) for name in ("xstilts", *METHODS)}
    inside = np.full(results.scores.shape, np.nan)
    for train, test in folds.split(results.examples):
        part = replace(results, examples=results.examples[train], scores=results.scores[train])
        model, wanted, truth = fit_model(part), results.examples[test], results.scores[test]
        here = [results.targets.index(code) for code in model.results.targets]  # a fold may have too few of some
        errors["xstilts"][np.ix_(test, here)] = np.abs(model.known(wanted, model.results.targets) - truth[:, here])
        for name, method in METHODS.items():
            errors[name][test] = np.abs(method(part, wanted) - truth)
        half = np.array([conformal(column) for column in model.errors.T])
        found = errors["xstilts"][np.ix_(test, here)]
        inside[np.ix_(test, here)] = np.where(np.isnan(found), np.nan, found <= half)
    return {
        "table": results.name, "trainings": len(results.examples), "targets": len(results.targets),
        "mae": {name: _mean_with_interval(np.nanmean(values, 1)) for name, values in errors.items()},
        "coverage": float(np.nanmean(inside)), "nominal": LEVEL,
    }  # fmt: skip


def validate_languages(model: TransferModel, by: str, others: Sequence[TransferModel] = ()) -> Row:
    """How scores and sources are predicted in languages (or families) that are left out in turn.

    mae: of the scores without examples in the language itself; mixtures: Spearman of the trainings; sources: Spearman
    and NDCG@3 of what each source adds; coverage: of 90% intervals from the errors of other blocks. Parameters of
    other languages are not fitted again. Intervals are over targets.
    """
    table = model.results
    blocks = blocks_by(table.targets, by)
    level, response = left_out_scores(model, blocks, others)
    errors = language_errors(model, level, response)
    rankings = simple_rankings(model, blocks) | {"xstilts": left_out_effects(model, blocks)}
    rows: dict[str, dict[str, list[float]]] = {"mae": {}, "mixtures": {}, "spearman": {}, "ndcg@3": {}}
    covered = []
    for j, rest in rests(blocks):
        at = ~np.isnan(errors[:, j])
        if not at.any() or not rest:
            continue
        y, truth = table.scores[at, j], model.effects[:, j]
        _add(rows["mae"], "xstilts", np.abs(errors[at, j]).mean())
        _add(rows["mae"], "mean of the others", np.abs(np.nanmean(model.foreign[:, rest]) - y).mean())
        covered.append(np.mean(np.abs(errors[at, j]) <= conformal(errors[:, rest])))
        if at.sum() > 2:
            _add(rows["mixtures"], "xstilts", spearman(response[at, j], y))
        measured = np.array([source != table.targets[j] for source in table.sources]) & ~np.isnan(truth)
        for name, scores in rankings.items():
            _add(rows["spearman"], name, spearman(scores[measured, j], truth[measured]))
            _add(rows["ndcg@3"], name, ndcg(scores[measured, j], truth[measured]))
    summary = {key: {name: _mean_with_interval(np.array(v)) for name, v in each.items()} for key, each in rows.items()}
    facts = {"table": table.name, "by": by, "left_out": len(set(blocks)), "targets": len(table.targets)}
    return facts | summary | {"coverage": float(np.mean(covered)), "nominal": LEVEL}


def _add(values: dict[str, list[float]], name: str, value: float) -> None:
    values.setdefault(name, []).append(float(value))


def _mean_with_interval(values: np.ndarray) -> Row:
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return {"mean": float(values.mean()) if len(values) else None, "low": None, "high": None}
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    centre = float(values.mean())
    return {"mean": centre, "low": centre - half, "high": centre + half}
