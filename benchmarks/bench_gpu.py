"""On one GPU, in five minutes: this package against Hugging Face Trainer as a careful user would set it up.

    make bench-gpu                                                      (XLM-R Large's shape, every side)
    python benchmarks/bench_gpu.py --device cpu --hidden 256 --layers 2 --vocabulary 3000 --updates 4 --warm 2
                                                                        (that the script runs; no figure of it counts)

First what must be equal: losses of replayed updates and of the same updates run one operation after the other, and the
weights of a training that was interrupted. Then seconds per update, all in bf16 with fused AdamW and torch's attention:
here replayed and eager, Trainer padded to the longest length of the task, grouped by length, and compiled. Trainer has
four persistent workers that pin their batches, and does not look at the loss. Sides alternate; the first `--warm`
updates do not count (here: in which every shape is recorded), and the GPU is waited for at the two ends only. Then
three trainings at once, and prediction against a loop over batches of 256 sorted by length. No part begins after
`--limit` seconds; the JSON is written after each.
"""

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import datasets
import numpy as np
import torch
import transformers
from torch import multiprocessing

from bench_prediction import make_data as prediction_data
from bench_training import LONGEST, PAD, make_data, make_model, now, write
from xstilts.context import Context
from xstilts.evaluation.predict import run_model
from xstilts.models.filling import frame_of
from xstilts.models.trimming import trim
from xstilts.randomness import generator
from xstilts.tasks import classification
from xstilts.tasks.encoding import Encoded, pad
from xstilts.training.loop import train
from xstilts.training.replay import Replay
from xstilts.training.schedule import Recipe
from xstilts.training.update import Part

SORTED_BATCH = 256
ROUNDS = 3


class Enough(Exception):
    """The updates that are measured are done."""


def eager() -> AbstractContextManager[Any]:
    """Runs what would be replayed, on the same filled updates."""
    return patch.object(Replay, "__call__", lambda self, *arguments: self.function(*arguments))


def changed(options: argparse.Namespace, **changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), **changes})


class Stopwatch:
    """Seconds from the end of the warm-up to the last update; the GPU is waited for at these two only."""

    def __init__(self, options: argparse.Namespace, meet: Callable[[], Any] = lambda: None) -> None:
        self.warm, self.updates, self.meet = options.warm, options.updates, meet
        self.seen, self.begin, self.seconds = 0, 0.0, 0.0

    def tick(self) -> bool:
        """Counts an update; whether it was the last."""
        self.seen += 1
        if self.seen == self.warm:
            now()
            self.meet()
            self.begin = now()
        if self.seen == self.warm + self.updates:
            self.seconds = (now() - self.begin) / self.updates
        return self.seen == self.warm + self.updates


