"""Measure this machine's device: matrix products, and what a training step makes of them.

Two small encoders are pretrained on artificial text by the step that studies run. Seconds of a step = a constant +
updates × a constant + FLOPs ÷ (share × rate of products): three runs give all three. On a processor the time is that of
the process, so that other work does not count.
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scipy.optimize import nnls

from xstilts.costs.devices import Rates, package_table, user_file
from xstilts.costs.estimate import estimates
from xstilts.engine import Plan, Step, Store, run_step, write_atomically
from xstilts.models.hardware import choose_device
from xstilts.tasks.task import find_task

RUNS = {
    "cpu": [(2, 64, 24, 1), (2, 64, 24, 20), (2, 64, 24, 120), (4, 512, 48, 8)],
    "cuda": [(2, 64, 24, 1), (2, 64, 24, 20), (2, 64, 24, 120), (12, 1024, 1024, 25)],
}
"""Pretrainings: layers, hidden size, sequences per update, updates. The first warms up and is not counted."""


def measure(device: str, report: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """The entry of a device (`cpu`: one core) in the table of rates; raises XstiltsError if there is no such device."""
    choose_device(device)
    side, threads = 1024 if device == "cpu" else 8192, torch.get_num_threads()
    torch.set_num_threads(1 if device == "cpu" else threads)
    entry: dict[str, Any] = {"class": device, "efficiency": {}, "update_seconds": {}}
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        matrix = torch.ones(side, side, dtype=kind, device=device)
        product = partial(torch.matmul, matrix, matrix)
        rate = entry[precision] = 2 * side**3 / min(_timed(device, product) for _ in range(12))
        share, update, entry["step_seconds"] = _fit(device, precision, rate)
        entry["efficiency"][precision], entry["update_seconds"][precision] = share, update
        text = f"{precision}: {rate / 1e9:,.0f} GFLOP/s of matrix products, of which a step reaches {share:.0%}"
        report(f"{text}; {1000 * update:.1f} ms more per update")
    torch.set_num_threads(threads)
    name = "one core of this machine"
    if device == "cuda":
        name = torch.cuda.get_device_name()
        entry["memory"] = [round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1)]
    return entry | {"ground": f"measured by `xstilts bench device` on {name}, torch {torch.__version__}"}


def keep(entry: dict[str, Any]) -> Path:
    """Write an entry to the user's file under the class of its device, and return the file's path."""
    file = user_file()
    table = yaml.safe_load(file.read_text(encoding="utf-8")) or {} if file.is_file() else {}
    write_atomically(file, yaml.safe_dump(table | {entry["class"]: entry}, sort_keys=False))
    return file


def _timed(device: str, work: Callable[[], Any]) -> float:
    """Seconds of the process, or of the clock if a GPU does the work."""
    wait, now = (torch.cuda.synchronize, time.perf_counter) if device == "cuda" else (lambda: None, time.process_time)
    wait()
    begin = now()
    work()
    wait()
    return now() - begin


def _fit(device: str, precision: str, rate: float) -> tuple[float, float, float]:
    """Share of the product rate that a step reaches, additional seconds per update, and per step."""
    plan, task = Plan(), find_task("pocket-text").model_dump(mode="json")
    arguments: dict[str, Any] = {"task": task, "tasks": {}, "split": "train", "language": "en", "content": ""}
    inputs = {"rows.en": plan.add(Step("rows", "xstilts.data.prepare:prepare", 1, arguments))}
    words = {"model": "words", "size": 2000, "alphabet": 1000, "segments": False}
    train_vocabulary = "xstilts.models.vocabulary:train_vocabulary"
    inputs["vocabulary"] = plan.add(Step("vocabulary", train_vocabulary, 1, words, {**inputs}))
    recipe = {"learning_rate": 1e-4, "warmup": 0.1, "weight_decay": 0.01, "beta2": 0.999, "clip": 1.0}
    arguments = {"task": task, "languages": ["en"], "masked": 0.15, "exponent": 1.0, "max_length": 64, "seed": 1}
    arguments |= {"recipe": recipe | {"micro_tokens": None, "precision": precision}, "device": device}
    for layers, hidden, batch, updates in RUNS[device]:
        config = {"model_type": "bert", "num_hidden_layers": layers, "hidden_size": hidden}
        config |= {"intermediate_size": 4 * hidden, "num_attention_heads": hidden // 32, "max_position_embeddings": 64}
        settings = arguments | {"config": config, "updates": updates, "batch_size": batch}
        plan.add(Step("pretrain", "xstilts.training.phases:pretrain", 1, settings, inputs))
    prices = estimates(plan, Rates(name=device, **package_table("devices")[device]))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        taken = [(f, _timed(device, partial(run_step, step, store))) for f, step in plan.steps.items()][3:]
    terms = [[1, plan.steps[f].arguments["updates"], prices[f].flops / rate] for f, _ in taken]
    start, update, slowdown = map(float, nnls(np.array(terms), np.array([seconds for _, seconds in taken]))[0])
    return 1 / max(slowdown, 1e-3), update, start
