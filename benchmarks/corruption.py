"""Damage every kind of file in a store, a run folder and a model, use it, and see whether that shows.

    python benchmarks/corruption.py [--seed 1] [--json FILE]

A file loses or changes bytes, becomes a folder or a link that leads nowhere, or cannot be read. Then the study runs
again, the report is made again, the model predicts. Each case has one outcome: `recomputed` (the damaged result was set
aside, or is made anew), `refused` (an error in words, and nothing is computed), `harmless` (equal results), `said` (the
report says what it cannot show), or a failure: `silent` (another result without a word) or `crashed` (a traceback or an
unexpected error). Root runs it without the right to read what it may not. About half an hour on two cores.
"""

import argparse
import importlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xstilts as xstilts_package
from kills import contents
from tiny_studies import write_study
from xstilts.cli import main as xstilts
from xstilts.engine import environment, read_steps
from xstilts.hashing import checksum, digest
from xstilts.runs.events import origin, read_events

HERE = Path(__file__).parent
IMPORTED = ("training.phases", "evaluation.retrieve", "report.write", "cli.progress", "workflows.predict_file")
"""What forks need not import again."""
RIGHTS = "-dac_override,-dac_read_search"
"""What root needs to read a file that it may not read."""
Damage = Callable[[Path, random.Random], object]


def flip(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes() or b"x")
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def truncate(file: Path, rng: random.Random) -> None:
    os.truncate(file, rng.randrange(max(1, file.stat().st_size)))