def ours(model: Any, encoded: Encoded, options: argparse.Namespace, watch: Stopwatch) -> float:
    """Seconds per update of this package, with the vocabulary trimmed, which is not measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = copy.deepcopy(model)
        trimmed = trim(model, [encoded], PAD, folder)
        order = generator("order").permutation(len(encoded)).reshape(-1, options.size)
        warming = warm_up(encoded.lengths, order)
        watch.warm = max(watch.warm, len(warming))
        updates = [{0: indices} for indices in (*warming, *order)] * 20  # a GPU is waited for at each twentieth

        def progress(share: float) -> None:
            if watch.tick():
                raise Enough

        part = Part(model, classification, trimmed.encoded(encoded))
        recipe = Recipe(2e-5, weight_decay=0.01, precision="bf16")
        try:
            train([part], updates, recipe, 1, PAD, Context(folder, progress), checkpoint_seconds=10**6)
        except Enough:
            return watch.seconds
    raise AssertionError


def warm_up(lengths: np.ndarray, updates: np.ndarray) -> list[np.ndarray]:
    """Two updates of each capacity: the first runs, the second is recorded."""
    frame = frame_of(lengths, list(updates))
    tokens = lengths[updates].sum(1) + frame.rows - updates.shape[1]
    capacity = np.searchsorted(frame.capacities, tokens)
    return [updates[i] for c in range(len(frame.capacities)) for i in np.flatnonzero(capacity == c)[:2]]


class Stop(transformers.TrainerCallback):
    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def on_step_end(self, *arguments: Any, **named: Any) -> None:
        self.watch.tick()


def trainer(model: Any, encoded: Encoded, options: argparse.Namespace, watch: Stopwatch, **settings: Any) -> float:
    """Seconds per update of Trainer; batches are padded to the task's longest length unless they are grouped."""
    grouped = settings.get("train_sampling_strategy") == "group_by_length"
    rows = [encoded.ids[a:b].tolist() for a, b in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)]
    masks = [[1] * len(row) for row in rows]
    if not grouped:
        masks = [mask + [0] * (LONGEST[options.task] - len(mask)) for mask in masks]
        rows = [row + [PAD] * (LONGEST[options.task] - len(row)) for row in rows]
    data = datasets.Dataset.from_dict(
        {
            "input_ids": rows,
            "attention_mask": masks,
            "labels": encoded.labels.tolist(),
            "length": encoded.lengths.tolist(),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder, per_device_train_batch_size=options.size, max_steps=watch.warm + watch.updates,
            bf16=True, use_cpu=options.device == "cpu", learning_rate=2e-5, weight_decay=0.01,
            optim="adamw_torch_fused", dataloader_num_workers=4, dataloader_persistent_workers=True,
            logging_nan_inf_filter=False,
            save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True, remove_unused_columns=False,
            **settings,
        )  # fmt: skip
        transformers.Trainer(
            copy.deepcopy(model), arguments, train_dataset=data, data_collator=_collate, callbacks=[Stop(watch)]
        ).train()
    return watch.seconds


def _collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    width = max(len(row["input_ids"]) for row in batch)
    padded = {name: [row[name] + [fill] * (width - len(row[name])) for row in batch]
              for name, fill in (("input_ids", PAD), ("attention_mask", 0))}  # fmt: skip
    return {**{n: torch.tensor(v) for n, v in padded.items()}, "labels": torch.tensor([r["labels"] for r in batch])}


Side = tuple[Callable[..., float], AbstractContextManager[Any], dict[str, Any]]


def sides_of(options: argparse.Namespace) -> dict[str, Side]:
    """What is compared; compiled models only at the lengths of NLI, since compiling takes a minute for each."""
    found: dict[str, Side] = {
        "here": (ours, nullcontext(), {}),
        "here, eager": (ours, eager(), {}),
        "Trainer, padded": (trainer, nullcontext(), {}),
        "Trainer, grouped": (trainer, nullcontext(), {"train_sampling_strategy": "group_by_length"}),
    }
    if options.task == "mnli" and options.device == "cuda":
        for mode in ("reduce-overhead", "default"):
            settings = {"torch_compile": True, "torch_compile_mode": mode}
            found[f"Trainer, padded, compiled ({mode})"] = (trainer, nullcontext(), settings)
    return found


def compare(model: Any, options: argparse.Namespace, late: Callable[[], bool]) -> dict[str, Any]:
    """Milliseconds per update of every side in every round, and ratios to ours of the same round, the lowest first."""
    encoded = make_data(changed(options, updates=options.warm + options.updates))
    milliseconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, (run, context, settings) in sides_of(options).items():
            if not late() and not (name in milliseconds and "compiled" in name):
                with context:
                    seconds = run(model, encoded, options, Stopwatch(options), **settings)
                milliseconds.setdefault(name, []).append(round(1000 * seconds, 2))
                print(f"{options.task}: {name}: {milliseconds[name][-1]} ms per update", flush=True)
    base = milliseconds["here"]
    ratios = {name: sorted(round(value / base[i], 2) for i, value in enumerate(values))
              for name, values in milliseconds.items() if name != "here"}  # fmt: skip
    return {"milliseconds_per_update": milliseconds, "ratios_to_here": ratios}


def correctness(options: argparse.Namespace) -> dict[str, Any]:
    """How far losses of replayed updates and weights of an interrupted training are from those of direct updates."""
    small = changed(options, hidden=128, layers=2, vocabulary=2000, size=8, updates=20)
    encoded = make_data(small)
    updates = [{0: indices} for indices in np.arange(160).reshape(20, 8)]

    def run(folder: Path, stop: int = 0) -> tuple[list[float], torch.Tensor]:
        model = make_model(small).to(options.device)

        def progress(share: float) -> None:
            if stop and round(share * 20) == stop:
                raise Enough

        folder.mkdir(exist_ok=True)
        recipe, context = Recipe(1e-4, weight_decay=0.01, precision="bf16"), Context(folder, progress)
        part = Part(model, classification, encoded)
        history = train([part], updates, recipe, 1, PAD, context, checkpoint_seconds=0.0).history
        return [entry["loss"] for entry in history], torch.cat([p.detach().flatten() for p in model.parameters()])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        replayed, weights = run(folder / "replayed")
        with eager():
            direct, _ = run(folder / "direct")
        again, _ = run(folder / "again")
        try:
            run(folder / "stopped", stop=13)
        except Enough:
            _, resumed = run(folder / "stopped")
    return {
        "losses_replayed_minus_direct": max(abs(a - b) for a, b in zip(replayed, direct, strict=True)),
        "losses_of_equal_runs": max(abs(a - b) for a, b in zip(replayed, again, strict=True)),
        "weights_after_resuming": float((resumed - weights).abs().max()),
    }


def busy(model: Any, options: argparse.Namespace) -> float:
    """Share of the time of replayed updates in which a kernel runs."""
    encoded = make_data(changed(options, updates=options.warm + options.updates))
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
    watch = Stopwatch(options, profile.start)
    ours(model, encoded, options, watch)
    profile.stop()
    return round(
        sum(event.self_device_time_total for event in profile.key_averages()) / 1e6 / watch.seconds / watch.updates, 3
    )


def _one_of_three(number: int, options: argparse.Namespace, barrier: Any, results: Any) -> None:
    model = _model_on_device(options)
    encoded = make_data(changed(options, updates=options.warm + options.updates))
    results[number] = ours(model, encoded, options, Stopwatch(options, barrier.wait))


def three_at_once(options: argparse.Namespace, alone: float) -> dict[str, Any]:
    """Three trainings on one GPU, in processes of their own, against one after the other."""
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(3), spawn.Array("d", 3)
    multiprocessing.spawn(_one_of_three, (options, barrier, results), nprocs=3)
    milliseconds = [round(1000 * seconds, 2) for seconds in results[:]]
    return {"milliseconds_per_update": milliseconds, "speedup": round(3000 * alone / max(milliseconds), 2)}


def prediction(model: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Real tokens per second of prediction in 15 languages, against a loop over sorted batches."""
    encoded, _ = prediction_data(options.rows, options.vocabulary)
    device, model = model.device, copy.deepcopy(model).eval()

    def sorted_loop() -> None:
        order = np.argsort(-encoded.lengths, kind="stable")
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            for start in range(0, len(order), SORTED_BATCH):
                batch = pad(encoded, order[start : start + SORTED_BATCH], PAD)
                del batch["labels"]
                model(**{n: torch.from_numpy(a).to(device) for n, a in batch.items()}).logits.float().softmax(-1).cpu()

    sides = {
        "here": lambda: run_model(model, classification, encoded, PAD, device, "bf16"),
        f"a loop over sorted batches of {SORTED_BATCH}": sorted_loop,
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS + 1):  # the first round warms up
        for name, action in sides.items():
            begin = now()
            action()
            if number:
                seconds[name].append(now() - begin)
    here, there = seconds.values()
    speeds = {name: round(len(encoded.ids) / statistics.median(values)) for name, values in seconds.items()}
    return {"tokens_per_second": speeds, "ratios": sorted(round(b / a, 2) for a, b in zip(here, there, strict=True))}


def _model_on_device(options: argparse.Namespace) -> Any:
    with torch.device(options.device):
        return make_model(options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shape = {"hidden": 1024, "layers": 24, "vocabulary": 250_002, "size": 32, "updates": 40, "warm": 10, "rows": 1000}
    for name, value in {**shape, "limit": 240}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    started, result = time.monotonic(), dict[str, Any]()

    def late() -> bool:
        return time.monotonic() - started > options.limit

    def keep(name: str, value: Any) -> None:
        result[name] = value
        result["seconds_of_this_script"] = round(time.monotonic() - started)
        print(json.dumps({name: value}), flush=True)
        if options.json:
            write(options, result)

    options.task = "mnli"
    keep("correctness", correctness(options))
    model = _model_on_device(options)
    keep("nli", compare(model, options, late))
    if options.device == "cuda" and not late():
        keep("gpu_busy", busy(model, options))
    if not late():
        keep("prediction", prediction(model, options))
    alone = statistics.median(result["nli"]["milliseconds_per_update"]["here"]) / 1000
    options.task = "squad_v1"
    if not late():
        keep("questions", compare(model, options, late))
    options.task = "mnli"
    if not late():
        keep("three_trainings_at_once", three_at_once(options, alone))


if __name__ == "__main__":
    main()
