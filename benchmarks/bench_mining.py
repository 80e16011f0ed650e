"""The four nearest neighbours in both directions: one product here, against two flat searches.

    python benchmarks/bench_mining.py [--rows 50000]

The flat searches are faiss's IndexFlatIP if faiss is installed (`pip install faiss-cpu`), else a product in float32
and a top-k per block and direction. Vectors form clusters, as sentence embeddings do. Both must find the same.
"""

import argparse
import json
import platform
import statistics
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from xstilts.randomness import generator
from xstilts.tasks.neighbours import BLOCK, bfloat16_pays, neighbours, unit

K = 4


def make_vectors(rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sides of unit vectors around 500 centres, half of them translations of each other."""
    rng = generator("vectors")
    centres = rng.standard_normal((500, width), dtype=np.float32)
    source = centres[rng.integers(0, 500, rows)] + rng.standard_normal((rows, width), dtype=np.float32)
    target = centres[rng.integers(0, 500, rows)] + rng.standard_normal((rows, width), dtype=np.float32)
    target[: rows // 2] = source[: rows // 2] + 0.3 * rng.standard_normal((rows // 2, width), dtype=np.float32)
    return unit(source), unit(target)


def flat(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Similarities of the K nearest candidates of each query, float32 [n, K]."""
    if find_spec("faiss"):
        import faiss  # type: ignore[import-not-found,unused-ignore]

        index = faiss.IndexFlatIP(queries.shape[1])
        index.add(candidates)
        return np.asarray(index.search(queries, K)[0])
    x, y = torch.from_numpy(queries), torch.from_numpy(candidates)
    parts = [(x[i : i + BLOCK] @ y.T).topk(K, dim=1).values for i in range(0, len(x), BLOCK)]
    return torch.cat(parts).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rows", 20_000), ("width", 768), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    x, y = make_vectors(options.rows, options.width)
    seconds: dict[str, list[float]] = {"here": [], "two flat searches": []}
    for _ in range(options.repeats):
        begin = time.perf_counter()
        (forward, _), (backward, _) = neighbours(x, y, K)
        middle = time.perf_counter()
        there, back = flat(x, y), flat(y, x)
        seconds["here"].append(middle - begin)
        seconds["two flat searches"].append(time.perf_counter() - middle)
        assert np.allclose(forward, there, atol=1e-5) and np.allclose(backward, back, atol=1e-5)
    ratios = sorted(round(b / a, 2) for a, b in zip(*seconds.values(), strict=True))
    peer = "faiss" if find_spec("faiss") else "torch"
    medians = {name: round(statistics.median(values), 2) for name, values in seconds.items()}
    print(f"{options.rows:,} x {options.rows:,} x {options.width}: here {medians['here']} s, two flat searches "
          f"({peer}) {medians['two flat searches']} s, ratio {statistics.median(ratios)} "
          f"({ratios[0]} to {ratios[-1]})")  # fmt: skip
    if options.json:
        origin = {"command": f"python benchmarks/bench_mining.py --rows {options.rows}", "searches": peer,
                "machine": platform.processor() or platform.machine(), "threads": torch.get_num_threads(),
                "bfloat16": bfloat16_pays()}  # fmt: skip
        result = {**origin, "rows": options.rows, "seconds": medians, "ratios": ratios}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
