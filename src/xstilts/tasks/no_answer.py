"""Questions that may have no answer (SQuAD v2): from which null score on an answer is withheld.

Predictions that hold a `null_score` are meant; others never change.
"""

import numpy as np
import pyarrow as pa

from xstilts.tasks import qa


def withhold(predictions: pa.Table, threshold: float) -> pa.Table:
    """The predictions, empty where null score - score is greater than `threshold` (a difference of summed logits)."""
    if "null_score" not in predictions.column_names:
        return predictions
    texts = predictions["prediction"].to_pylist()
    kept = ["" if empty else text for text, empty in zip(texts, _margin(predictions) > threshold, strict=True)]
    return predictions.set_column(predictions.column_names.index("prediction"), "prediction", pa.array(kept))


def fit_threshold(predictions: pa.Table) -> float:
    """The threshold of `withhold` that gives these predictions their highest F1, the smallest of equals.

    As `find_best_thresh` of SQuAD v2's evaluator does: every margin that occurs is tried, and one below all of them.
    """
    margin = _margin(predictions)
    empty = predictions.set_column(
        predictions.column_names.index("prediction"), "prediction", pa.array([""] * len(predictions), pa.string())
    )
    gain = qa.statistics(predictions, "f1")[:, 0] - qa.statistics(empty, "f1")[:, 0]
    values, group = np.unique(margin, return_inverse=True)
    total = np.concatenate([[0.0], np.cumsum(np.bincount(group, gain))])
    return float([values[0] - 1, *values][total.argmax()])


def _margin(predictions: pa.Table) -> np.ndarray:
    """How much better no answer scores than the best one, float64 [n]."""
    null, best = (predictions[name].to_numpy().astype(float) for name in ("null_score", "score"))
    return null - best
