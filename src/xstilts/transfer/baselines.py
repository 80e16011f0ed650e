"""Simpler methods to compare with: what a careful user would try first."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor

from xstilts.transfer.new_languages import rests, source_features
from xstilts.transfer.relations import distances, text_sizes
from xstilts.transfer.response import inputs
from xstilts.transfer.results_table import ResultsTable
from xstilts.transfer.transfer_model import TransferModel


def simple_rankings(model: TransferModel, blocks: Sequence[str]) -> dict[str, np.ndarray]:
    """Scores of sources [sources, targets] by method: nearness, English, text, and the mean in other blocks."""
    table, effects = model.results, model.effects
    languages = list(dict.fromkeys([*table.targets, *table.sources]))
    there, here = ([languages.index(code) for code in codes] for codes in (table.sources, table.targets))
    known = distances(languages, votes=table.votes)
    rankings = {f"nearest by {kind}": -values[np.ix_(there, here)] for kind, values in known.items()}
    english = np.array([[code == "en"] for code in table.sources], float)
    rankings["English"] = np.broadcast_to(english, effects.shape)
    rankings["most text"] = np.broadcast_to(text_sizes(table.sources)[:, None], effects.shape)
    rankings["mean elsewhere"] = np.stack([np.nanmean(effects[:, seen], 1) for _, seen in rests(blocks)], axis=1)
    rankings["random"] = np.zeros(effects.shape)
    return rankings


def mean_of_language(results: ResultsTable, examples: np.ndarray) -> np.ndarray:
    """The mean of each target's scores, whatever the mixtures."""
    return np.tile(np.nanmean(results.scores, 0), (len(examples), 1))


def extra_trees(results: ResultsTable, examples: np.ndarray) -> np.ndarray:
    """Extra trees on the log examples of each source, for each target."""
    x, columns = inputs(results.examples)[0], []
    for y in results.scores.T:
        rows = ~np.isnan(y)
        if not rows.any():
            columns.append(np.full(len(examples), np.nan))
            continue
        columns.append(ExtraTreesRegressor(300, random_state=0).fit(x[rows], y[rows]).predict(inputs(examples)[0]))
    return np.stack(columns, 1)


def boosted_trees(results: ResultsTable, examples: np.ndarray) -> np.ndarray:
    """One boosted model of all languages, as the baseline LITMUS has it: mixture, target and features of both."""
    both = np.concatenate([results.examples, examples])
    x, targets, sources = inputs(both)[0], results.targets, results.sources
    own = [x[:, sources.index(code)] if code in sources else np.zeros(len(x)) for code in targets]
    shape = (len(x), len(targets))
    facts = [np.stack(own, 1), np.broadcast_to(range(len(targets)), shape), np.broadcast_to(text_sizes(targets), shape)]
    mixture = np.broadcast_to(x[:, None], (*shape, x.shape[1]))
    table = np.concatenate([source_features(x, sources, targets, results.votes), np.stack(facts, -1), mixture], -1)
    known, old = ~np.isnan(results.scores), len(results.examples)
    model = HistGradientBoostingRegressor(random_state=0).fit(table[:old][known], results.scores[known])
    return np.asarray(model.predict(table[old:].reshape(-1, table.shape[-1])).reshape(len(examples), -1))


METHODS: dict[str, Callable[[ResultsTable, np.ndarray], np.ndarray]] = {
    "mean of the language": mean_of_language, "boosted trees": boosted_trees, "extra trees": extra_trees,
}  # fmt: skip
