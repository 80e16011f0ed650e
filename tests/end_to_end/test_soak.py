"""Long proofs, run by `make soak`: the controls of the offline study over twenty study seeds, and what kills, full
disks, damaged files and random inputs do (an hour each on two cores)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = 20
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.soak
def test_the_controls_of_the_offline_study_come_out_as_they_must(tmp_path):
    out = tmp_path / "controls.json"
    script = BENCHMARKS / "pocket_controls.py"
    subprocess.run([sys.executable, script, "--seeds", str(SEEDS), "--out", tmp_path, "--json", out], check=True)
    found = json.loads(out.read_text())
    assert found["english_again_better_or_worse"] <= 3
    assert found["in_language_better"] == SEEDS


@pytest.mark.soak
@pytest.mark.parametrize(
    "command",
    [
        ("kills.py", "--kills", "90"),
        ("kills.py", "--kills", "36", "--clock-jumps"),
        ("disk_full.py", "--trials", "12"),
        ("corruption.py",),
        ("fuzz.py",),
    ],
    ids=" ".join,
)
def test_nothing_is_lost_and_nothing_wrong_comes_out(tmp_path, command):
    if command[0] in ("disk_full.py", "corruption.py") and os.geteuid():
        pytest.skip("mounting a disk and giving up a right need root")
    out = tmp_path / "faults.json"
    script, *options = command
    done = subprocess.run([sys.executable, BENCHMARKS / script, *options, "--json", out], cwd=BENCHMARKS)
    assert done.returncode == 0 and json.loads(out.read_text())["failures"] == []
