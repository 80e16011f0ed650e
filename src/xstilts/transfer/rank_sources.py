"""Source languages ranked for a target language by fitted models, with prediction error."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.languages import distance_matrix
from xstilts.transfer.new_languages import Columns, source_features
from xstilts.transfer.relations import distances, known_language, similarity
from xstilts.transfer.transfer_model import TransferModel, shares_of_known

Row = dict[str, Any]


def rank_sources(
    models: Sequence[TransferModel], target: str, candidates: Sequence[str] = (), held_out: Sequence[str] = ()
) -> list[Row]:
    """The candidates, best first; by default all sources of the models.

    held_out: languages whose own scores are not used, although the models have them, and which are no candidates.

    score: what the source adds, in standard deviations over a table's sources and less their mean, averaged over the
    models; low, high: a 90% interval, from errors in left-out languages; points: of each table, what the source adds,
    or in a table with one source for each training the score after it; unseen: tables without this source, where a
    weighted mean of similar ones stands in. Raises XstiltsError if nothing is left to rank.
    """
    known = dict.fromkeys(code for model in models for code in model.results.sources)
    sources = [code for code in candidates or known if code not in (target, *held_out)]
    if not sources:
        why = "every candidate is a language to rank for"
        raise XstiltsError("too-few", f"there is no source to rank for '{target}'", why, "give others: --candidates")
    points, scores = {}, []
    for model in models:
        effects, middle = _effects(model, target, sources, held_out)
        points[model.results.name] = effects
        scores.append((effects - middle) / spread(model, held_out))
    score, half = np.mean(scores, axis=0), float(np.mean([model.error for model in models]))
    near, rows = _syntactic_distances(target, sources), []
    for i in np.argsort(-score, kind="stable"):
        code, value = sources[i], float(score[i])
        ends = {"score": round(value, 3), "low": round(value - half, 3), "high": round(value + half, 3)}
        unseen = [model.results.name for model in models if code not in model.results.sources]
        here = {name: round(float(effects[i]), 3) for name, effects in points.items()}
        rows.append({"source": code, **ends, "points": here, "unseen": unseen, "distance": near[i]})
    return rows


def spread(model: TransferModel, held_out: Sequence[str] = ()) -> float:
    """The standard deviation over sources of what they add, in points: the median over targets."""
    seen = [code not in held_out for code in model.results.targets]
    return float(np.median(np.nanstd(model.effects[:, seen], axis=0))) or 1.0


def effect_columns(model: TransferModel, new: Sequence[str] = ()) -> Columns:
    """The table of effects, standardised, for its targets and new languages."""
    table, effects = model.results, model.effects
    standard = (effects - np.nanmean(effects, 0)) / np.nanstd(effects, 0)
    languages = [*table.targets, *new]
    features = source_features(np.eye(len(table.sources)), table.sources, languages, table.votes)
    return Columns(standard, features, similarity(distances(languages)), len(table.sources))


def _effects(
    model: TransferModel, target: str, sources: Sequence[str], held_out: Sequence[str]
) -> tuple[np.ndarray, float]:
    """What each source adds in a target by one model, in points [sources], and the mean over the table's sources."""
    table = model.results
    if target in table.targets and target not in held_out:
        column = model.effects[:, table.targets.index(target)].copy()
        column[np.isnan(column)] = np.nanmean(column)
    else:
        seen = [j for j, code in enumerate(table.targets) if code not in held_out]
        column = effect_columns(model, [target]).complete(len(table.targets), seen) * spread(model, held_out)
    return shares_of_known(sources, table.sources) @ column, float(column.mean())


def _syntactic_distances(target: str, sources: Sequence[str]) -> list[float | None]:
    known = {code: known_language(code) for code in (target, *sources)}
    names = [code for code in sources if known[code]]
    if not known[target] or not names:
        return [None] * len(sources)
    values = dict(zip(names, distance_matrix([target, *names]).values[0, 1:], strict=True))
    return [None if np.isnan(values.get(code, np.nan)) else round(float(values[code]), 3) for code in sources]


def write_scores(file: Path, rankings: dict[str, list[Row]], learned_from: Sequence[str]) -> None:
    """Write the table that the language strategy `predicted` takes: source, target, score, and languages learned from.

    With several rows of one source, as of several intermediate tasks, a source has the mean of its scores with them.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["source", "target", "score", "learned_from"])
    languages = " ".join(code for code in learned_from if known_language(code))
    for target, ranking in rankings.items():
        for source in dict.fromkeys(row["source"] for row in ranking):
            score = float(np.mean([row["score"] for row in ranking if row["source"] == source]))
            writer.writerow([source, target, round(score, 6), languages])
    write_atomically(file, out.getvalue())
