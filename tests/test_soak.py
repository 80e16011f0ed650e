"""Long proofs, run by `make soak`: the controls of the offline study over twenty study seeds (an hour on two cores)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = range(1, 21)


@pytest.mark.soak
def test_the_controls_of_the_offline_study_come_out_as_they_must(tmp_path):
    program = Path(sys.executable).with_name("xstilts")
    verdicts = []
    for seed in SEEDS:
        out = tmp_path / f"run-{seed}"
        subprocess.run([program, "study", "pocket", "--seed", str(seed), "--out", out], check=True, timeout=3600)
        controls = json.loads((out / "analysis.json").read_text())["controls"]
        verdicts.append({control["left"]: control["verdict"] for control in controls})
    again = [v["english-again"] for v in verdicts]
    assert sum(word in ("better", "worse") for word in again) <= 3, again
    assert [v["in-language"] for v in verdicts] == ["better"] * len(SEEDS)
