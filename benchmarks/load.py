"""Large runs on this machine: the report of 2,000 cells, the scores of 50 million predictions, a plan of 10,000 steps.

    python benchmarks/load.py [--rows 50000000] [--cells 2000] [--steps 10000] [--json FILE]

Runs and predictions are made by this script. Every part has a process of its own; seconds are its processor time, with
one thread, and memory is the peak of the process up to then, made data included.
"""

import argparse
import json
import os
import platform
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scale import planned, timed
from xstilts.report.write import write_report
from xstilts.runs.reader import read_run
from xstilts.runs.run_files import CELLS, PLAN, PREDICTIONS, STUDY, write_json
from xstilts.runs.verify import plan_hash, seal
from xstilts.study.overview import simulate

LANGUAGES = ["en", "de", "fi", "tr", "sw", "th", "ru", "hi", "zh", "ar"]
POOL = ("de", "fi")
ENCODERS = 2
STEPS_PER_LANGUAGE = 460
"""Of the grid of benchmarks/scale.py, with ten replicates."""
LABELS = ["entailment", "neutral", "contradiction"]
PHASE = {"languages": ["en"], "comparison_group": "all", "examples": 400, "updates": 25, "tokens": 9000,
         "first_loss": 1.1, "loss": 0.2, "dev_score": 80.0}  # fmt: skip


def make_run(folder: Path, arms: int, replicates: int, items: int) -> None:
    """A run folder of `ENCODERS` encoders on one target in ten languages; arms differ by tenths of a point."""
    names = ["none", *(f"arm-{number}" for number in range(1, arms))]
    entries: dict[str, dict[str, Any]] = {name: {"intermediate": "mnli"} if name != "none" else {} for name in names}
    encoders = [f"enc-{number}" for number in range(1, ENCODERS + 1)]
    keys = [(a, e, r) for a in names for e in encoders for r in range(1, replicates + 1)]
    contrast = {"contrast": "arm-1 - none", "left": "arm-1", "right": "none", "targets": ["xnli"]}
    study = {
        "name": "load", "question": "How long does it take?", "seed": 1, "measure": "syntax", "primary": ["xnli"],
        "contrasts": [contrast], "controls": [], "level": 0.95, "equivalence": 1.0, "labels_withheld": [],
        "arms": entries, "roles": dict.fromkeys(names, "arm"), "tasks": {"xnli": "xnli"},
        "types": {"xnli": "classification"}, "metrics": {"xnli": "accuracy"}, "also": {"xnli": []}, "store": "",
        "examples": {}, "encoder_steps": {},
    }  # fmt: skip
    settings = {
        "encoders": {name: {"load": "FacebookAI/xlm-roberta-base", "seeds": 1} for name in encoders},
        "intermediate": {"mnli": {"task": ""}},
        "languages": {"anchor": "en"},
        **{name: study[name] for name in ("name", "seed", "equivalence", "level", "measure", "primary")},
        "contrasts": [contrast["contrast"]],
        "controls": [],
    }
    plan: dict[str, Any] = {
        "study": settings, "held_out": [code for code in LANGUAGES[1:] if code not in POOL], "pool": list(POOL),
        "evaluated": {"xnli": LANGUAGES}, "warnings": [], "device": "cpu", "precision": "fp32", "excluded": {},
        "sources": {arm: {f"{encoder}:{n}": ["en"] for _, encoder, n in keys} for arm in names},
        "distances": {}, "steps": [],
    }  # fmt: skip
    write_json(folder, STUDY, study)
    write_json(folder, PLAN, plan | {"hash": plan_hash(plan)})
    phases = {arm: {"training": PHASE} | ({"intermediate": PHASE} if entries[arm] else {}) for arm in names}
    write_json(folder, CELLS, [{"target": "xnli", "arm": a, "encoder": e, "replicate": r, **phases[a]}
                               for a, e, r in keys])  # fmt: skip
    (folder / PREDICTIONS).mkdir()
    rng, writer = np.random.default_rng(1), None
    ids = {code: pa.array([f"{code}-{number}" for number in range(items)]) for code in LANGUAGES}
    clusters, gold = pa.array([str(number) for number in range(items)]), np.arange(items) % len(LABELS)
    for arm, encoder, replicate in keys:
        for code in LANGUAGES:
            chance = 0.6 + 0.001 * names.index(arm) / len(names) + 0.01 * rng.normal()
            predicted = np.where(rng.random(items) < chance, gold, (gold + 1) % len(LABELS))
            words = [pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32()), LABELS).cast(pa.string())
                     for numbers in (gold, predicted)]  # fmt: skip
            facts = {"task": "xnli", "arm": arm, "encoder": encoder, "replicate": pa.scalar(replicate, pa.int32()),
                     "split": "test", "language": code}  # fmt: skip
            columns = {name: pa.repeat(value, items) for name, value in facts.items()}
            columns = {n: c if n == "replicate" else c.dictionary_encode() for n, c in columns.items()}
            columns |= {"example_id": ids[code], "cluster_id": clusters, "gold": words[0], "prediction": words[1]}
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(folder / PREDICTIONS / "xnli.parquet", table.schema)
            writer.write_table(table)
    assert writer
    writer.close()
    seal(folder)


def report_part(cells: int) -> dict[str, Any]:
    """A run of small data sets and many cells, from its files to the page and the paper."""
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        run, arms = Path(place), 40
        make_run(run, arms, max(1, cells // arms // ENCODERS), items=200)
        result["cells"] = len(json.loads((run / CELLS).read_bytes()))
        with timed(result, "read and verify"):
            read_run(run)
        with timed(result, "analyse and report"):
            write_report(run)
        result["page_bytes"] = (run / "report.html").stat().st_size
    return result


def predictions_part(rows: int) -> dict[str, Any]:
    """Few cells of large data sets, to the scores and to the report."""
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        run, arms, replicates = Path(place), 5, 5
        with timed(result, "make"):
            make_run(run, arms, replicates, rows // arms // replicates // ENCODERS // len(LANGUAGES))
        file = run / PREDICTIONS / "xnli.parquet"
        result |= {"rows": pq.read_metadata(file).num_rows, "bytes": file.stat().st_size}
        with timed(result, "read the scores"):
            read_run(run).score_table("xnli")
        with timed(result, "analyse and report"):
            write_report(run)
    return result


def plan_part(steps: int) -> dict[str, Any]:
    """The grid of benchmarks/scale.py at the size of a large study."""
    result: dict[str, Any] = {}
    with timed(result, "build and price"):
        plan = planned(languages=max(1, steps // STEPS_PER_LANGUAGE), replicates=10)
        seconds = {fingerprint: estimate.seconds for fingerprint, estimate in plan.estimates.items()}
    result["steps"] = len(plan.plan.steps)
    for devices in (1, 64):
        with timed(result, f"schedule on {devices}"):
            simulate(plan.plan, plan.plan.steps, seconds, devices)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    result = {"command": "python benchmarks/load.py", "machine": platform.processor() or platform.machine()}
    parts = {"report": (report_part, options.cells), "predictions": (predictions_part, options.rows),
             "plan": (plan_part, options.steps)}  # fmt: skip
    for name, (part, size) in parts.items():
        print(f"{name}:", flush=True)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            result[name] = process.submit(part, size).result()
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
