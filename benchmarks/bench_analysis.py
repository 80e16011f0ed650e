"""Ten thousand resamples of XNLI's predictions, replicates and items together, compared with the default interval.

    python benchmarks/bench_analysis.py [--draws 10000]

Eight arms of five replicates in 15 languages with 5,010 items each. Resampling is a product of weights and statistics.
The peer draws rows, one resample at a time, for a few resamples; its time is scaled up to all of them.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch

from xstilts.analysis.bootstrap import multi_bootstrap, resample
from xstilts.analysis.effects import Comparison, effect
from xstilts.randomness import generator
from xstilts.runs.score_table import ScoreTable
from xstilts.tasks import classification

BY_ROWS = 20
"""Resamples of the other way that are timed."""


def make_cube(arms: int, replicates: int, languages: int, items: int) -> ScoreTable:
    """Right and wrong answers of arms that differ a little."""
    rng = generator("answers")
    codes = [f"l{number}" for number in range(languages)]
    counted = np.ones(items)
    sums = {
        (f"arm-{arm}", "e", replicate): {
            code: np.stack([(rng.random(items) < 0.7 + 0.003 * arm).astype(float), counted], 1) for code in codes
        }
        for arm in range(arms)
        for replicate in range(1, replicates + 1)
    }
    return ScoreTable("xnli", classification, "accuracy", sums, dict.fromkeys(codes, np.arange(items)), items)


def by_rows(table: ScoreTable, draws: int) -> None:
    """Resamples by drawing the items' rows again and averaging them, one resample after another."""
    rng = np.random.default_rng(0)
    for _ in range(draws):
        chosen = rng.integers(0, table.clustering, table.clustering)
        for of in table.cluster_stats.values():
            np.mean([table[chosen, 0].mean() for table in of.values()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = (("arms", 8), ("replicates", 5), ("languages", 15), ("items", 5010), ("draws", 10_000))
    for name, value in sizes:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = make_cube(options.arms, options.replicates, options.languages, options.items)
    cells = list(table.cluster_stats)
    seconds = {}
    begin = time.perf_counter()
    scores = [resample(table, cells, table.languages, options.draws)]
    comparisons = [
        Comparison((table,), f"arm-{arm}", "arm-0", (tuple(table.languages),), ("e",)) for arm in range(1, options.arms)
    ]
    for comparison in comparisons:
        multi_bootstrap(comparison, scores, effect(comparison).degrees)
    seconds["weights × statistics"] = round(time.perf_counter() - begin, 2)
    begin = time.perf_counter()
    for comparison in comparisons:
        effect(comparison)
    seconds["crossed intervals alone"] = round(time.perf_counter() - begin, 2)
    begin = time.perf_counter()
    by_rows(table, BY_ROWS)
    seconds[f"row by row (scaled up from {BY_ROWS})"] = round(
        (time.perf_counter() - begin) * options.draws / BY_ROWS, 1
    )
    print(f"{options.arms} arms × {options.replicates} replicates × {options.languages} languages × {options.items:,} "
          f"items, {options.draws:,} resamples")  # fmt: skip
    for name, value in seconds.items():
        print(f"  {name:40} {value:10.2f} s")
    if options.json:
        told = {"command": "python benchmarks/bench_analysis.py", "threads": torch.get_num_threads(),
                "machine": platform.processor() or platform.machine()}  # fmt: skip
        told |= {name: getattr(options, name) for name, _ in sizes}
        options.json.write_text(json.dumps({**told, "seconds": seconds}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
