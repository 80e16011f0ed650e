"""Random changes of valid inputs: each is read, or refused with an error for the user, in bounded time and memory.

    python benchmarks/fuzz.py [--inputs 10000] [--first 20] [--surfaces NAME,NAME] [--json FILE]

Studies, tasks, data of every format, predictions, submissions, result tables, run folders, logs and command lines are
changed at random and read, as tests/fuzz/surfaces.py describes. Input n of a surface is always the same. A traceback,
an error without a reason or a hint, more than a minute or more than 4 GiB is a defect. `--inputs` is for each of the
ten surfaces; 100,000 in all take about an hour on one core.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from xstilts.runs.events import origin

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "fuzz")]

from surfaces import SURFACES  # noqa: E402
from test_fuzz import defects  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000, help="for each surface")
    parser.add_argument("--first", type=int, default=20, help="the number of the first; the tests read those before")
    parser.add_argument("--surfaces", default=",".join(SURFACES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seeds, rows, failures = range(options.first, options.first + options.inputs), {}, []
    for name in options.surfaces.split(","):
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = defects(name, seeds, Path(folder))
        rows[name] = {"inputs": len(seeds), "defects": len(found), "seconds": round(time.monotonic() - begun)}
        failures += [{"surface": name, "input": seed, "what": what} for seed, what in found.items()]
        print(name, rows[name], flush=True)
    result = {
        "command": f"python benchmarks/fuzz.py --inputs {options.inputs} --first {options.first}",
        "machine": origin()["machine"],
        "versions": origin()["versions"],
        "by_surface": rows,
        "failures": failures,
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(f"{len(failures)} defects" if failures else 0)


if __name__ == "__main__":
    main()
