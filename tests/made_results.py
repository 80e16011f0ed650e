"""A result of an analysis, made by hand, for the tests of everything that shows results."""

from typing import Any

DISTANCES = {"en": 0.0, "de": 0.11, "sw": 0.43, "es": 0.13, "tr": 0.42, "qu": None}
HELD_OUT = ["es", "tr", "qu"]
SHIFT = {"baseline": 0.0, "none": 5.0, "english": 6.0, "far": 9.25, "english-again": 6.5, "in-language": 14.0}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def effect(estimate: float, half: float, **more: Any) -> dict[str, Any]:
    return {**more, "estimate": estimate, "low": estimate - half, "high": estimate + half, "level": 0.975,
            "degrees": 5.0, "replicates": 6, "clusters": 400, "replicate_variance": 0.2, "cluster_variance": 0.2,
            "shared_variance": 0.1}  # fmt: skip


def judged(contrast: str, word: str, estimate: float, half: float) -> dict[str, Any]:
    left, right = contrast.split(" - ")
    parts = [effect(estimate, half, encoder="tiny"), effect(estimate, half, target="xnli"),
             effect(estimate, half, target="classification tasks: xnli, pawsx")]  # fmt: skip
    sentence = f"'{left}' against '{right}' is {word}: {estimate:+.1f} points, for this encoder."
    decision = {"half": 0.25, "replicates": 40, "floor": 0.1, "clusters": None, "text": "It takes 40 replicates."}
    runs = {"probability": 0.75, "sd_left": 1.0, "sd_right": 1.0, "sd_difference": 1.5}
    return effect(estimate, half, contrast=contrast, left=left, right=right, targets=["xnli"], verdict=word,
                  sentence=sentence, parts=parts, random_languages={"refused": "3 families"}, bootstrap=None, runs=runs,
                  decision=decision if word == "undetermined" else None)  # fmt: skip


def made_result() -> dict[str, Any]:
    """The result of an analysis, with something in every part of it."""
    arms = {"none": {}, "english": {"intermediate": "nli"},
            "far": {"intermediate": "nli", "languages": "far", "count": 1},
            "english-again": {"intermediate": "nli", "role": "control", "independent": True},
            "in-language": {"intermediate": "nli", "languages": "held-out", "role": "control"}}  # fmt: skip
    verdicts = [judged("far - english", "better", 3.25, 1.13), judged("english - none", "undetermined", 1.0, 4.5)]
    controls = [judged("english-again - english", "undetermined", 0.5, 3.0),
                judged("in-language - english", "better", 8.0, 2.0)]  # fmt: skip
    trained = {"languages": ["en"], "examples": 600, "updates": 19, "tokens": 10713, "loss": 1.08, "dev_score": 45.25,
               "curve": [[10, 1.1], [19, 1.08]]}  # fmt: skip
    return {
        "study": {
            "name": "tiny", "question": "Does distance help?", "seed": 7, "equivalence": 0.5, "level": 0.95,
            "measure": "syntax", "primary": ["xnli"], "contrasts": [v["contrast"] for v in verdicts],
            "controls": [v["contrast"] for v in controls], "metrics": {"xnli": "accuracy"},
            "roles": {name: arm.get("role", "arm") for name, arm in arms.items()},
            "types": {"xnli": "classification"}, "labels_withheld": [], "arms": arms,
        },
        "plan": {
            "study": {"languages": {"anchor": "en"}}, "device": "cpu", "precision": "fp32", "pool": ["de", "sw"],
            "held_out": HELD_OUT, "excluded": {"qu": "no feature observed in both"}, "distances": DISTANCES,
            "sources": {"none": {}, "english": {"tiny:1": ["en"], "tiny:2": ["en"]},
                        "far": {"tiny:1": ["sw"], "tiny:2": ["de"]}},
            "evaluated": {"xnli": list(DISTANCES)}, "warnings": ["both are NLI"], "hash": "0123abcd",
            "steps": ["a", "b"],
        },
        "encoders": ["tiny"], "held_out": HELD_OUT, "missing": [], "answer": "Distance matters here.",
        "verdicts": verdicts, "controls": controls,
        "scores": [
            {"target": "xnli", "metric": "accuracy", "arm": arm, "language": code, "held_out": code in HELD_OUT,
             "mean": 36.5 + shift + place, "sd": None if arm == "baseline" else 1.5,
             "replicates": 1 if arm == "baseline" else 6}
            for arm, shift in SHIFT.items() for place, code in enumerate(DISTANCES)
        ],
        "also": [
            {"target": "xnli", "metric": "macro_f1", "arm": arm, "language": code, "held_out": code in HELD_OUT,
             "mean": 33.0 + shift, "sd": None, "replicates": 1}
            for arm, shift in SHIFT.items() for code in DISTANCES
        ],
        "runs": [
            {"target": "xnli", "arm": arm, "encoder": "tiny", "replicate": replicate, "score": 40.0 + shift + replicate}
            for arm, shift in SHIFT.items() if arm != "baseline" for replicate in (1, 2)
        ],
        "baselines": [
            effect(shift, 5.5, target="xnli", arm=arm, baseline="majority class", floor=36.5, beaten=shift > 5.5)
            for arm, shift in SHIFT.items() if arm != "baseline"
        ],
        "languages": [
            effect(v["estimate"], 3.0, contrast=v["contrast"], target="xnli", language=code, held_out=code in HELD_OUT)
            for v in [*verdicts, *controls] for code in DISTANCES
        ],
        "breakdowns": [
            {"target": "xnli", "column": "genre", "value": "letters", "languages": HELD_OUT, "examples": 12,
             "arms": {"english": 51.25, "far": 47.75}, "contrasts": {"far - english": effect(-3.5, 2.0),
             "english - none": None}},
        ],
        "distance": [
            {"contrast": v["contrast"], "targets": ["xnli"], "rho": 0.5, "p": 0.31, "permutations": 6, "points": [
                {"language": code, "gain": 2.0, "low": -1.0, "high": 5.0, "distance": DISTANCES[code],
                 "from_anchor": DISTANCES[code]}
                for code in HELD_OUT], "measure": "syntax", "adjusted": [], "slopes": [
                    {"measure": "syntax", "with": [], "languages": 3, "missing": "3 languages are not enough"}],
             "joint": {"with": ["same script"], "languages": 12, "slope": 1.5, "low": -0.5, "high": 3.5, "p": 0.04}}
            for v in verdicts
        ],
        "selection": [{"target": "xnli", "arm": "far", "mean": 50.0, "by_dev": 50.5, "oracle": 52.25}],
        "degenerate_runs": [{"target": "xnli", "arm": "far", "phase": "training", "runs": 6, "degenerate": 2,
                             "retried": 2, "degenerate_after_retry": 1}],
        "by_oracle": {"verdicts": [judged("far - english", "better", 4.25, 1.5)], "scores": [], "checkpoints": [
            {"target": "xnli", "arm": "far", "kept": 50.0, "oracle": 53.75, "replicates": 6}]},
        "after_retry": {"verdicts": [judged("far - english", "better", 4.75, 1.0)], "scores": []},
        "budgets": [
            {"target": "xnli", "arm": "none", "encoder": "tiny", "replicate": 1, "training": trained},
            {"target": "xnli", "arm": "english", "encoder": "tiny", "replicate": 1, "intermediate": trained,
             "training": trained},
            {"target": "xnli", "arm": "far", "encoder": "tiny", "replicate": 1,
             "intermediate": {**trained, "updates": 25, "dev_score": None}, "training": trained},
        ],
    }  # fmt: skip
