"""Fill the disk while `study`, `train`, `predict` and `transfer rank` write, make room, and run the same command again.

    python benchmarks/disk_full.py [--trials 24] [--seed 1] [--json FILE]

Everything that a command writes, its temporary folder included, lies on a small file system in memory of which a
random part is free; some trials limit the size of a file instead. Each command must end with one message of three
lines and no traceback, leave no temporary files and keep what is finished. With room, the same command must succeed,
with results equal to those of a disk that was never full. Linux and root, to mount. About a quarter of an hour.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kills import contents, leftovers
from tiny_studies import write_study
from xstilts.runs.events import origin

SIZE = 64 * 2**20
"""Bytes of the small file system."""
Result = Callable[[Path], dict[str, bytes]]


def files_below(*names: str) -> Result:
    """What a command wrote: the bytes of these files, and of all files in these folders."""
    return lambda folder: {
        str(path.relative_to(folder)): path.read_bytes()
        for name in names
        for path in [folder / name, *(folder / name).rglob("*")]
        if path.is_file()
    }


def commands(place: Path) -> dict[str, tuple[list[str], Result]]:
    """The commands with what is compared, and the files that they read, in a folder."""
    words = write_study("classification", place / "study/killed")
    made = place / "made"
    made.mkdir()
    rows = "".join(f"{'good' if i % 2 else 'bad'} thing {i},{'yes' if i % 2 else 'no'}\n" for i in range(60))
    (made / "data.csv").write_text("text,label\n" + rows)
    (made / "long.csv").write_text("text\n" + "a good thing\na bad thing\n" * 3000)
    return {
        "study": (words, lambda folder: contents(folder / "runs")),
        "train": (
            ["train", "data.csv", "--for", "sw", "--encoder", str(place / "encoder"), "--epochs", "1", "-o", "model",
             "--jobs", "1"],
            files_below("model/model.safetensors", "model/config.json", "model/tokenizer.json"),
        ),
        "predict": (["predict", str(place / "model"), "long.csv", "-o", "long.jsonl"], files_below("long.jsonl")),
        "transfer rank": (["transfer", "rank", "--for", "sw,th", "--out", "scores.csv"], files_below("scores.csv")),
    }  # fmt: skip


def run(words: list[str], folder: Path, limit: int = 0) -> tuple[int, str]:
    def limited() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "COLUMNS": "100"}
    command = [sys.executable, "-m", "xstilts", *words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, preexec_fn=limited, errors="replace"
    )
    return done.returncode, done.stdout + done.stderr


def wrong_with(status: int, printed: str, folder: Path) -> list[str]:
    """What is wrong with a command that could not write."""
    wrong = [f"exit status {status}"] if status not in (2, 3, 4) else []
    if "Traceback" in printed or "unexpected" in printed:
        wrong.append("a traceback or an unexpected error")
    if not ("error:" in printed and "why:" in printed and "hint:" in printed):
        wrong.append("no message of three lines")
    if not any(text in printed for text in ("space", "too large", "full")):
        wrong.append("it does not say that the disk is full")
    parts = [*folder.rglob(".*.part"), *folder.glob("runs/store/temporary/*"), *folder.glob("tmp/*")]
    wrong += [f"{path.relative_to(folder)} is left" for path in parts if "torchinductor_" not in path.name]
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng, place = random.Random(options.seed), Path(tempfile.mkdtemp(prefix="disk-full-"))
    todo, rows = commands(place), list[dict[str, Any]]()
    expected: dict[str, dict[str, bytes]] = {}
    needed: dict[str, int] = {}
    for name, (words, result) in todo.items():  # the model of `train` is that of `predict`
        folder = place / "reference" / name
        shutil.copytree(place / ("study/killed" if name == "study" else "made"), folder)
        before = used(folder)
        status, printed = run(words, folder)
        assert status == 0, printed
        needed[name], expected[name] = used(folder) - before, result(folder)
        if name == "study":
            (pretrained,) = (m.parent for m in folder.glob("runs/store/results/*/*/manifest.json")
                             if json.loads(m.read_bytes())["step"]["kind"] == "pretrain")  # fmt: skip
            shutil.copytree(pretrained, place / "encoder")
        if name == "train":
            shutil.copytree(folder / "model", place / "model")
    disk = place / "disk"
    disk.mkdir()
    for trial in range(options.trials):
        name = ("study", "study", "train", "predict", "study", "transfer rank")[trial % 6]
        words, result = todo[name]
        by_limit = trial % 4 == 3 and name != "transfer rank"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", disk], check=True)
        try:
            folder = disk / "killed"
            shutil.copytree(place / ("study/killed" if name == "study" else "made"), folder)
            free = int(needed[name] * rng.uniform(0.0, 0.95))
            ballast = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - (SIZE if by_limit else free)
            if ballast > 0:
                (disk / "ballast").write_bytes(b"x" * ballast)
            status, printed = run(words, folder, 4096 * rng.randrange(1, 40) if by_limit else 0)
            row: dict[str, Any] = {"command": name, "fault": "file size" if by_limit else "no space", "status": status}
            row["wrong"] = wrong_with(status, printed, folder) if status else []
            (disk / "ballast").unlink(missing_ok=True)
            if status:
                row["message"] = printed[-500:]
                again, printed = run(words, folder)
                row["wrong"] += [f"run again: exit status {again}: {printed[-500:]}"] if again else []
            if result(folder) != expected[name]:
                row["wrong"].append("the result differs")
            left = leftovers(folder / "runs", folder / "tmp")
            row["wrong"] += [f"{path.relative_to(folder)} is left at the end" for path in left]
        finally:
            subprocess.run(["umount", disk], check=True)
        rows.append(row)
        print(json.dumps(row), flush=True)
    outcome = {
        "command": f"python benchmarks/disk_full.py --trials {options.trials} --seed {options.seed}",
        "machine": origin()["machine"],
        "versions": origin()["versions"],
        "trials": len(rows),
        "by_command": dict(Counter(f"{row['command']}, {row['fault']}" for row in rows)),
        "succeeded_at_once": sum(not row["status"] for row in rows),
        "failures": [row for row in rows if row["wrong"]],
    }
    if options.json:
        options.json.write_text(json.dumps(outcome, indent=1) + "\n")
    shutil.rmtree(place)
    sys.exit(f"{len(outcome['failures'])} failures" if outcome["failures"] else 0)


def used(folder: Path) -> int:
    """Bytes that the files of a folder take, in pages of 4096."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
