"""Peak memory of fine-tuning a base-size encoder with a vocabulary of 250,002, updates of 8 sequences: this package
against Hugging Face Trainer, each in a process of its own.

    python benchmarks/bench_memory.py
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_training import make_data, our_seconds, trainer_seconds

SHAPE = {"hidden": 768, "layers": 12, "vocabulary": 250_002, "updates": 2, "size": 8, "task": "mnli", "device": "cpu"}
SIDES = ("here", "trainer")


def peak_of(side: str) -> float:
    """Peak resident memory of one side, in GiB."""
    output = subprocess.run([sys.executable, __file__, "--side", side], check=True, capture_output=True, text=True)
    return float(output.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", choices=SIDES, help="run this side and print its peak")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.side:
        shape = argparse.Namespace(**SHAPE)
        with tempfile.TemporaryDirectory() as folder:
            if options.side == "here":
                our_seconds(make_data(shape), shape, Path(folder))
            else:
                trainer_seconds(make_data(shape), shape, False, Path(folder))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    peaks = {side: round(peak_of(side), 2) for side in SIDES}
    ratio = round(peaks["here"] / peaks["trainer"], 2)
    print(f"peak memory: here {peaks['here']} GiB, Trainer {peaks['trainer']} GiB, {ratio} of it")
    if options.json:
        result = {"command": "python benchmarks/bench_memory.py", "machine": platform.processor() or platform.machine()}
        options.json.write_text(json.dumps({**result, **SHAPE, "peak_gib": peaks, "ratio": ratio}, indent=1) + "\n")


if __name__ == "__main__":
    main()
