"""How long the examples of the catalogue's tasks are in tokens, from real files: the `en` and `other` of
src/xstilts/costs/sizes.yaml, printed as YAML.

    python benchmarks/measure_lengths.py --data DIR --tokenizer FOLDER

Per task, in English and in all other languages together: sequences per example (windows of a long context, choices),
and mean and standard deviation of their tokens, special tokens included, truncated to the task's maximum length. Last
come the characters per token by script.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xstilts.config.load import read_task_file
from xstilts.costs.sizes import characters
from xstilts.data.examples import available, load_examples
from xstilts.errors import XstiltsError
from xstilts.languages import all_languages, language
from xstilts.models.encoders import load_tokenizer
from xstilts.tasks.task_types import SCORED

TASKS = Path(__file__).parent.parent / "tests" / "real_tasks.yaml"
ROWS = 2000
"""Examples of a split and language that are read."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    options = parser.parse_args()
    tokenizer = load_tokenizer(options.tokenizer)
    tasks = read_task_file(TASKS)
    result: dict[str, Any] = {}
    per_script: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, task in tasks.items():
        if task.type not in SCORED:
            continue
        lengths: dict[str, list[Any]] = defaultdict(list)
        for split in getattr(task.source, "files", {}):
            codes = tuple(task.languages or [entry.code for entry in all_languages()])
            for code in available(task, split, codes, options.data, tasks):
                try:
                    table = load_examples(task, split, code, options.data, tasks).table.slice(0, ROWS)
                except XstiltsError as error:
                    print(f"# {name} {split} {code}: {error.what}")
                    continue
                encoded = SCORED[task.type].encode(table, task, tokenizer, task.max_length)
                lengths["en" if code == "en" else "other"].append((len(table), encoded.lengths))
                count = per_script[language(code).script]
                count[0] += int(characters(table)[0])
                count[1] += int(SCORED[task.type].encode(table, task, tokenizer, 10**6).lengths.sum())
        result[name] = {
            group: {
                "sequences": round(sum(len(x) for _, x in parts) / sum(n for n, _ in parts), 3),
                "mean": round(float(np.concatenate([x for _, x in parts]).mean()), 1),
                "deviation": round(float(np.concatenate([x for _, x in parts]).std()), 1),
            }
            for group, parts in lengths.items()
        }
        print(
            yaml.safe_dump({name: result[name]}, default_flow_style=None, width=118, sort_keys=False),
            end="",
            flush=True,
        )
    print(yaml.safe_dump({"characters_per_token": {s: round(c / t, 2) for s, (c, t) in sorted(per_script.items())}}))


if __name__ == "__main__":
    main()
