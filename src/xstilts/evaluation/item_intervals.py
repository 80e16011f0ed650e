"""Scores of one model with intervals over test items: what one run can show."""

from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.randomness import generator
from xstilts.tasks.task_types import SCORED

DRAWS = 2000


def check_metric(kind: str, metric: str) -> None:
    """Raise XstiltsError for a metric that a task type lacks."""
    known = SCORED[kind].METRICS
    if metric not in known:
        what, why = f"unknown metric '{metric}'", f"{kind} tasks have {', '.join(known)}"
        raise XstiltsError("unknown-name", what, why, did_you_mean(metric, known) or "give one of these")


def score_with_interval(predictions: pa.Table, kind: str, metric: str, level: float = 0.95) -> dict[str, Any]:
    """The score of predictions in points, with a percentile interval over item clusters drawn again.

    predictions: columns of the task type, with `cluster_id`. The interval covers test items alone: another run of the
    same training varies more. `low` and `high` are None with fewer than two clusters. Raises XstiltsError for a metric
    that the task type lacks.
    """
    task_type = SCORED[kind]
    check_metric(kind, metric)
    statistics = task_type.statistics(predictions, metric)
    clusters = predictions["cluster_id"].combine_chunks().dictionary_encode()  # numbered as they appear
    places = clusters.indices.to_numpy()
    sums = np.zeros((int(places.max()) + 1, statistics.shape[1]))
    np.add.at(sums, places, statistics)
    estimate = float(task_type.score(sums.sum(0), metric))
    result = {"score": round(estimate, 4), "low": None, "high": None, "examples": len(predictions)}
    if len(sums) > 1:
        weights = generator("items", metric).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), DRAWS)
        drawn = task_type.score(weights @ sums, metric)
        tail = 50 * (1 - level)
        result["low"], result["high"] = (round(float(value), 4) for value in np.percentile(drawn, (tail, 100 - tail)))
    return result
