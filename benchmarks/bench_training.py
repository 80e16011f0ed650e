"""Training a base-size classifier with 250,002 rows of vocabulary: this package against Hugging Face Trainer.

    python benchmarks/bench_training.py [--task mnli] [--updates 2 --repeats 5]
    python benchmarks/bench_training.py --device cuda --hidden 1024 --layers 24       (XLM-R Large's shape)

The same model, sequences, number of updates, precision (bf16 autocast), fused AdamW and learning rate. Trainer pads
to the task's maximum, or groups by length (`group_by_length`), which composes its updates of sequences of like
length; here updates are composed at random. Lengths are log-normal, with the mean and deviation of real English files
(src/xstilts/costs/sizes.yaml); ids follow Zipf's law. What is measured is the marginal cost of an update: the first
of each run, which pays for set-up, does not count. Runs alternate. The losses of the same updates are compared first,
and those of two runs of one seed. FLOPs a second are given as a share of the rate of a bf16 matrix product, measured
before each round.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import datasets
import numpy as np
import torch
import transformers

from xstilts.context import Context
from xstilts.costs.devices import package_table
from xstilts.costs.shapes import configured
from xstilts.models import packing
from xstilts.models.hardware import choose_device
from xstilts.models.trimming import trim
from xstilts.randomness import generator
from xstilts.tasks import classification
from xstilts.tasks.encoding import Encoded, ragged
from xstilts.training.loop import train
from xstilts.training.schedule import Recipe
from xstilts.training.update import Part

PAD = 1
LONGEST = {"mnli": 128, "squad_v1": 384}
"""What the benchmark's scripts pad to."""


def make_model(options: argparse.Namespace, dropout: float = 0.1) -> Any:
    """A classifier in the shape of XLM-R with random weights, the same for all."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        "xlm-roberta", vocab_size=options.vocabulary, hidden_size=options.hidden, num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 64, intermediate_size=4 * options.hidden, max_position_embeddings=514,
        num_labels=3, pad_token_id=PAD, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    return transformers.AutoModelForSequenceClassification.from_config(config)


def make_data(options: argparse.Namespace) -> Encoded:
    """Sequences of lengths like those of the task, as many as the updates take and four times that."""
    rng = generator("lengths")
    count, longest = options.size * (options.updates + 1) * 4, LONGEST[options.task]
    known = package_table("sizes")["tasks"][{"mnli": "xnli"}.get(options.task, options.task)]["en"]
    sigma = np.sqrt(np.log1p((known["deviation"] / known["mean"]) ** 2))
    lengths = rng.lognormal(np.log(known["mean"]) - sigma**2 / 2, sigma, count).clip(3, longest).astype(int)
    tokens = [5 + (rng.zipf(1.2, n) - 1) % (options.vocabulary - 5) for n in lengths]
    ids, offsets = ragged([[0, *t[1:-1], 2] for t in tokens])
    return Encoded(ids, offsets, np.arange(count), rng.integers(0, 3, count))


class Clock(transformers.TrainerCallback):
    """The time at the end of every update."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]

    def on_step_end(self, *arguments: Any, **named: Any) -> None:
        self.times.append(now())


def now() -> float:
    """The time, once all that a GPU was given is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def product_rate(device: str) -> float:
    """FLOP/s of a bf16 matrix product with all threads, the best of a dozen."""
    side = 8192 if device == "cuda" else 2048
    a, b = (torch.ones(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    seconds = []
    for _ in range(12):
        begin = now()
        a @ b
        seconds.append(now() - begin)
    return 2 * side**3 / min(seconds)


def trainer_seconds(encoded: Encoded, options: argparse.Namespace, grouped: bool, folder: Path) -> tuple[float, float]:
    """Seconds and real tokens per second of Trainer's updates after the first."""
    rows = [encoded.ids[a:b].tolist() for a, b in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)]
    masks = [[1] * len(row) for row in rows]
    longest = LONGEST[options.task]
    if not grouped:
        masks = [mask + [0] * (longest - len(mask)) for mask in masks]
        rows = [row + [PAD] * (longest - len(row)) for row in rows]
    data = datasets.Dataset.from_dict({"input_ids": rows, "attention_mask": masks, "labels": encoded.labels.tolist(),
                                       "length": encoded.lengths.tolist()})  # fmt: skip
    seen: list[int] = []

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = max(len(row["input_ids"]) for row in batch)
        seen.append(sum(sum(row["attention_mask"]) for row in batch))
        padded = {name: [row[name] + [fill] * (width - len(row[name])) for row in batch]
                  for name, fill in (("input_ids", PAD), ("attention_mask", 0))}  # fmt: skip
        return {**{n: torch.tensor(v) for n, v in padded.items()}, "labels": torch.tensor([r["labels"] for r in batch])}

    clock = Clock()
    settings = transformers.TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=options.size, max_steps=options.updates + 1, bf16=True,
        use_cpu=options.device == "cpu", learning_rate=2e-5, warmup_steps=1, weight_decay=0.01,
        optim="adamw_torch_fused",
        save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True, remove_unused_columns=False,
        train_sampling_strategy="group_by_length" if grouped else "random",
    )  # fmt: skip
    transformers.Trainer(make_model(options), settings, train_dataset=data, data_collator=collate,
                         callbacks=[clock]).train()  # fmt: skip
    seconds = clock.times[-1] - clock.times[1]
    return seconds, sum(seen[1 : options.updates + 1]) / seconds