def to_folder(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.mkdir()


def to_dangling_link(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.symlink_to("nowhere")


DAMAGES: dict[str, Damage] = {
    "one bit flipped": flip,
    "truncated": truncate,
    "empty": lambda file, rng: os.truncate(file, 0),
    "a folder": to_folder,
    "a dangling link": to_dangling_link,
    "unreadable": lambda file, rng: file.chmod(0),
}


def fork(words: list[str], cwd: Path, log: Path) -> tuple[int, str]:
    """Runs a command line in a fork of this process; its exit status and what it printed."""
    log.write_text("")
    if not (pid := os.fork()):
        os.chdir(cwd)
        for number in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        sys.argv, status = ["xstilts", *words], 1
        try:
            xstilts()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status or 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), log.read_text()


def outcome(status: int, printed: str, equal: bool, recomputed: bool = False, said: bool = False) -> str:
    if "Traceback" in printed or status not in (0, 2, 3, 4) or "error: unexpected" in printed:
        return "crashed"
    if status:
        return "refused" if all(word in printed for word in ("error:", "why:", "hint:")) else "crashed"
    if not equal:
        return "said" if said else "silent"
    return "recomputed" if recomputed else "harmless"


class Cases:
    """The cases of all parts, and what came of them; each draws at random from a seed of its own, because the lengths
    of files, and with them what is drawn, are not the same in every run."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed, self.rng, self.rows = folder, seed, random.Random(seed), list[dict[str, Any]]()

    def begin(self, *case: object) -> None:
        self.rng = random.Random(f"{self.seed} {case}")

    def add(self, place: str, file: str, damage: str, result: str, printed: str = "") -> None:
        self.rows.append({"place": place, "file": file, "damage": damage, "outcome": result})
        if result in ("silent", "crashed"):
            print("FAILURE", self.rows[-1], printed[-1500:], flush=True)

    def copy(self, source: Path) -> Path:
        target = self.folder / "copy"
        if target.exists():
            shutil.rmtree(target)
        return Path(shutil.copytree(source, target, symlinks=True))


def run_study(words: list[str], folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "xstilts", *words, "--progress", "quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def kinds_of_files(made: Path) -> dict[tuple[str, str], list[Path]]:
    """The files of finished steps, below `made`, by the kind of their step and their name."""
    kinds: dict[tuple[str, str], list[Path]] = {}
    for manifest in sorted((made / "runs").glob("store/results/*/*/manifest.json")):
        kind = json.loads(manifest.read_bytes())["step"]["kind"]
        for file in sorted(path for path in manifest.parent.rglob("*") if path.is_file()):
            kinds.setdefault((kind, str(file.relative_to(manifest.parent))), []).append(file.relative_to(made))
    return kinds


def in_store(cases: Cases, made: Path, log: Path) -> None:
    """Each kind of file of a finished step; then this step and one that reads its result are run."""
    reference, steps = contents(made / "runs"), read_steps(made / "runs/tiny/steps.jsonl")[0].steps
    for (kind, name), files in kinds_of_files(made).items():
        for damage, change in DAMAGES.items():
            cases.begin(kind, name, damage)
            copy, file = cases.copy(made), cases.rng.choice(files)
            step = file.parts[4]
            users = [
                f for f, s in steps.items() if step in s.inputs.values() or (kind == "tokens" and s.kind == "train")
            ]
            user = cases.rng.sample(users, min(1, len(users)))
            for fingerprint in user:
                shutil.rmtree(copy / "runs/store/results" / fingerprint[:2] / fingerprint)
            change(copy / file, cases.rng)
            asked = [*([step] if step in steps else []), *user]
            status, printed = fork(["step", "--run", "runs/tiny", *asked], copy, log)
            found = contents(copy / "runs", {step}.difference(asked)) if status == 0 else {}
            equal = all(found.get(f) == reference[f] for f in asked) and found.items() <= reference.items()
            aside = (copy / "runs/store/damaged" / step).exists() or (damage == "a folder" and name == "manifest.json")
            cases.add(f"store: {kind}, step", name, damage, outcome(status, printed, equal, aside), printed)


def in_study(cases: Cases, made: Path, words: list[str]) -> None:
    """A file of every step at once; then the study runs again."""
    reference = contents(made / "runs")
    for damage, change in DAMAGES.items():
        cases.begin("study", damage)
        copy, chosen = cases.copy(made), dict[str, tuple[tuple[str, str], Path]]()
        for kind, files in kinds_of_files(made).items():
            if kind[0] != "tokens" and (free := [file for file in files if file.parts[4] not in chosen]):
                file = cases.rng.choice(free)
                chosen[file.parts[4]] = kind, copy / file
                change(copy / file, cases.rng)
        status, printed = run_study(words, copy)
        found = contents(copy / "runs") if status == 0 else {}
        missing = reference.keys() - found.keys()  # set aside, and the run needs none of it
        wrong = sorted({*(missing - chosen.keys()), *(name for name, _ in found.items() - reference.items())})
        session = read_events(copy / "runs/tiny")
        said = {event["step"] for event in session[-1000:] if event["event"] in ("damaged", "finished")}
        for step, (kind, _) in chosen.items():
            result = outcome(status, printed, not wrong, step in said)
            cases.add("store, study again", " ".join(kind), damage, result, f"{printed} differs: {wrong}")


def in_checkpoint(cases: Cases, made: Path, words: list[str]) -> None:
    """The checkpoint of a training that was killed; then the study goes on."""
    reference, often = contents(made / "runs"), HERE / "checkpoint_often.py"
    killed = Path(shutil.copytree(made, cases.folder / "killed"))
    shutil.rmtree(killed / "runs")
    for damage, change in DAMAGES.items():
        cases.begin("checkpoint", damage)
        checkpoints: list[Path] = []
        while not checkpoints:
            shutil.rmtree(killed / "runs", ignore_errors=True)
            process = subprocess.Popen(
                [sys.executable, often, *words, "--progress", "quiet"], cwd=killed, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            while process.poll() is None and not checkpoints:
                time.sleep(0.001)
                checkpoints = list(killed.glob("runs/store/scratch/*/checkpoint.safetensors"))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        copy = cases.copy(killed)
        change(copy / checkpoints[0].relative_to(killed), cases.rng)
        status, printed = run_study(words, copy)
        said = "because its checkpoint is of no use" in (copy / "runs/tiny/events.jsonl").read_text()
        found = contents(copy / "runs") if status == 0 else {}
        wrong = sorted({name for name, _ in found.items() ^ reference.items()})
        result = outcome(status, printed, not wrong, said)
        cases.add("store: scratch", "checkpoint.safetensors", damage, result, f"{printed} differs: {wrong}")


def without_time(run: Path, names: tuple[str, ...]) -> list[bytes]:
    """The content of files but for the minute in which the report was made."""
    return [re.sub(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC, with", b"", (run / name).read_bytes()) for name in names]


def in_run(cases: Cases, made: Path, log: Path) -> None:
    """Each file of a run folder; then the run is verified and its report made again."""
    run = made / "runs/tiny"
    names = [str(path.relative_to(run)) for path in sorted(run.rglob("*")) if path.is_file()]
    charts = [name for name in names if name.split("/")[0] in ("charts", "paper")]
    names = [name for name in names if name not in charts] + cases.rng.sample(charts, 3)
    copy = cases.copy(made)
    fork(["report", "runs/tiny"], copy, log)
    shown = ("analysis.json", "tables.csv", "report.html")
    expected = without_time(copy / "runs/tiny", shown)
    for name in names:
        for number, (damage, change) in enumerate([*DAMAGES.items(), *[("one bit flipped", flip)] * 2]):
            cases.begin("run", name, number)
            copy = cases.copy(made)
            change(copy / "runs/tiny" / name, cases.rng)
            status, printed = fork(["report", "runs/tiny"], copy, log)
            equal = not status and expected == without_time(copy / "runs/tiny", shown)
            page = b"" if status else (copy / "runs/tiny/report.html").read_bytes()
            said = b"was changed after the study wrote it" in page
            result = outcome(status, printed, equal, name in shown, said)
            cases.add("run folder, report", name, damage, result, printed)
            verified, printed = fork(["verify", "runs/tiny"], copy, log)
            if outcome(verified, printed, True) == "crashed":
                cases.add("run folder, verify", name, damage, "crashed", printed)


def in_model(cases: Cases, made: Path, log: Path) -> None:
    """Each file of a model of `train`; then it predicts."""
    (encoder,) = (m.parent for m in made.glob("runs/store/results/*/*/manifest.json")
                  if json.loads(m.read_bytes())["step"]["kind"] == "pretrain")  # fmt: skip
    place = cases.folder / "model"
    place.mkdir()
    rows = "".join(f"{'good' if i % 2 else 'bad'} thing {i},{'yes' if i % 2 else 'no'}\n" for i in range(60))
    (place / "data.csv").write_text("text,label\n" + rows)
    words = [
        "train",
        "data.csv",
        "--for",
        "sw",
        "--encoder",
        str(encoder),
        "--epochs",
        "1",
        "-o",
        "model",
        "--jobs",
        "1",
    ]
    subprocess.run([sys.executable, "-m", "xstilts", *words], cwd=place, check=True, capture_output=True)
    predict, expected = ["predict", "model", "data.csv", "-o", "predicted.jsonl"], b""
    names = sorted(path.name for path in (place / "model").iterdir() if path.is_file())
    for name in ["", *names]:
        for number, (damage, change) in enumerate([*DAMAGES.items(), *[("one bit flipped", flip)] * 2]):
            cases.begin("model", name, number)
            copy = cases.copy(place)
            if name:
                change(copy / "model" / name, cases.rng)
            status, printed = fork(predict, copy, log)
            if not name:
                assert status == 0, printed
                expected = (copy / "predicted.jsonl").read_bytes()
                break
            equal = status == 0 and (copy / "predicted.jsonl").read_bytes() == expected
            cases.add("model, predict", name, damage, outcome(status, printed, equal), printed)


def package_digest() -> str:
    """What tells whether the package that is tried has changed."""
    files = sorted(file for file in Path(xstilts_package.__file__).parent.rglob("*") if file.suffix in (".py", ".yaml"))
    return digest([[str(file), checksum(file)] for file in files])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", default="run,model,store,study,checkpoint")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ.update(environment(1))  # as in the workers of a study, before torch is imported
    status = Path("/proc/self/status").read_text().split("CapEff:")[1]
    if int(status.split()[0], 16) & 0b110:  # the two rights
        drop = ["setpriv", f"--bounding-set={RIGHTS}", f"--inh-caps={RIGHTS}"]
        os.execvp(drop[0], [*drop, sys.executable, *sys.argv])
    for name in IMPORTED:
        importlib.import_module(f"xstilts.{name}")
    folder, package = Path(tempfile.mkdtemp(prefix="corruption-")), package_digest()
    cases, made, log = Cases(folder, options.seed), folder / "made", folder / "log"
    words = write_study("classification", made)
    subprocess.run([sys.executable, "-m", "xstilts", *words], cwd=made, check=True, capture_output=True)
    parts: dict[str, Callable[[], None]] = {
        "run": lambda: in_run(cases, made, log),
        "model": lambda: in_model(cases, made, log),
        "store": lambda: in_store(cases, made, log),
        "study": lambda: in_study(cases, made, words),
        "checkpoint": lambda: in_checkpoint(cases, made, words),
    }
    for name in options.parts.split(","):
        parts[name]()
        print(name, Counter(row["outcome"] for row in cases.rows), flush=True)
    if package_digest() != package:
        sys.exit("the package was changed meanwhile: outcomes cannot be compared")
    table: dict[str, dict[str, dict[str, int]]] = {}
    for row in cases.rows:
        of_file = table.setdefault(row["place"], {}).setdefault(row["file"], {})
        of_file[row["outcome"]] = of_file.get(row["outcome"], 0) + 1
    result = {
        "command": f"python benchmarks/corruption.py --seed {options.seed}",
        "machine": origin()["machine"],
        "versions": origin()["versions"],
        "cases": len(cases.rows),
        "outcomes": dict(Counter(row["outcome"] for row in cases.rows)),
        "by_damage": {
            damage: dict(Counter(r["outcome"] for r in cases.rows if r["damage"] == damage)) for damage in DAMAGES
        },
        "by_file": table,
        "failures": [row for row in cases.rows if row["outcome"] in ("silent", "crashed")],
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    shutil.rmtree(folder)
    sys.exit(f"{len(result['failures'])} failures" if result["failures"] else 0)


if __name__ == "__main__":
    main()
