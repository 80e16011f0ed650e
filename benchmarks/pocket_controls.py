"""The two controls of the offline study over many study seeds: each has its own split of languages, draws and data.

    python benchmarks/pocket_controls.py [--seeds 20] [--out DIR] [--json FILE]

The second English arm differs from the first only in its randomness: it should be called better or worse as often as
the error rate allows. The arm trained on the held-out languages should always be called better. Only the arms and the
target of the controls are trained: their steps, and so the controls, are those of the whole study. A seed takes one to
two minutes on two cores; what --out already holds is not repeated.
"""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

STUDY = """\
extends: pocket
arms: {none: null, near: null, far: null}
targets: {pocket-paws: null, pocket-tatoeba: null}
contrasts: [english-again - english, in-language - english]
controls: null
"""
"""The controls as contrasts, because a study has at least one; the level of two intervals is the same."""
DECISIVE = ("better", "worse")
KEPT = ("contrast", "estimate", "low", "high", "verdict")


def carried_out(seed: int, out: Path) -> dict[str, Any]:
    """What one study seed came to, from its run's analysis."""
    study, run = out / "controls.yaml", out / f"seed-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    study.write_text(STUDY)
    command = [sys.executable, "-m", "xstilts", "study", study, "--seed", str(seed), "--out", run]
    subprocess.run([*command, "--store", out / "store"], check=True, timeout=3600)
    analysis = json.loads((run / "analysis.json").read_text())
    return {
        "seed": seed,
        "plan": analysis["plan"]["hash"],
        "held_out": analysis["held_out"],
        "controls": [
            {k: round(v, 2) if isinstance(v, float) else v for k, v in row.items() if k in KEPT}
            for row in analysis["verdicts"]
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="study seeds 1 to N")
    parser.add_argument("--out", type=Path, default=Path("runs/controls"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seeds = [carried_out(seed, options.out) for seed in range(1, options.seeds + 1)]
    called = {
        name: [c["verdict"] for seed in seeds for c in seed["controls"] if c["contrast"].startswith(f"{name} - ")]
        for name in ("english-again", "in-language")
    }
    result = {
        "command": f"python benchmarks/pocket_controls.py --seeds {options.seeds}",
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "english_again_better_or_worse": sum(word in DECISIVE for word in called["english-again"]),
        "in_language_better": called["in-language"].count("better"),
        "seeds": seeds,
    }
    print(f"of {len(seeds)} study seeds: the second English arm better or worse "
          f"{result['english_again_better_or_worse']} times, the arm trained on the held-out languages better "
          f"{result['in_language_better']} times")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