def our_seconds(encoded: Encoded, options: argparse.Namespace, folder: Path) -> tuple[float, float, float, float]:
    """The same of this package (trimmed vocabulary, updates at random), their FLOPs, and the last loss."""
    model = make_model(options).to(choose_device(options.device))
    trimmed = trim(model, [encoded], PAD, folder)
    order = generator("order").permutation(len(encoded))[: options.size * (options.updates + 1)]
    batches = [{0: sequences} for sequences in order.reshape(-1, options.size)]
    times = [now()]
    recipe = Recipe(2e-5, weight_decay=0.01, precision="bf16")
    context = Context(folder, lambda share: times.append(now()))
    history = train([Part(model, classification, trimmed.encoded(encoded))], batches, recipe, 1, PAD, context).history
    seconds = times[-1] - times[1]
    lengths = np.concatenate([encoded.lengths[batch[0]] for batch in batches[1:]])
    flops = 3 * configured(model.config.to_dict()).forward(lengths.sum(), (lengths**2).sum())
    return seconds, lengths.sum() / seconds, flops, history[-1]["loss"]


SHAPE = {"hidden": 768, "layers": 12, "vocabulary": 250_002, "updates": 2, "repeats": 5, "size": 32}


def loss_difference(options: argparse.Namespace) -> float:
    """The largest relative difference of the losses of 6 updates without dropout, float32, in small: packed and trimmed
    against padded with the whole vocabulary."""
    small = argparse.Namespace(**{**vars(options), "hidden": 256, "layers": 2, "size": 8, "updates": 5})
    encoded, losses = make_data(small), []
    batches = [{0: sequences} for sequences in np.arange(48).reshape(6, 8)]
    for ours in (True, False):
        model = make_model(small, dropout=0.0)
        with tempfile.TemporaryDirectory() as folder, patch.dict(packing.PACKED_FROM, cpu=256 if ours else 10**6):
            trimmed = trim(model, [encoded], PAD, Path(folder)) if ours else None
            part = Part(model, classification, trimmed.encoded(encoded) if trimmed else encoded)
            found = train([part], batches, Recipe(1e-3, weight_decay=0.01), 1, PAD, Context(Path(folder))).history
        losses.append(np.array([entry["loss"] for entry in found]))
    return float(np.abs(losses[0] / losses[1] - 1).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in SHAPE.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--task", choices=list(LONGEST), default="mnli")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    difference = loss_difference(options)
    print(f"losses of the same updates differ by at most {difference:.1e} of their size")
    transformers.utils.logging.set_verbosity_error()
    encoded = make_data(options)
    rounds, shares, losses = [], [], []
    for number in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            root, peak = Path(folder), product_rate(options.device)
            seconds, speed, flops, loss = our_seconds(encoded, options, root)
            found = {
                "here": (seconds, speed),
                "Trainer, padded": trainer_seconds(encoded, options, False, root),
                "Trainer, grouped by length": trainer_seconds(encoded, options, True, root),
            }
        rounds.append(found)
        shares.append(flops / seconds / peak)
        losses.append(loss)
        told = ", ".join(f"{name} {speed:.0f}" for name, (_, speed) in found.items())
        print(f"round {number + 1}: real tokens per second: {told}; {shares[-1]:.0%} of the product rate", flush=True)
    speeds = {name: statistics.median(found[name][1] for found in rounds) for name in rounds[0]}
    ratios = {name: [round(found["here"][1] / found[name][1], 2) for found in rounds] for name in rounds[0]}
    del ratios["here"]
    for name, values in ratios.items():
        print(f"{statistics.median(values):.2f} times {name} ({min(values):.2f} to {max(values):.2f})")
    spread = max(losses) - min(losses)
    print(f"{statistics.median(shares):.0%} of a matrix product's rate")
    print(f"the last losses of {options.repeats} equal runs differ by {spread:.1e}")
    if options.json:
        write(options, {"loss_difference": difference, "loss_spread_of_equal_runs": spread, "tokens_per_second": speeds,
                        "ratios": ratios, "share_of_product_rate": [round(share, 3) for share in shares]})  # fmt: skip


def write(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """The result as JSON, with the command and the machine."""
    on_gpu = options.device == "cuda"
    machine = torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine()
    told = {"command": "python benchmarks/" + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), "machine": machine,
            "threads": torch.get_num_threads(), "torch": torch.__version__}  # fmt: skip
    if on_gpu:
        told["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    settings = {name: value for name, value in vars(options).items() if name != "json"}
    options.json.write_text(json.dumps({**told, **settings, **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
