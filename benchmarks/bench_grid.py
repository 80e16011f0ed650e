"""What planning and real lengths save on the grid of Phang et al. 2020: nine intermediate tasks, all nine at once and
none, before the nine targets of XTREME, three replicates, XLM-R Large. Nothing is trained: it is counted from the plan.

    python benchmarks/bench_grid.py [--json FILE]

Training runs are those of one pipeline per cell against the plan's. FLOPs are those of a careful user, who trains each
intermediate model once but pads every sequence to the maximum length, against the plan's with the lengths of real data
(src/xstilts/costs/sizes.yaml): at the maximum lengths of the authors' guide (256 tokens, 384 for questions), and with
those of XTREME's baseline (128) for the targets and MNLI. Multi-task training is priced by its description: as many
examples as its nine tasks have together. Every intermediate training has two epochs.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from xstilts.config.load import load_study
from xstilts.costs.devices import rates
from xstilts.costs.estimate import Estimate, estimates
from xstilts.study.freeze import freeze
from xstilts.study.overview import bill
from xstilts.study.plan import build_plan
from xstilts.study.steps import StudyPlan

INTERMEDIATE = ("anli_plus", "mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "ccg", "cosmosqa", "commonsenseqa")
TRAINED_ON = {"xnli": "mnli", "xquad": "squad_v1", "mlqa": "squad_v1"}
TARGETS = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa")
MULTI = "all-nine"
LENGTHS = {"authors' guide": {}, "XTREME's baseline": dict.fromkeys(("mnli", "pawsx", "udpos", "panx", "xnli"), 128)}
REPLICATES = 3


def study() -> dict[str, Any]:
    """The grid as a study."""
    recipe = {"learning_rate": 1e-5}
    return {
        "name": "grid", "question": "which intermediate task helps?", "replicates": REPLICATES,
        "languages": {"always_held_out": ["de", "es", "fr", "ja", "ko", "zh"], "held_out": 0.5},
        "encoders": {"xlmr": {"load": "FacebookAI/xlm-roberta-large"}},
        "intermediate": {
            **{name: {"epochs": 2, "recipe": recipe} for name in INTERMEDIATE},
            MULTI: {"mixture": dict.fromkeys(INTERMEDIATE, 1.0), "recipe": recipe},
        },
        "arms": {"none": {}, **{name.replace("_", "-"): {"intermediate": name} for name in (*INTERMEDIATE, MULTI)}},
        "targets": {
            **{name: {"training": {"recipe": recipe, **({"task": TRAINED_ON[name]} if name in TRAINED_ON else {})}}
               for name in TARGETS},
            "tatoeba": {"layers": [14]}, "bucc2018": {"layers": [14], "dev": "dev"},
        },
        "primary": ["xnli"], "contrasts": ["mnli - none"],
    }  # fmt: skip


def planned() -> StudyPlan:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "grid.yaml"
        file.write_text(yaml.safe_dump(study()))
        return build_plan(freeze(load_study(str(file)), None, "cuda", allow_few=True))


def training_flops(plan: StudyPlan, prices: dict[str, Estimate]) -> float:
    """FLOPs of all training runs."""
    return sum(prices[f].flops for f, step in plan.plan.steps.items() if step.kind == "train")


def shortened(plan: StudyPlan, lengths: dict[str, int]) -> StudyPlan:
    """The plan with other maximum lengths, for pricing alone: fingerprints keep their places."""
    for step in plan.plan.steps.values():
        for task in step.arguments["tasks"].values() if step.kind == "train" else ():
            task["max_length"] = lengths.get(task["task"]["name"], task["max_length"])
    return plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    plan = planned()
    cost = bill(plan, plan.estimates, (), 1)
    naive, runs = cost["naive_runs"], cost["training_runs"]
    print(f"training runs: {naive} with one pipeline per cell, {runs} planned: {naive / runs:.2f} times fewer")
    result: dict[str, Any] = {"command": "python benchmarks/bench_grid.py", "naive_runs": naive, "training_runs": runs,
                              "runs_ratio": round(naive / runs, 2), "padded_to": {}}  # fmt: skip
    for name, lengths in LENGTHS.items():
        shortened(plan, lengths)
        real, padded = (training_flops(plan, estimates(plan.plan, rates("h100"), padded=p)) for p in (False, True))
        ratio = padded / real
        print(f"FLOPs, padded to the lengths of {name}: {padded:.3g} against {real:.3g}: {ratio:.2f} times fewer")
        result["padded_to"][name] = {"padded_flops": padded, "flops": real, "ratio": round(ratio, 2)}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
