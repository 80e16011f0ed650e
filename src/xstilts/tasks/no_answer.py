"""Questions that may have no answer (SQuAD v2): the null score above which an answer is withheld.

Only predictions with a `null_score` change.
"""

import numpy as np
import pyarrow as pa

from xstilts.tasks import qa


def withhold(predictions: pa.Table, threshold: float) -> pa.Table:
    """The predictions, empty if null score - score is greater than `threshold` (a difference of summed logits)."""
    if "null_score" not in predictions.column_names:
        return predictions
    pairs = zip(predictions["prediction"].to_pylist(), _margin(predictions) > threshold, strict=True)
    return _replaced(predictions, ["" if empty else text for text, empty in pairs])


def fit_threshold(predictions: pa.Table) -> float:
    """The threshold of `withhold` that gives these predictions their highest F1, the smallest of equals.

    Like `find_best_thresh` of SQuAD v2's evaluator it tries every margin that occurs, and one below all of them.
    """
    margin, empty = _margin(predictions), _replaced(predictions, [""] * len(predictions))
    gain = qa.statistics(predictions, "f1")[:, 0] - qa.statistics(empty, "f1")[:, 0]
    values, group = np.unique(margin, return_inverse=True)
    total = np.concatenate([[0.0], np.cumsum(np.bincount(group, gain))])
    return float([values[0] - 1, *values][total.argmax()])


def _replaced(predictions: pa.Table, texts: list[str]) -> pa.Table:
    """The predictions with other texts."""
    index = predictions.column_names.index("prediction")
    return predictions.set_column(index, "prediction", pa.array(texts, pa.string()))


def _margin(predictions: pa.Table) -> np.ndarray:
    """By how much no answer scores better than the best answer, float64 [n]."""
    null, best = (predictions[name].to_numpy().astype(float) for name in ("null_score", "score"))
    return null - best
