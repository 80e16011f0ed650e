"""How well a table's scores and sources are predicted: new mixtures, and languages or families that are left out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.model_selection import KFold

from xstilts.transfer.language_levels import left_out_levels
from xstilts.transfer.metrics import ndcg, spearman
from xstilts.transfer.new_languages import Columns, source_features
from xstilts.transfer.rank_sources import effect_columns, spread
from xstilts.transfer.relations import distances, known_language, similarity, text_sizes
from xstilts.transfer.response import inputs
from xstilts.transfer.results_table import ResultsTable
from xstilts.transfer.transfer_model import TransferModel, fit_model

FOLDS = 5
LEVEL = 0.9
Row = dict[str, Any]
Method = Callable[[ResultsTable, np.ndarray], np.ndarray]


def validate_mixtures(results: ResultsTable, report: Callable[[str], None] = lambda text: None) -> Row:
    """Mean absolute errors in points of scores after mixtures that were left out, by method, in five folds.

    `coverage`: how many of the scores lie within the 90 % interval from errors of trainings in the other folds.
    """
    methods: dict[str, Method] = {"xstilts": _model, "mean of the language": _mean, "boosted trees": _boosted}
    methods["extra trees"] = _trees
    folds = KFold(min(FOLDS, len(results.examples)), shuffle=True, random_state=0)
    scores = {name: np.full(results.scores.shape, np.nan) for name in methods}
    inside = np.full(results.scores.shape, np.nan)
    for number, (train, test) in enumerate(folds.split(results.examples)):
        report(f"{results.name}: mixtures, fold {number + 1} of {folds.n_splits}")
        part = replace(results, examples=results.examples[train], scores=results.scores[train])
        model = fit_model(part)
        for name, method in methods.items():
            if name == "xstilts":
                scores[name][test] = model.known(results.examples[test], results.targets)
            else:
                scores[name][test] = method(part, results.examples[test])
        half = np.array([conformal(np.abs(column[~np.isnan(column)])) for column in model.errors.T])
        gap = np.abs(scores["xstilts"][test] - results.scores[test])
        inside[test] = np.where(np.isnan(gap), np.nan, gap <= half)
    errors = {name: np.nanmean(np.abs(table - results.scores), 1) for name, table in scores.items()}
    return {
        "table": results.name, "trainings": len(results.examples), "targets": len(results.targets),
        "mae": {name: _mean_with_interval(error) for name, error in errors.items()},
        "coverage": float(np.nanmean(inside)), "nominal": LEVEL,
    }  # fmt: skip


def validate_languages(model: TransferModel, by: str, others: Sequence[TransferModel] = ()) -> Row:
    """How scores and sources are predicted in languages (or families) that are left out in turn.

    mae: of the scores without examples in the language itself; mixtures: Spearman of the trainings; sources: Spearman
    and NDCG@3 of what each source adds. Parameters of other languages are not fitted again. Intervals are over what
    is left out.
    """
    table = model.results
    blocks = [_block(code, by) for code in table.targets]
    level, response = left_out_scores(model, blocks, others)
    foreign = np.stack([table.examples_in(code) == 0 for code in table.targets], 1) & ~np.isnan(table.scores)
    centre = np.where(foreign, table.scores, np.nan)
    rows: dict[str, dict[str, list[float]]] = {"mae": {}, "mixtures": {}, "spearman": {}, "ndcg@3": {}}
    rankings = left_out_rankings(model, blocks)
    for j in range(len(table.targets)):
        at = foreign[:, j]
        rest = [i for i in range(len(table.targets)) if blocks[i] != blocks[j]]
        if not at.any() or not rest:
            continue
        y = centre[at, j]
        guesses = {"xstilts": level[j] + response[at, j], "mean of the others": np.nanmean(model.foreign[:, rest])}
        for name, guess in guesses.items():
            rows["mae"].setdefault(name, []).append(float(np.mean(np.abs(np.clip(guess, 0, 100) - y))))
        if at.sum() > 2:
            rows["mixtures"].setdefault("xstilts", []).append(spearman(response[at, j], y))
        has = ~np.isnan(model.effects[:, j])
        for name, scores in rankings.items():
            rows["spearman"].setdefault(name, []).append(spearman(scores[has, j], model.effects[has, j]))
            rows["ndcg@3"].setdefault(name, []).append(ndcg(scores[has, j], model.effects[has, j]))
    summary = {key: {name: _mean_with_interval(np.array(v)) for name, v in each.items()} for key, each in rows.items()}
    return {"table": table.name, "by": by, "left_out": len(set(blocks)), "targets": len(table.targets), **summary}


def left_out_scores(
    model: TransferModel, blocks: Sequence[str], others: Sequence[TransferModel] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Levels [targets] and differences from them [n, targets] of each target, as if its block had no scores."""
    table, foreign = model.results, model.foreign
    centre, scale = np.nanmean(foreign, 0), np.nanstd(foreign, 0)
    features = source_features(inputs(table.examples)[0], table.sources, table.targets)
    columns = Columns((foreign - centre) / scale, features, similarity(distances(table.targets)))
    response = np.empty(foreign.shape)
    for j, seen in _rests(blocks):
        completed = columns.complete(j, seen)
        response[:, j] = (completed - completed.mean()) * np.median(scale[seen])
    return left_out_levels([model, *others], blocks), response


