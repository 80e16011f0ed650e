"""Masked language modelling: the head on masked positions only, against all positions. Same loss, same gradients.

Alternates the two in one process and prints the ratio of their processor times with its spread.
Run: python benchmarks/bench_masked_head.py
"""

import json
import platform
import statistics
import time
from pathlib import Path

import torch
import transformers

from xstilts.tasks import mlm
from xstilts.tasks.encoding import IGNORED

VOCABULARY, HIDDEN, LAYERS, BATCH, LENGTH, MASKED, REPEATS = 30_000, 192, 4, 16, 64, 0.15, 9


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        "xlm-roberta", vocab_size=VOCABULARY, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=3,
        intermediate_size=4 * HIDDEN, max_position_embeddings=LENGTH + 2, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = transformers.AutoModelForMaskedLM.from_config(config)
    ids = torch.randint(5, VOCABULARY, (BATCH, LENGTH))
    labels = torch.where(torch.rand(ids.shape) < MASKED, ids, IGNORED)
    masked = {"input_ids": ids, "labels": labels}

    def masked_only() -> torch.Tensor:
        return mlm.loss_sum(mlm.forward(model, masked), labels)

    def all_positions() -> torch.Tensor:
        logits = model(input_ids=ids).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")

    seconds = {"masked_only": [], "all_positions": []}
    losses = {}
    for repeat in range(REPEATS + 1):
        for name, run in (("masked_only", masked_only), ("all_positions", all_positions)):
            model.zero_grad()
            begin = time.process_time()
            loss = run()
            loss.backward()
            if repeat:
                seconds[name].append(time.process_time() - begin)
            losses[name] = float(loss.detach())
    ratios = [slow / fast for fast, slow in zip(seconds["masked_only"], seconds["all_positions"], strict=True)]
    result = {
        "what": f"forward and backward, {LAYERS} x {HIDDEN}, vocabulary {VOCABULARY}, {BATCH} x {LENGTH} tokens, "
        f"{MASKED:.0%} masked, one thread, fp32",
        "masked_only_s": statistics.median(seconds["masked_only"]),
        "all_positions_s": statistics.median(seconds["all_positions"]),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "losses": losses,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    out = Path(__file__).parent / "results" / "masked-head.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
