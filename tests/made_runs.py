"""Simulated run folders with known gains, for the tests of everything that reads runs."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.claims import NINE
from xstilts.runs.reader import read_run
from xstilts.runs.verify import plan_hash, seal
from xstilts.tasks.xtreme import TARGETS

HELD_OUT = ["fi", "tr", "sw"]
LANGUAGES = ["en", "de", *HELD_OUT]
LARGE = "FacebookAI/xlm-roberta-large"
SINGLES = {task: {"intermediate": task} for task in NINE}
EVERYTHING = {
    "none": {},
    **SINGLES,
    "multi": {"intermediate": "several"},
    "mnli-mlm": {"intermediate": "mnli", "mlm": {"corpus": "text", "share": 0.2}},
    "mnli-translated": {"intermediate": "mnli", "translated": "m2m100", "languages": "diverse"},
    "far": {"intermediate": "mnli", "languages": "far", "count": 1},
    "near": {"intermediate": "mnli", "languages": "near", "count": 1},
}
RETRIEVAL = ("bucc2018", "tatoeba")
PHASE = {"languages": ["en"], "comparison_group": "all", "examples": 400, "updates": 25, "tokens": 9000,
         "first_loss": 1.1, "loss": 0.2, "dev_score": 80.0}  # fmt: skip


def gain_of(arm, target):
    """Gains in points with which every claim is true."""
    if arm == "none":
        return 0
    if arm in ("far", "near"):
        return 9 if arm == "far" else 4
    if target == "xnli":
        return 0
    usual = 28 if target in RETRIEVAL else 12
    return usual + {"multi": 6, "mnli-mlm": -3, "mnli-translated": -3}.get(arm, 0)


def make_run(
    folder, arms=None, targets=tuple(TARGETS), gain=gain_of, noise=0.0, load=LARGE, replicates=3, items=100, seeds=1,
    baseline=None, rng=None,
):  # fmt: skip
    """A run folder whose arms score 40 + gain(arm, target) points, with a standard deviation of `noise` between cells.

    seeds: pretraining seeds of the encoder; baseline: the score of trivial predictions, None for no baseline; rng: of
    the noise, by default the same for every run. Every target is scored as classification.
    """
    arms = EVERYTHING if arms is None else arms
    entry = {"load": load, "seeds": seeds, "pretrain": None}
    encoders = ["enc"] if seeds == 1 else [f"enc-{seed}" for seed in range(1, seeds + 1)]
    trainings = {name: {"task": ""} for arm in arms.values() for name in [arm.get("intermediate")] if name}
    if "several" in trainings:
        trainings["several"] = {"mixture": dict.fromkeys(NINE, 1.0)}
    facts = {
        "name": "made", "question": "?", "seed": 1, "measure": "syntax", "primary": [], "contrasts": [], "controls": [],
        "level": 0.95, "equivalence": 1.0, "labels_withheld": [], "arms": arms,
        "roles": {name: arm.get("role", "arm") for name, arm in arms.items()},
        "tasks": {t: t for t in targets}, "types": dict.fromkeys(targets, "classification"),
        "metrics": dict.fromkeys(targets, "accuracy"), "also": {t: [] for t in targets}, "store": "", "examples": {},
        "encoder_steps": {},
    }  # fmt: skip
    plan = {
        "study": {"encoders": {"enc": entry}, "intermediate": trainings, "languages": {"anchor": "en"}},
        "held_out": HELD_OUT, "pool": ["de"], "evaluated": dict.fromkeys(targets, LANGUAGES), "warnings": [],
        "sources": {arm: {} for arm in arms}, "hash": "0", "device": "cpu", "precision": "fp32", "excluded": {},
        "distances": {}, "steps": [],
    }  # fmt: skip
    cells = [
        {"target": t, "arm": a, "encoder": e, "replicate": r, "training": PHASE}
        | ({"intermediate": PHASE} if arms[a] else {})
        for t in targets
        for a in arms
        for e in encoders
        for r in range(1, replicates + 1)
    ]
    (folder / "predictions").mkdir(parents=True)
    for name, content in (("study", facts), ("plan", plan), ("cells", cells)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    for target in targets:
        random = rng or np.random.default_rng(len(target))
        difficulty = {code: random.permutation(items) / items for code in LANGUAGES}
        scores = {
            (arm, encoder, replicate): 40 + gain(arm, target) + noise * random.normal()
            for arm in arms
            for encoder in encoders
            for replicate in range(1, replicates + 1)
        }
        if baseline is not None:
            scores["baseline", "", 0] = baseline
        pq.write_table(predictions(scores, difficulty), folder / "predictions" / f"{target}.parquet")
    return read_run(sealed(folder))


def sealed(folder):
    """A run folder that was changed, with the hashes of what it holds now, as if the study had written it so."""
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps(plan | {"hash": plan_hash(plan)}))
    seal(folder)
    return folder


def predictions(scores, difficulty):
    """A table of predictions by scores {(arm, encoder, replicate): points}; difficulty: language → [items], 0 to 1."""
    parts = []
    for (arm, encoder, replicate), points in scores.items():
        for code, ranks in difficulty.items():
            items, right = len(ranks), np.where(ranks < points / 100, "x", "y")
            parts.append(
                pa.table({
                    "arm": [arm] * items, "encoder": [encoder] * items, "replicate": [replicate] * items,
                    "language": [code] * items, "example_id": [f"{code}{i}" for i in range(items)],
                    "cluster_id": [str(i) for i in range(items)], "gold": ["x"] * items, "prediction": right,
                })
            )  # fmt: skip
    return pa.concat_tables(parts)