def left_out_rankings(model: TransferModel, blocks: Sequence[str]) -> dict[str, np.ndarray]:
    """Scores of sources [sources, targets] by method, each as if the target's block had no results."""
    table, effects = model.results, model.effects
    languages = list(dict.fromkeys([*table.targets, *table.sources]))
    tables = distances(languages)
    there, here = ([languages.index(code) for code in codes] for codes in (table.sources, table.targets))
    rankings = {f"nearest by {kind}": -values[np.ix_(there, here)] for kind, values in tables.items()}
    shape = effects.shape
    rankings["English"] = np.broadcast_to(np.array([[code == "en"] for code in table.sources], float), shape)
    rankings["most text"] = np.broadcast_to(text_sizes(table.sources)[:, None], shape)
    columns = effect_columns(model)
    donor, completed = np.full(shape, np.nan), np.full(shape, np.nan)
    for j, seen in _rests(blocks):
        donor[:, j] = np.nanmean(effects[:, seen], 1)
        completed[:, j] = columns.complete(j, seen)
    rankings |= {"mean elsewhere": np.nan_to_num(donor), "random": np.zeros(shape), "xstilts": completed}
    return rankings


def with_error(model: TransferModel) -> TransferModel:
    """The model with the error of its effects in languages that are left out."""
    effects, blocks = model.effects, list(model.results.targets)
    completed = left_out_rankings(model, blocks)["xstilts"]
    centred = (effects - np.nanmean(effects, 0)) / spread(model)
    errors = np.abs(completed - centred)
    return replace(model, error=conformal(errors[~np.isnan(errors)]))


def conformal(errors: np.ndarray, level: float = LEVEL) -> float:
    """The half width that covers a new error with at least this probability, if errors are exchangeable (Vovk et al.
    2005, split conformal): the ⌈(n + 1) level⌉-th smallest; infinite if there are too few."""
    place = int(np.ceil((len(errors) + 1) * level))
    return float(np.sort(errors)[place - 1]) if place <= len(errors) else float("inf")


def _rests(blocks: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
    for j, block in enumerate(blocks):
        yield j, [i for i, other in enumerate(blocks) if other != block]


def _block(code: str, by: str) -> str:
    entry = known_language(code)
    return (entry.family or code) if by == "family" and entry else code


def _mean_with_interval(values: np.ndarray) -> Row:
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return {"mean": float(values.mean()) if len(values) else None, "low": None, "high": None}
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    centre = float(values.mean())
    return {"mean": centre, "low": centre - half, "high": centre + half}


def _model(results: ResultsTable, examples: np.ndarray) -> np.ndarray:
    return fit_model(results).known(examples, results.targets)


def _mean(results: ResultsTable, examples: np.ndarray) -> np.ndarray:
    return np.tile(np.nanmean(results.scores, 0), (len(examples), 1))


def _trees(results: ResultsTable, examples: np.ndarray) -> np.ndarray:
    x, columns = inputs(results.examples)[0], []
    for y in results.scores.T:
        rows = ~np.isnan(y)
        columns.append(ExtraTreesRegressor(100, random_state=0).fit(x[rows], y[rows]).predict(inputs(examples)[0]))
    return np.stack(columns, 1)


def _boosted(results: ResultsTable, examples: np.ndarray) -> np.ndarray:
    """One boosted model of all languages, as the baseline LITMUS has it: mixture, target and features of both."""

    both = np.concatenate([results.examples, examples])
    x, targets, sources = inputs(both)[0], results.targets, results.sources
    own = [x[:, sources.index(code)] if code in sources else np.zeros(len(x)) for code in targets]
    shape = (len(x), len(targets))
    facts = [np.stack(own, 1), np.broadcast_to(range(len(targets)), shape), np.broadcast_to(text_sizes(targets), shape)]
    mixture = np.broadcast_to(x[:, None], (*shape, x.shape[1]))
    table = np.concatenate([source_features(x, sources, targets), np.stack(facts, -1), mixture], -1)
    known, old = ~np.isnan(results.scores), len(results.examples)
    model = HistGradientBoostingRegressor(random_state=0).fit(table[:old][known], results.scores[known])
    return np.asarray(model.predict(table[old:].reshape(-1, table.shape[-1])).reshape(len(examples), -1))
