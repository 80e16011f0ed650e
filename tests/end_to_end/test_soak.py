"""Long proofs, run by `make soak`: the controls of the offline study over twenty study seeds (an hour on two cores)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = 20


@pytest.mark.soak
def test_the_controls_of_the_offline_study_come_out_as_they_must(tmp_path):
    script = Path(__file__).parents[2] / "benchmarks" / "pocket_controls.py"
    out = tmp_path / "controls.json"
    subprocess.run([sys.executable, script, "--seeds", str(SEEDS), "--out", tmp_path, "--json", out], check=True)
    found = json.loads(out.read_text())
    assert found["english_again_better_or_worse"] <= 3
    assert found["in_language_better"] == SEEDS
