"""Each task type with real data: a small encoder after a few hundred updates, and the baseline of the type.

    python benchmarks/each_task_type.py --data DIR --encoder FOLDER [--json results/each-task-type.json]

The encoder is any masked language model in the format of `save_pretrained`; the stored figures are those of the
encoder `mini-1` of the study real-mini.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from xstilts.config.load import read_task_file
from xstilts.context import Context
from xstilts.data.prepare import prepare
from xstilts.evaluation.predict import baseline, predict
from xstilts.evaluation.retrieve import retrieve
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import SCORED, main_metric
from xstilts.training.phases import fine_tune

HERE = Path(__file__).parent
CASES = {
    "taxinli": {"train": (0, 9300), "dev": (9300, 10_071), "max_length": 96},
    "sib200": {"max_length": 96, "language": "en", "epochs": 12},
    "panx": {"language": "en", "max_length": 96},
    "udpos": {"language": "en", "max_length": 128},
    "squad_v1": {"dev": (0, 2000), "max_length": 128, "epochs": 1},
    "hellaswag": {"train": (0, 8500), "dev": (8500, 10_042), "max_length": 96, "epochs": 1},
    "cosmosqa": {"train": (0, 2300), "dev": (2300, 2985), "max_length": 128},
    "jcommonsenseqa": {"language": "ja", "max_length": 48},
}
"""For each task the rows of its splits, if one file serves both, and how it is trained."""


def task_of(name: str, case: dict[str, Any], known: dict[str, Task]) -> Task:
    """The entry with the rows of the case: one file is cut in two if only one has labels."""
    task = known[name]
    source = task.source.model_dump()
    if "train" in case:
        file = source["files"].get("validation") or source["files"]["train"]
        source |= {"files": {"train": file, "validation": file}, "shuffled": True,
                   "rows": {"train": case["train"], "validation": case["dev"]}}  # fmt: skip
    elif "dev" in case:
        source |= {"rows": {"validation": case["dev"]}, "shuffled": True}
    return Task(**(task.model_dump() | {"source": source}))


def prepared(task: Task, split: str, code: str, data: Path, root: Path) -> Path:
    out = root / f"{task.name}-{split}-{code}"
    out.mkdir()
    prepare({"task": task.model_dump(mode="json"), "tasks": {}, "split": split, "language": code, "content": "",
             "data": str(data)}, {}, out, Context(root))  # fmt: skip
    return out


def scored(folder: Path, task: Task) -> dict[str, float]:
    table, kind = pq.read_table(folder / "predictions.parquet"), SCORED[task.type]
    names = task.metrics or kind.METRICS[:1]
    return {name: round(float(kind.score(kind.statistics(table, name).sum(0), name)), 2) for name in names}


def run(name: str, known: dict[str, Task], options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Train on one task, and score its dev examples and the baseline."""
    case = CASES[name]
    task, code = task_of(name, case, known), case.get("language", "en")
    train, dev = (prepared(task, split, code, options.data, root) for split in ("train", "validation"))
    available = pq.read_metadata(train / "examples.parquet").num_rows
    epochs, size = case.get("epochs", 2), 32
    examples = min(available, options.updates * size // epochs)
    common = {"task": task.model_dump(mode="json"), "languages": [code], "max_length": case["max_length"],
              "mask_column": "", "weights": "", "device": "cpu", "precision": "bf16"}  # fmt: skip
    folders = [root / f"{name}-{suffix}" for suffix in ("model", "predicted", "baseline")]
    for folder in folders:
        folder.mkdir()
    begin = time.perf_counter()
    part = {"task": common["task"], "languages": [code], "examples": examples, "epochs": epochs,
            "max_length": case["max_length"], "weight": 1.0}  # fmt: skip
    fine_tune(
        {"tasks": {name: part}, "sampling": {}, "mlm": None, "anchor_share": 0.0, "batch_size": size, "seed": 1,
         "checkpoint": "last", "evaluate_every": 0, "oracle": [], "mask_column": "", "device": "cpu",
         "recipe": {"learning_rate": 5e-4, "warmup": 0.1, "precision": "bf16"}},
        {"encoder": options.encoder, f"train.{name}.{code}": train, f"dev.{name}": dev}, folders[0], Context(root),
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    predict(common, {"model": folders[0], f"rows.{code}": dev}, folders[1], Context(root))
    baseline(common, {"train": train, f"rows.{code}": dev}, folders[2], Context(root))
    summary = json.loads((folders[0] / "history.json").read_text())
    return {"task": name, "type": task.type, "metric": main_metric(task), "examples": summary["examples"],
            "updates": summary["updates"], "dev_rows": pq.read_metadata(dev / "examples.parquet").num_rows,
            "model": scored(folders[1], task), "baseline": scored(folders[2], task),
            "baseline_is": SCORED[task.type].BASELINE, "seconds": round(seconds, 1)}  # fmt: skip


def run_retrieval(known: dict[str, Task], options: argparse.Namespace, root: Path) -> list[dict[str, Any]]:
    """Tatoeba and BUCC without training, and a random choice."""
    result = []
    for name, code, split, dev in (("tatoeba", "nl", "test", ""), ("bucc2018", "zh", "dev", "dev")):
        task = known[name]
        rows, out = prepared(task, split, code, options.data, root), root / f"{name}-found"
        out.mkdir()
        arguments = {"task": task.model_dump(mode="json"), "languages": [code], "max_length": 128, "layers": [2],
                     "pooling": "mean", "dev_languages": [code] if dev else [], "device": "cpu",
                     "precision": "fp32"}  # fmt: skip
        inputs = {"model": options.encoder, f"rows.{code}": rows, **({f"dev.{code}": rows} if dev else {})}
        retrieve(arguments, inputs, out, Context(root))
        pairs = pq.read_metadata(out / "predictions.parquet").num_rows
        result.append({"task": name, "type": "retrieval", "metric": main_metric(task), "dev_rows": pairs,
                       "model": scored(out, task), "baseline": {main_metric(task): round(100 / pairs, 2)},
                       "baseline_is": "a random choice"})  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--tasks", default="", help="some of them, with commas")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = read_task_file(HERE.parent / "tests" / "real_tasks.yaml")
    chosen = options.tasks.split(",") if options.tasks else [*CASES, "retrieval"]
    origin = {
        "command": "python benchmarks/each_task_type.py --data DIR --encoder MINI-1 --updates 400",
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            root = Path(folder) / name
            root.mkdir()
            rows = run_retrieval(known, options, root) if name == "retrieval" else [run(name, known, options, root)]
            for row in rows:
                metric = row["metric"]
                figures = f"model {row['model'][metric]:6.2f}   {row['baseline_is']} {row['baseline'][metric]:6.2f}"
                print(f"{row['task']:16} {metric:12} {figures}   {row.get('updates', 0)} updates", flush=True)
            results += rows
            if options.json:
                options.json.write_text(json.dumps({**origin, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
