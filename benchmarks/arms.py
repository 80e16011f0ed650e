"""Every arm of a finished run with its effect: held-out mean, and the difference from the arms `none` and `english`.

    xstilts study pocket-arms
    python benchmarks/arms.py runs/pocket-arms [--json FILE]

Each interval has the study's level, without adjustment for multiple comparisons: they are exploratory. The verdicts on
the declared contrasts are printed, too.
"""

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xstilts.analysis.effects import compare_arms, effect
from xstilts.runs.reader import Run, read_run

REFERENCES = ("none", "english")


def effects(run: Run, target: str) -> list[dict[str, Any]]:
    """The arms of one target, the best first."""
    table = run.score_table(target)
    codes = [code for code in run.plan["held_out"] if code in table.clusters]
    rows = []
    for arm in (arm for arm in run.arms if table.cells(arm)):
        scores = [table.score(cell, code) for cell in table.cells(arm) for code in codes]
        row: dict[str, Any] = {"target": target, "arm": arm, "held_out_mean": round(float(np.mean(scores)), 2)}
        for reference in (name for name in REFERENCES if name != arm and table.cells(name)):
            found = effect(compare_arms(run, arm, reference, [target]))
            row[f"minus_{reference}"] = [round(v, 2) for v in (found.estimate, found.low, found.high)]
        rows.append(row)
    return sorted(rows, key=lambda row: -row["held_out_mean"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    run = read_run(options.run)
    analysis = json.loads((options.run / "analysis.json").read_text())
    rows = [row for target in run.labelled for row in effects(run, target)]
    kept = ("contrast", "estimate", "low", "high", "verdict")
    result = {
        "command": f"python benchmarks/arms.py {options.run.name}",
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "replicates": analysis["plan"]["study"]["replicates"],
        "encoders": run.encoders,
        "held_out": run.plan["held_out"],
        "verdicts": [{k: v[k] for k in kept} for v in (*analysis["verdicts"], *analysis["controls"])],
        "arms": rows,
    }
    for row in rows:
        told = [f"{name.replace('_', ' ')} {v[0]:+.1f} [{v[1]:+.1f}, {v[2]:+.1f}]" for name, v in row.items()
                if name.startswith("minus")]  # fmt: skip
        print(f"{row['target']:16}{row['arm']:18}{row['held_out_mean']:6.1f}  {'   '.join(told)}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
