"""Does bf16 change a conclusion? The models of a finished run predict again in float32 and in bf16.

    xstilts study pocket --replicates 2
    python benchmarks/precision.py runs/pocket --store runs/store [--models 24]

Per target: the share of predictions that differ, and how far each metric moves, over all languages together; and
for comparison the spread of that score between replicates, which determines an interval.
"""

import argparse
import json
import platform
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from xstilts.context import Context
from xstilts.engine import Store, read_steps
from xstilts.evaluation.predict import predict
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED


def both(step: Any, store: Store) -> tuple[float, dict[str, float], dict[str, float], float]:
    """Share of predictions of a step that differ, the float32 scores in points, by how much bf16 moves them, and the
    share of the most frequent prediction: where it is near 1, agreement says nothing."""
    inputs = {name: store.open(fingerprint) for name, fingerprint in step.inputs.items()}
    tables = {}
    for precision in ("fp32", "bf16"):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            predict({**step.arguments, "precision": precision}, inputs, out, Context(out))
            tables[precision] = pq.read_table(out / "predictions.parquet")
    task = Task(**step.arguments["task"])
    kind = FINE_TUNED[task.type]
    one, other = (table["prediction"].to_pylist() for table in tables.values())
    scores = {
        precision: {m: float(kind.score(kind.statistics(table, m).sum(0), m)) for m in kind.METRICS}
        for precision, table in tables.items()
    }
    changed = float(np.mean([a != b for a, b in zip(one, other, strict=True)]))
    commonest = Counter(map(str, one)).most_common(1)[0][1] / len(one)
    return changed, scores["fp32"], {m: scores["bf16"][m] - scores["fp32"][m] for m in kind.METRICS}, commonest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--models", type=int, default=24, help="of each target")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    steps = read_steps(options.run / "steps.jsonl")[0].steps
    store, found = Store(options.store), defaultdict(list)
    for step in steps.values():
        name = step.arguments.get("task", {}).get("name", "")
        wanted = step.function.endswith(":predict") and step.inputs["model"] in store.finished([step.inputs["model"]])
        if wanted and len(found[name]) < options.models:
            found[name].append(both(step, store))
    result: dict[str, Any] = {"command": f"python benchmarks/precision.py {options.run.name}",
                              "torch": torch.__version__,
                              "machine": platform.processor() or platform.machine(), "targets": {}}  # fmt: skip
    for name, rows in found.items():
        moved = {m: [row[2][m] for row in rows] for m in rows[0][2]}
        told = {
            "models": len(rows),
            "share_of_the_commonest_prediction": round(float(np.mean([row[3] for row in rows])), 3),
            "changed_share": round(float(np.mean([row[0] for row in rows])), 5),
            "largest_changed_share": round(max(row[0] for row in rows), 5),
            "mean_change_in_points": {m: round(float(np.mean(v)), 4) for m, v in moved.items()},
            "largest_change_in_points": {m: round(float(np.abs(v).max()), 4) for m, v in moved.items()},
            "spread_between_models_in_points": {m: round(float(np.std([row[1][m] for row in rows])), 3) for m in moved},
        }
        result["targets"][name] = told
        print(f"{name}: {told['models']} models, {told['changed_share']:.3%} of predictions differ, "
              f"scores move by at most {told['largest_change_in_points']}")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
