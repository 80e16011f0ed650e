"""`xstilts predict` on a file, against a `transformers` pipeline on the same rows, and the memory that it takes.

    python benchmarks/predict_file.py MODEL FILE --rows 2000
    python benchmarks/predict_file.py MODEL FILE --rows 1000000 --memory

MODEL is a folder that `xstilts train` wrote for texts, FILE its data: rows are repeated until there are enough, with
numbers, so that no two texts are equal. The pipelines read lists of 32 texts a batch, truncated as the model does,
in float32 (the default) and in bfloat16 if that is what `predict` chooses here; every side starts from texts in memory
and ends with label and score of each. Runs alternate; seconds are medians. With `--memory` the file is only predicted,
and the peak memory of the process is noted each hundred thousand rows.
"""

import argparse
import resource
import statistics
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
import transformers

from bench_training import now, write
from xstilts import load
from xstilts.models.hardware import choose_precision
from xstilts.workflows.predict_file import predict_file
from xstilts.workflows.user_data.tables import read_table

BATCH, NOTED = 32, 100_000


def texts_of(model: Any, file: Path, count: int) -> list[str]:
    """`count` texts of a file, each with its number."""
    column = read_table(file)[model.inputs["text_a"]].to_pylist()
    return [f"{text} {number}" for number, text in enumerate(islice(cycle(column), count))]


def pipeline_of(folder: Path, length: int, dtype: Any) -> Callable[[list[str]], list[tuple[str, float]]]:
    """A text classifier as a careful user sets it up."""
    made = transformers.pipeline("text-classification", model=str(folder), dtype=dtype, device="cpu")

    def classify(texts: list[str]) -> list[tuple[str, float]]:
        rows = made(texts, batch_size=BATCH, truncation=True, max_length=length)
        return [(row["label"], row["score"]) for row in rows]

    return classify


def memory(model: Any, texts: list[str], folder: Path) -> dict[str, Any]:
    """Peak memory in MiB by the number of rows that are done, and rows a second."""
    source = folder / "texts.txt"
    source.write_text("\n".join(text.replace("\n", " ") for text in texts) + "\n")
    texts.clear()
    peaks: dict[int, float] = {}

    def note(rows: int) -> None:
        if rows // NOTED > len(peaks) - 1:
            peaks[rows] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)

    begin = now()
    rows = predict_file(model, source, folder / "out.jsonl", progress=note)
    return {"rows": rows, "rows_per_second": round(rows / (now() - begin)), "peak_mib": peaks}


def speed(model: Any, texts: list[str], repeats: int) -> dict[str, Any]:
    """Seconds of every side, and the shares of rows whose labels are those of `predict`."""
    sides: dict[str, Callable[[list[str]], Any]] = {"predict": lambda rows: model.predict(rows, scores=True)}
    dtypes = {"pipeline fp32": torch.float32}
    dtypes |= {"pipeline bf16": torch.bfloat16} if choose_precision("cpu") == "bf16" else {}
    sides |= {name: pipeline_of(model.folder, model.task.max_length, dtype) for name, dtype in dtypes.items()}
    results = {name: side(texts[:BATCH]) for name, side in sides.items()}  # weights are read, kernels chosen
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            begin = now()
            results[name] = side(texts)
            seconds[name].append(now() - begin)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    pairs = {name: zip(results[name], results["predict"], strict=True) for name in dtypes}
    same = {name: sum(a == b for (a, _), (b, _) in each) / len(texts) for name, each in pairs.items()}
    return {
        "rows": len(texts),
        "seconds": {name: round(value, 2) for name, value in medians.items()},
        "times_as_fast": {name: round(medians[name] / medians["predict"], 2) for name in dtypes},
        "equal_labels": {name: round(share, 4) for name, share in same.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("file")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.set_defaults(device="cpu")
    options = parser.parse_args()
    model = load(options.model)
    texts = texts_of(model, Path(options.file), options.rows)
    with tempfile.TemporaryDirectory() as folder:
        result = memory(model, texts, Path(folder)) if options.memory else speed(model, texts, options.repeats)
    for name, value in result.items():
        print(f"{name}: {value}")
    if options.json:
        write(options, result)


if __name__ == "__main__":
    main()
