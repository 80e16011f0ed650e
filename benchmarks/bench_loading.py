"""Loading and tokenising real files: this package against `datasets.map` with the same tokenizer and the usual recipes
of token classification and question answering, unpadded. Examples per second of one process, alternating, median of 3.

    python benchmarks/bench_loading.py --data DIR      (or XSTILTS_REAL_DATA=DIR)
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.config.load import read_task_file
from xstilts.context import Context
from xstilts.data.examples import available, load_examples
from xstilts.languages import all_languages
from xstilts.models.encoders import load_tokenizer
from xstilts.models.vocabulary import train_vocabulary
from xstilts.tasks.task_types import FINE_TUNED

REPEATS = 3
HERE = Path(__file__).parent


def load_and_encode(name: str, split: str, codes: list[str], tokenizer: Any, data: Path, length: int) -> int:
    """Read, check and encode the examples; return their number."""
    task = read_task_file(HERE.parent / "tests" / "real_tasks.yaml")[name]
    count = 0
    for code in codes:
        table = load_examples(task, split, code, data, {}).table
        FINE_TUNED[task.type].encode(table, task, tokenizer, length)
        count += len(table)
    return count


def tagged(path: Path) -> dict[str, list[list[str]]]:
    """A two-column file in the usual way of reading it."""
    sentences = [block.split("\n") for block in path.read_text(encoding="utf-8").strip().split("\n\n")]
    pairs = [[line.split("\t") for line in sentence if line.strip()] for sentence in sentences]
    return {"tokens": [[p[0] for p in s] for s in pairs], "tags": [[p[1].strip() for p in s] for s in pairs]}


def map_tagging(files: list[Path], tokenizer: Any, labels: tuple[str, ...], length: int) -> int:
    """The recipe of the token classification example of `transformers`."""
    number = {label: i for i, label in enumerate(labels)}

    def align(batch: dict[str, Any]) -> Any:
        encoding = tokenizer(batch["tokens"], truncation=True, max_length=length, is_split_into_words=True)
        aligned = []
        for i, tags in enumerate(batch["tags"]):
            previous, row = None, []
            for word in encoding.word_ids(i):
                row.append(-100 if word is None or word == previous else number[tags[word]])
                previous = word
            aligned.append(row)
        return {**encoding, "labels": aligned}

    count = 0
    for file in files:
        made = datasets.Dataset.from_dict(tagged(file)).map(align, batched=True, remove_columns=["tokens", "tags"])
        count += len(made)
    return count


def map_questions(file: Path, tokenizer: Any, length: int, stride: int) -> int:
    """The recipe of the question answering example of `transformers`, for training."""
    content = json.loads(file.read_text(encoding="utf-8"))
    listed = [
        {"id": q["id"], "context": p["context"], "question": q["question"][:200],  # it fails on longer ones
         "text": q["answers"][0]["text"], "start": q["answers"][0]["answer_start"]}
        for article in content["data"] for p in article["paragraphs"] for q in p["qas"]
    ]  # fmt: skip

    def features(batch: dict[str, Any]) -> Any:
        encoding = tokenizer(batch["question"], batch["context"], truncation="only_second", max_length=length,
                          stride=stride, return_overflowing_tokens=True, return_offsets_mapping=True)  # fmt: skip
        starts, ends = [], []
        for i, offsets in enumerate(encoding.pop("offset_mapping")):
            row = encoding["overflow_to_sample_mapping"][i]
            first, last = batch["start"][row], batch["start"][row] + len(batch["text"][row])
            sequence = encoding.sequence_ids(i)
            begin, end = sequence.index(1), len(sequence) - 1 - sequence[::-1].index(1)
            if offsets[begin][0] > first or offsets[end][1] < last:
                starts.append(0)
                ends.append(0)
                continue
            while begin < len(offsets) and offsets[begin][0] <= first:
                begin += 1
            while offsets[end][1] >= last:
                end -= 1
            starts.append(begin - 1)
            ends.append(end + 1)
        encoding.pop("overflow_to_sample_mapping")
        return {**encoding, "start_positions": starts, "end_positions": ends}

    made = datasets.Dataset.from_list(listed)
    made.map(features, batched=True, remove_columns=made.column_names)
    return len(listed)


def made_tokenizer(data: Path) -> Any:
    """Sub-words of a quarter of the sentences that are read, so that no download is needed."""
    texts = [" ".join(words) for file in sorted(data.glob("panx/train-*.tsv")) for words in tagged(file)["tokens"][::4]]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pq.write_table(
            pa.table({"text": texts, "text_b": pa.nulls(len(texts), pa.string())}), root / "examples.parquet"
        )
        settings = {"model": "bpe", "size": 30_000, "alphabet": 4000}
        train_vocabulary(settings, {"text": root}, root / "made", Context(root))
        return load_tokenizer(root / "made")


def timed(action: Callable[[], int]) -> tuple[float, int]:
    begin = time.perf_counter()
    count = action()
    return time.perf_counter() - begin, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("XSTILTS_REAL_DATA"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.data:
        print("skipped: --data or XSTILTS_REAL_DATA must name the folder of real data")
        return
    datasets.disable_progress_bars()
    datasets.disable_caching()
    tokenizer = made_tokenizer(options.data)
    known = read_task_file(HERE.parent / "tests" / "real_tasks.yaml")
    every = tuple(language.code for language in all_languages())
    codes = available(known["panx"], "train", every, options.data, {})
    files = [options.data / f"panx/train-{code}.tsv" for code in codes]
    squad = options.data / "squad/train-v1.1.rebuilt.json"
    cases = {
        "PAN-X train, all languages": (
            lambda: load_and_encode("panx", "train", codes, tokenizer, options.data, 128),
            lambda: map_tagging(files, tokenizer, known["panx"].labels, 128),
        ),
        "SQuAD train": (
            lambda: load_and_encode("squad_v1", "train", ["en"], tokenizer, options.data, 384),
            lambda: map_questions(squad, tokenizer, 384, 128),
        ),
    }
    results = []
    for name, (here_action, map_action) in cases.items():
        pairs = [(timed(here_action), timed(map_action)) for _ in range(REPEATS)]
        count = pairs[0][0][1]
        here, there = (round(statistics.median(count / pair[side][0] for pair in pairs)) for side in (0, 1))
        ratios = sorted(round(pair[1][0] / pair[0][0], 2) for pair in pairs)
        results.append({"case": name, "rows": count, "rows_per_s": here, "map_rows_per_s": there, "ratios": ratios})
        print(f"{name}: {count:,} examples, {here:,} examples/s here, {there:,} examples/s with map, "
              f"ratio {statistics.median(ratios):.2f} ({ratios[0]} to {ratios[-1]})", flush=True)  # fmt: skip
    if options.json:
        origin = {"command": "python benchmarks/bench_loading.py --data DIR",
                "machine": platform.processor() or platform.machine(), "datasets": datasets.__version__}  # fmt: skip
        options.json.write_text(json.dumps({**origin, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
