"""Measures this machine's device: matrix products, and what a training step makes of them.

A small and a larger encoder are pretrained for a few updates on artificial text, by the step that studies run. What an
update takes beyond the first few is taken to be `update_seconds` plus its FLOPs at a share of the product rate: two
sizes give both. On a processor the time is that of the processor, so that other work beside does not count.
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from xstilts.costs.devices import Rates, user_file
from xstilts.costs.estimate import estimates
from xstilts.engine import Plan, Step, Store, run_step, write_atomically
from xstilts.models.hardware import choose_device
from xstilts.tasks.task import find_task

PRECISIONS = ("fp32", "bf16")
SIDE = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the matrices."""
SMALL = {"layers": 2, "hidden": 64, "batch": 24, "updates": (20, 120)}
LARGE = {
    "cpu": {"layers": 4, "hidden": 512, "batch": 48, "updates": (2, 8)},
    "cuda": {"layers": 12, "hidden": 1024, "batch": 1024, "updates": (5, 25)},
}
"""The two encoders: layers, width, sequences of an update, and updates of a shorter and a longer run."""


def product_rate(device: str, precision: str) -> float:
    """FLOP/s of a square matrix product, the best of a dozen."""
    kind = torch.float32 if precision == "fp32" else torch.bfloat16
    side = SIDE[device]
    a, b = (torch.ones(side, side, dtype=kind, device=device) for _ in range(2))
    return 2 * side**3 / min(_timed(device, lambda: a @ b) for _ in range(12))


def _timed(device: str, work: Callable[[], Any]) -> float:
    """Seconds of the processor, or of the clock where a GPU does the work."""
    if device == "cpu":
        begin = time.process_time()
        work()
        return time.process_time() - begin
    torch.cuda.synchronize()
    begin = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def measure(device: str, tell: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """The entry of a device in the table of rates; raises XstiltsError where there is no such device.

    On a processor it is that of one core: one thread is used.
    """
    choose_device(device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if device == "cpu" else threads)
    try:
        products = {precision: product_rate(device, precision) for precision in PRECISIONS}
        entry: dict[str, Any] = {"class": device, **products, "efficiency": {}, "update_seconds": {}}
        with tempfile.TemporaryDirectory() as folder:
            for precision in PRECISIONS:
                tell(f"{precision}: {products[precision] / 1e9:,.0f} GFLOP/s of matrix products")
                share, beside, start = _step(Path(folder), device, precision, products[precision])
                tell(f"{precision}: a step reaches {share:.0%} of them, and {1000 * beside:.1f} ms beside an update")
                entry["efficiency"][precision], entry["update_seconds"][precision] = share, beside
                entry["step_seconds"] = start
    finally:
        torch.set_num_threads(threads)
    name = "one core of this machine"
    if device == "cuda":
        name = torch.cuda.get_device_name()
        entry["memory"] = [round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1)]
    return entry | {"ground": f"measured on {name}, torch {torch.__version__}"}


def keep(entry: dict[str, Any]) -> Path:
    """Writes an entry to the user's file under the class of its device, and returns the file's path."""
    file = user_file()
    table = yaml.safe_load(file.read_text(encoding="utf-8")) or {} if file.is_file() else {}
    write_atomically(file, yaml.safe_dump(table | {entry["class"]: entry}, sort_keys=False))
    return file


def _step(folder: Path, device: str, precision: str, rate: float) -> tuple[float, float, float]:
    """Share of the product rate that a step reaches, seconds of an update beside them, and of a step beside updates."""
    small_flops, small, start = _run(folder, device, precision, SMALL)
    large_flops, large, _ = _run(folder, device, precision, LARGE[device])
    per_flop = max((large - small) / (large_flops - small_flops), 1e-3 / rate)
    return 1 / (per_flop * rate), max(0.0, small - small_flops * per_flop), start


def _run(folder: Path, device: str, precision: str, size: dict[str, Any]) -> tuple[float, float, float]:
    """FLOPs and seconds of an update after the first few, and seconds of the step without its updates."""
    store = Store(folder / f"{precision}-{size['hidden']}")
    plan, runs = Plan(), []
    text = find_task("pocket-text").model_dump(mode="json")
    wanted = {"task": text, "tasks": {}, "split": "train", "language": "en", "content": ""}
    rows = plan.add(Step("rows", "xstilts.data.prepare:prepare", 1, wanted))
    words = {"model": "words", "size": 2000, "alphabet": 1000, "segments": False}
    vocabulary = plan.add(Step("vocabulary", "xstilts.models.vocabulary:train_vocabulary", 1, words, {"rows.en": rows}))
    for updates in size["updates"]:
        arguments = _pretraining(size, updates, device, precision) | {"task": text}
        inputs = {"vocabulary": vocabulary, "rows.en": rows}
        runs.append(plan.add(Step("pretrain", "xstilts.training.phases:pretrain", 1, arguments, inputs)))
    seconds = {f: _timed(device, partial(run_step, step, store)) for f, step in plan.steps.items()}
    nothing = dict.fromkeys(PRECISIONS, 1.0)
    costs = estimates(plan, Rates("", device, nothing, nothing, nothing, 0.0, ""))
    (few, many), (first, last) = size["updates"], runs
    update = (seconds[last] - seconds[first]) / (many - few)
    flops = (costs[last].flops - costs[first].flops) / (many - few)
    return float(flops), update, max(0.0, seconds[first] - few * update)


def _pretraining(size: dict[str, Any], updates: int, device: str, precision: str) -> dict[str, Any]:
    config = {
        "model_type": "bert",
        "hidden_size": size["hidden"],
        "num_hidden_layers": size["layers"],
        "num_attention_heads": size["hidden"] // 32,
        "intermediate_size": 4 * size["hidden"],
        "max_position_embeddings": 64,
    }
    recipe = {"learning_rate": 1e-4, "warmup": 0.1, "weight_decay": 0.01, "beta2": 0.999, "clip": 1.0,
              "micro_tokens": None, "precision": precision}  # fmt: skip
    return {"config": config, "languages": ["en"], "updates": updates, "batch_size": size["batch"], "masked": 0.15,
            "exponent": 1.0, "max_length": 64, "recipe": recipe, "seed": 1, "device": device}  # fmt: skip
