"""Scores of trainings that were not run: in languages that a table has, and in others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.transfer.language_levels import helpful, new_levels
from xstilts.transfer.left_out import conformal, language_errors, left_out_scores
from xstilts.transfer.relations import canonical
from xstilts.transfer.results_table import ResultsTable
from xstilts.transfer.transfer_model import TransferModel, shares_of_known


@dataclass(frozen=True)
class Predictions:
    """Scores in points [trainings, targets], half widths of 90% intervals [targets], and notes on extrapolation."""

    scores: np.ndarray
    half_widths: np.ndarray
    notes: list[str]


def predict_scores(
    model: TransferModel,
    trainings: Sequence[Mapping[str, float]],
    targets: Sequence[str],
    others: Sequence[TransferModel] = (),
) -> Predictions:
    """Predict the scores after trainings on mixtures {source: examples}, by the package's language codes.

    others: models of more tables, whose languages may help to tell how high a new language scores. Raises XstiltsError
    for a mixture without examples.
    """
    table = model.results
    empty = [i for i, mixture in enumerate(trainings) if not any(count > 0 for count in mixture.values())]
    if empty:
        why = "every number of examples is 0"
        raise XstiltsError("bad-file", f"training {empty[0] + 1} has no sources", why, "give what it is trained on")
    sources = list(dict.fromkeys(code for mixture in trainings for code in mixture))
    examples = np.array([[float(mixture.get(code, 0)) for code in sources] for mixture in trainings])
    scores, half_widths = np.empty((len(trainings), len(targets))), np.empty(len(targets))
    seen = [code for code in targets if code in table.targets]
    unseen = [code for code in targets if code not in table.targets]
    if seen:
        places = [targets.index(code) for code in seen]
        scores[:, places] = model.known(examples @ shares_of_known(sources, table.sources), seen)
        half_widths[places] = [conformal(model.errors[:, table.targets.index(code)]) for code in seen]
    elsewhere = [code for code in unseen if any(code in other.results.targets for other in others)]
    for group in (elsewhere, [code for code in unseen if code not in elsewhere]):
        if group:
            pooled = helpful(model, others, group is elsewhere)
            half = conformal(language_errors(model, *left_out_scores(model, table.targets, pooled, group is elsewhere)))
            for height, code in zip(new_levels(model, pooled, group), group, strict=True):
                scores[:, targets.index(code)] = height + model.new(examples, sources, code)
                half_widths[targets.index(code)] = half
    return Predictions(np.clip(scores, 0, 100), half_widths, _notes(table, sources, examples, unseen))


def _notes(table: ResultsTable, sources: Sequence[str], examples: np.ndarray, unseen: Sequence[str]) -> list[str]:
    """What is extrapolated."""
    notes = [f"languages that the table has no scores in: {', '.join(unseen)}"] if unseen else []
    used = [code for code, column in zip(sources, examples.T, strict=True) if column.max() > 0]
    strange = [code for code in used if code not in table.sources]
    if strange:
        notes.append(f"sources not in the table, similar ones are used instead: {', '.join(strange)}")
    if both := [code for code in unseen if code in used]:
        notes.append(f"examples in a language without scores in the table are not counted for it: {', '.join(both)}")
    totals, known = examples.sum(1), table.examples.sum(1)
    outside = int(((totals < known.min()) | (totals > known.max())).sum())
    if outside:
        notes.append(f"{outside} trainings have more or fewer examples than any in the table")
    return notes


def as_sumeval(
    rows: Sequence[Mapping[str, Any]], predictions: Predictions, targets: Sequence[str]
) -> list[dict[str, Any]]:
    """The trainings of a SumEval file with predicted scores in place of theirs, and `intervals`, all in 0 to 1."""
    filled = []
    for row, values in zip(rows, predictions.scores, strict=True):
        scores, intervals = {}, {}
        for code in row["eval_results"]:
            place = targets.index(canonical(code))
            value, half = values[place], predictions.half_widths[place]
            scores[code] = round(float(value) / 100, 6)
            ends = np.clip([value - half, value + half], 0, 100) / 100
            intervals[code] = [round(float(end), 6) for end in ends]
        filled.append({**row, "eval_results": scores, "intervals": intervals})
    return filled
