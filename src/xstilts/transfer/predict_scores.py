"""Scores of trainings that were not run: in languages that a table has, and in others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.transfer.language_levels import new_levels
from xstilts.transfer.transfer_model import TransferModel, onto_known


def predict_scores(
    model: TransferModel,
    trainings: Sequence[Mapping[str, float]],
    targets: Sequence[str],
    others: Sequence[TransferModel] = (),
) -> np.ndarray:
    """Scores in points [trainings, targets] after trainings on mixtures {source: examples}.

    others: models of more tables, whose languages may help to tell how high a new language scores.
    """
    table = model.results
    empty = [i for i, mixture in enumerate(trainings) if not any(count > 0 for count in mixture.values())]
    if empty:
        why = "every number of examples is 0"
        raise XstiltsError("bad-file", f"training {empty[0] + 1} has no sources", why, "give what it is trained on")
    sources = list(dict.fromkeys(code for mixture in trainings for code in mixture))
    examples = np.array([[float(mixture.get(code, 0)) for code in sources] for mixture in trainings])
    scores = np.empty((len(trainings), len(targets)))
    seen = [code for code in targets if code in table.targets]
    unseen = [code for code in targets if code not in table.targets]
    if seen:
        places = [targets.index(code) for code in seen]
        scores[:, places] = model.known(onto_known(examples, sources, table.sources), seen)
    if unseen:
        for height, code in zip(new_levels(model, others, unseen), unseen, strict=True):
            scores[:, targets.index(code)] = height + model.new(examples, sources, code)
    return np.clip(scores, 0, 100)


def as_sumeval(rows: Sequence[Mapping[str, Any]], scores: np.ndarray, targets: Sequence[str]) -> list[dict[str, Any]]:
    """The trainings of a SumEval file with predicted scores, in 0 to 1, in place of theirs."""
    filled = []
    for row, values in zip(rows, scores, strict=True):
        predicted = {code: round(float(values[targets.index(code)]) / 100, 6) for code in row["eval_results"]}
        filled.append({**row, "eval_results": predicted})
    return filled
