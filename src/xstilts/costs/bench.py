"""Measure this machine's device: matrix products, and what a training step makes of them.

Small encoders are pretrained on artificial text by the step that studies run. Seconds of a step = a constant +
updates × layers × a constant + FLOPs ÷ (share × rate of products) × (1 + narrow ÷ hidden size): the runs give all four.
On a processor the time is that of the process, so that other work counts little.
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
    "cpu": [(4, 64, 2, 1), (4, 64, 2, 1), (4, 64, 2, 100), (4, 64, 48, 20), (4, 256, 24, 10), (4, 512, 48, 6)],
    "cuda": [
        (4, 64, 2, 1),
        (4, 64, 2, 1),
        (4, 64, 2, 100),
        (4, 64, 1024, 25),
        (12, 256, 1024, 25),
        (12, 1024, 1024, 25),
    ],
}
"""Pretrainings: layers, hidden size, sequences per update, updates. The first warms up and is not counted."""


def measure(device: str, report: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """The entry of a device (`cpu`: one core) in the table of rates; raises XstiltsError if there is no such device."""
    choose_device(device)
    side, threads = 1024 if device == "cpu" else 8192, torch.get_num_threads()
    torch.set_num_threads(1 if device == "cpu" else threads)
    entry: dict[str, Any] = {"class": device, "efficiency": {}, "narrow": {}, "layer_seconds": {}}
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        matrix = torch.ones(side, side, dtype=kind, device=device)
        product = partial(torch.matmul, matrix, matrix)
        rate = entry[precision] = 2 * side**3 / min(_timed(device, product) for _ in range(12))
        share, narrow, layer, start = _fit(device, precision, rate)
        entry["step_seconds"] = min(start, entry.get("step_seconds", start))
        fitted = {"efficiency": share, "narrow": narrow, "layer_seconds": layer}
        for name, value in fitted.items():
            entry[name][precision] = value
        reached = ", ".join(f"{share * hidden / (hidden + narrow):.0%} with {hidden}" for hidden in (64, 768))
        text = (
            f"{precision}: {rate / 1e9:,.0f} GFLOP/s of matrix products, of which a step reaches {reached} hidden units"
        )
        report(f"{text}; {1000 * layer:.1f} ms more per update and layer")
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


def _fit(device: str, precision: str, rate: float) -> tuple[float, float, float, float]:
    """Share of the product rate that a wide model reaches, hidden size that reaches half of it, and additional seconds
    per update and layer, and per step: those with the smallest relative errors."""
    plan, task = Plan(), find_task("pocket-text").model_dump(mode="json")
    task["source"]["rows"] = {"train": 1000}  # tokenizing more would take longer than the updates
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
    terms = []
    for fingerprint, seconds in taken:
        step = plan.steps[fingerprint].arguments
        products, layers = prices[fingerprint].flops / rate, 1 + step["config"]["num_hidden_layers"]
        row = [1, step["updates"] * layers, products, products / step["config"]["hidden_size"]]
        terms.append(np.array(row) / seconds)
    start, layer, slowdown, narrow = map(float, nnls(np.array(terms), np.ones(len(terms)))[0])
    slowdown = max(slowdown, 1e-3)
    return 1 / slowdown, narrow / slowdown, layer, start
