"""Predicting 15 languages: one pass sorted by length over all of them, against a loop over the languages.

    python benchmarks/bench_prediction.py
    python benchmarks/bench_prediction.py --device cuda --hidden 1024 --layers 24 --vocabulary 250002 --rows 1000

The same classifier with random weights, the same sequences, the same precision (bf16 autocast), inference mode. The
loops take batches of 8 in the order of the files, padded to 128 or to the longest of the batch. Real tokens a second of
the forward passes and of handing the results over; runs alternate. Probabilities in float32 are compared first.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench_training import PAD, make_model, now, product_rate, write
from xstilts.costs.shapes import configured
from xstilts.evaluation.predict import run_model
from xstilts.models.hardware import choose_device
from xstilts.randomness import generator
from xstilts.tasks import classification
from xstilts.tasks.encoding import Encoded, pad, ragged

LANGUAGES, BATCH, LONGEST = 15, 8, 128


def make_data(rows: int, vocabulary: int) -> tuple[Encoded, np.ndarray]:
    """Sequences of 15 languages one after the other, and the language of each; lengths differ by language."""
    rng = generator("prediction")
    spread = np.repeat(rng.uniform(3.3, 4.0, LANGUAGES), rows)
    lengths = np.clip(np.exp(rng.normal(spread, 0.45)).astype(int), 8, LONGEST)
    ids, offsets = ragged([[0, *rng.integers(5, vocabulary, n - 2), 2] for n in lengths])
    return Encoded(ids, offsets, np.arange(len(lengths)), np.zeros(len(lengths), np.int64)), np.repeat(
        np.arange(LANGUAGES), rows
    )


def loop(model: Any, encoded: Encoded, language: np.ndarray, fixed: bool, precision: str) -> np.ndarray:
    """Class probabilities [n, 3] by a loop over languages and batches in the order of the rows."""
    result = np.empty((len(encoded), 3), np.float32)
    with torch.inference_mode(), torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bf16"):
        for code in range(LANGUAGES):
            rows = np.flatnonzero(language == code)
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                result[batch] = (
                    model(**_padded(encoded, batch, fixed, model.device)).logits.float().softmax(-1).cpu().numpy()
                )
    return result


def _padded(encoded: Encoded, rows: np.ndarray, fixed: bool, device: torch.device) -> dict[str, torch.Tensor]:
    arrays = pad(encoded, rows, PAD)
    mask = arrays.get("attention_mask", np.ones_like(arrays["input_ids"]))
    more = LONGEST - mask.shape[1] if fixed else 0
    named = {"input_ids": (arrays["input_ids"], PAD), "attention_mask": (mask, 0)}
    return {name: torch.from_numpy(np.pad(a, ((0, 0), (0, more)), constant_values=fill)).to(device)
            for name, (a, fill) in named.items()}  # fmt: skip


def here(model: Any, encoded: Encoded, precision: str) -> np.ndarray:
    return np.stack(run_model(model, classification, encoded, PAD, model.device, precision))


def rounds(sides: dict[str, Callable[[], Any]], repeats: int) -> Iterator[dict[str, float]]:
    for _ in range(repeats):
        seconds = {}
        for name, action in sides.items():
            begin = now()
            action()
            seconds[name] = now() - begin
        yield seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("hidden", 384), ("layers", 6), ("vocabulary", 30_000), ("rows", 60), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = make_model(options).to(choose_device(options.device)).eval()
    encoded, language = make_data(options.rows, options.vocabulary)
    difference = np.abs(here(model, encoded, "fp32") - loop(model, encoded, language, False, "fp32")).max()
    print(f"largest difference of a probability in float32: {difference:.1e}")
    sides = {
        "here": lambda: here(model, encoded, "bf16"),
        "padded to 128": lambda: loop(model, encoded, language, True, "bf16"),
        "padded to the batch": lambda: loop(model, encoded, language, False, "bf16"),
    }
    found = list(rounds(sides, options.repeats))
    tokens = len(encoded.ids)
    speeds = {name: round(statistics.median(tokens / r[name] for r in found)) for name in sides}
    ratios = {name: sorted(round(r[name] / r["here"], 2) for r in found) for name in sides if name != "here"}
    bound = LONGEST * len(encoded) / tokens
    print(f"of {LONGEST} places {1 / bound:.0%} are real: {bound:.2f} times is all that leaving padding out can give")
    print("real tokens per second: " + ", ".join(f"{name} {speed:,}" for name, speed in speeds.items()))
    for name, values in ratios.items():
        print(f"{statistics.median(values):.2f} times a loop {name} ({values[0]} to {values[-1]})")
    flops = configured(model.config.to_dict()).forward(tokens, (encoded.lengths**2).sum())
    share = flops / statistics.median(r["here"] for r in found) / product_rate(options.device)
    print(f"{share:.0%} of the rate of a bf16 matrix product")
    if options.json:
        write(options, {"difference_fp32": float(difference), "padding_bound": round(bound, 2),
                        "tokens_per_second": speeds, "ratios": ratios,
                        "share_of_product_rate": round(share, 3)})  # fmt: skip


if __name__ == "__main__":
    main()
