"""Kill `xstilts study` again and again, run it to its end, and compare it with a run that nothing interrupted.

    python benchmarks/kills.py [--kills 200] [--studies qa,retry] [--seed 1] [--clock-jumps] [--json FILE]

Each study of tiny_studies.py runs on a store of its own. At a random moment, or when a file appears that tells what the
study is doing, one of its processes or all of them get a signal; then the same command runs again. When it ends, the
predictions, budgets and analysis of its run folder and every file of its store must equal those of the reference byte
for byte, no process and no temporary file may be left, and the next round begins with an empty store. Linux only. 200
kills take about an hour on two cores.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tiny_studies import STUDIES, write_study
from xstilts.runs.events import origin

HERE = Path(__file__).parent
COMPARED = ("*/*.parquet", "cells.json", "left-out.json", "translations.json", "subwords.json", "tables.csv")
"""What must be equal in two run folders; study.json names the store, and the rest is made from these."""
ENDS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOMENTS: dict[str, tuple[str, ...]] = {
    "a result is written": ("store/temporary/*",),
    "a result is complete and not renamed": ("store/temporary/*/manifest.json",),
    "a checkpoint is written": ("store/scratch/*/checkpoint.partial",),
    "a checkpoint was written": ("store/scratch/*/checkpoint.safetensors",),
    "the run folder is written": ("tiny/.*.part", "tiny/*/.*.part"),
}
"""What a study is doing while a file of these patterns below `runs` exists."""
EARLY = "before the study starts"
"""While it plans; before that, while Python starts, a signal ends it without a word."""
RENAMED = "a result was renamed and its scratch is there"
DISCARDED = "a model is discarded"
PATIENCE = 30.0
"""Seconds within which all processes must have ended, on a machine that may be busy with other work."""


def processes(session: int) -> dict[int, tuple[int, str]]:
    """Parent and command line of each living process of a session, by its id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, _, of_session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(of_session) == session and state != "Z":
                found[int(folder.name)] = int(parent), (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def survivors(session: int) -> list[str]:
    """The command lines of processes of a session that have not ended in time."""
    end = time.monotonic() + PATIENCE
    while (left := processes(session)) and time.monotonic() < end:
        time.sleep(0.05)
    return [command for _, command in left.values()]


def workers(main: int) -> list[int]:
    """Processes that a study started to compute, and those that share one of their trainings."""
    return [pid for pid, (_, command) in processes(main).items() if "spawn_main" in command]


def reached(moment: str, runs: Path) -> Callable[[], object]:
    """A function that tells what shows that a study is at a moment now, if anything does."""
    if moment == RENAMED:
        return lambda: next(
            (s for s in runs.glob("store/scratch/*") if (runs / "store/results" / s.name[:2] / s.name).is_dir()), None
        )
    if moment == DISCARDED:
        return lambda: next(runs.glob("store/results/*/*/.*.part"), None)
    return lambda: next((file for pattern in MOMENTS[moment] for file in runs.glob(pattern)), None)


def wait_for(
    moment: str, runs: Path, process: Any, rng: random.Random, seconds: float, started: Callable[[], bool]
) -> str:
    """Waits for a moment of a study that has `started`, or for a random time below `seconds` if it is "any"; a moment
    that does not come within `seconds` is "any", too. The moment that came; "" if the process ended before."""
    end = time.monotonic() + (rng.uniform(0.3, seconds) if moment == "any" else seconds)
    look = reached(moment, runs) if moment != "any" else lambda: None
    skipped, before = rng.choice((0, 0, 0, 1, 2, 4)), None
    while process.poll() is None and time.monotonic() < end:
        now = look() if started() else None
        if now and now != before:
            if not skipped:
                time.sleep(rng.choice((0.0, 0.0, 0.002, 0.02)))
                return "" if process.poll() is not None else moment
            skipped -= 1
        before = now
        time.sleep(0.01 if moment == "any" else 0.0005)
    return "" if process.poll() is not None else "any"


class Trial:
    """One study that is killed again and again in a folder, next to its uninterrupted reference."""

    def __init__(self, name: str, folder: Path, rng: random.Random) -> None:
        self.name, self.folder, self.rng = name, folder, rng
        self.words = write_study(name, folder / "killed")
        self.environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "COLUMNS": "100"}
        (folder / "tmp").mkdir()
        write_study(name, folder / "reference")
        begin = time.monotonic()
        command = [sys.executable, "-m", "xstilts", *self.words, "--progress", "quiet"]
        subprocess.run(command, cwd=folder / "reference", check=True, env=self.environment, capture_output=True)
        self.seconds = time.monotonic() - begin
        self.runs, self.reference = folder / "killed/runs", contents(folder / "reference/runs")
        self.log: list[dict[str, Any]] = []

    def log_size(self) -> int:
        log = self.runs / "tiny/events.jsonl"
        return log.stat().st_size if log.is_file() else 0

    def started(self) -> bool:
        return self.log_size() > self.logged

    def start(self) -> Any:
        self.ended, self.logged = False, self.log_size()
        command = [sys.executable, HERE / "checkpoint_often.py", *self.words, "--progress", "quiet"]
        with (self.folder / "stderr").open("wb") as stderr:
            return subprocess.Popen(
                command, cwd=self.folder / "killed", start_new_session=True, env=self.environment, stderr=stderr,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip

    def strike(self, number: signal.Signals, whom: str, moment: str, process: Any) -> None:
        """Sends a signal and records it with what is wrong afterwards."""
        row: dict[str, Any] = {"study": self.name, "signal": number.name, "to": whom, "moment": moment, "wrong": []}
        started = self.rng.choice(workers(process.pid) or [0])
        if whom == "worker":
            if not started:
                return
            os.kill(started, number)
        elif whom == "group":
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        if number == signal.SIGSTOP:
            time.sleep(self.rng.uniform(1, 3))
            os.kill(started, signal.SIGCONT) if whom == "worker" else os.killpg(process.pid, signal.SIGCONT)
        elif whom != "worker":
            self.check_end(process, number, row)
        self.log.append(row)

    def check_end(self, process: Any, number: signal.Signals, row: dict[str, Any]) -> None:
        begin = time.monotonic()
        left = survivors(process.pid)
        row["seconds"] = round(time.monotonic() - begin, 2)
        if left:
            row["wrong"].append(f"processes are left: {left}")
            os.killpg(process.pid, signal.SIGKILL)
        self.ended, early = True, self.log_size() == self.logged
        if early:
            row["moment"] = EARLY
        status, printed = process.wait(), (self.folder / "stderr").read_text(errors="replace")
        expected = (-signal.SIGKILL,) if number == signal.SIGKILL else (130, 0, *([-number] if early else []))
        if status not in expected:
            row["wrong"].append(f"exit status {status}: {printed[-600:]}")
        if "Traceback" in printed:
            row["wrong"].append(f"a traceback: {printed[-1500:]}")

    def finished(self, process: Any) -> list[str]:
        """What is wrong with a study that ended by itself."""
        printed = (self.folder / "stderr").read_text(errors="replace")
        wrong = [f"exit status {process.returncode}: {printed[-1500:]}"] if process.returncode else []
        if left := survivors(process.pid):
            wrong.append(f"processes are left: {left}")
        found = contents(self.runs)
        for name in sorted(found.keys() | self.reference.keys()):
            if found.get(name) != self.reference.get(name):
                kind = "is missing" if name not in found else "is not in the reference"
                wrong.append(f"{name} {'differs' if name in found and name in self.reference else kind}")
        wrong += [f"{path.relative_to(self.folder)} is left" for path in leftovers(self.runs, self.folder / "tmp")]
        return wrong


def contents(runs: Path, without: Collection[str] = ()) -> dict[str, bytes]:
    """What must be equal in two runs of a study: by name the bytes of a file of its run folder, or the checksums of a
    step's result; steps `without` are left out."""
    found = {str(file.relative_to(runs)): file.read_bytes() for form in COMPARED for file in (runs / "tiny").glob(form)}
    for file in runs.glob("store/results/*/*/manifest.json"):
        if file.parent.name not in without and file.is_file():
            found[file.parent.name] = json.dumps(json.loads(file.read_bytes())["files"], sort_keys=True).encode()
    return found


def leftovers(runs: Path, temporary: Path) -> list[Path]:
    """Files that no finished study leaves behind, in its folders and in the one for temporary files."""
    patterns = ("store/temporary/*", "store/scratch/*", "store/damaged/*", "**/.*.part", "**/tmp*", "**/*.partial")
    found = [path for pattern in patterns for path in runs.glob(pattern)]
    found += (path for path in temporary.iterdir() if not path.name.startswith("torchinductor_"))  # torch's cache
    for manifest in runs.glob("store/results/*/*/manifest.json"):
        known = {manifest, *(manifest.parent / name for name in json.loads(manifest.read_bytes())["files"])}
        found += (file for file in manifest.parent.rglob("*") if file.is_file() and file not in known)
    return found


def choose(trial: Trial, counts: Counter[tuple[str, ...]]) -> tuple[signal.Signals, str, str]:
    """The next signal, its target and its moment: each combination that the study has comes about equally often."""
    moments = ["any", "any", *MOMENTS, RENAMED, *([DISCARDED] if trial.name == "discard" else [])]
    moments = [m for m in moments if counts[trial.name, "missed", m] < 3]
    targets = [(number, "main") for number in ENDS] + [(signal.SIGKILL, "group"), (signal.SIGKILL, "worker")]
    targets += [(signal.SIGSTOP, "group"), (signal.SIGSTOP, "main"), (signal.SIGSTOP, "worker")]
    combinations = [(number, whom, moment) for number, whom in targets for moment in moments]
    trial.rng.shuffle(combinations)

    def tried(combination: tuple[signal.Signals, str, str]) -> int:
        number, whom, moment = combination
        here = counts[trial.name, number.name, whom] + counts[trial.name, moment]
        return 3 * counts[number.name, whom, moment] + here

    return min(combinations, key=tried)


def torture(trial: Trial, kills: int, counts: Counter[tuple[str, ...]]) -> list[dict[str, Any]]:
    """Kills one study so many times, and then runs it to its end; one entry for each time that it ended."""
    rounds: list[dict[str, Any]] = []
    since = 0
    while since or len(trial.log) < kills:
        process, may_kill_worker = trial.start(), True
        while process.poll() is None:
            if len(trial.log) >= kills or since >= 12:
                process.wait()
                break
            number, whom, moment = choose(trial, counts)
            if whom == "worker" and number == signal.SIGKILL and not may_kill_worker:
                continue  # a step whose worker dies twice fails, as it should
            aimed, moment = (
                moment,
                wait_for(moment, trial.runs, process, trial.rng, min(12.0, trial.seconds / 3), trial.started),
            )
            if not moment:
                break
            counts[trial.name, "missed", aimed] += moment != aimed
            logged = len(trial.log)
            trial.strike(number, whom, moment, process)
            if len(trial.log) > logged:
                since += 1
                print(*trial.log[-1].values(), flush=True)
                for key in ((number.name, whom, moment), (trial.name, number.name, whom), (trial.name, moment)):
                    counts[key] += 1
                may_kill_worker &= not (whom == "worker" and number == signal.SIGKILL)
                if wrong := trial.log[-1]["wrong"]:
                    fault = f"{number.name} to {whom}"
                    rounds.append({"study": trial.name, "fault": fault, "kills": 0, "wrong": wrong})
        process.wait()
        if not trial.ended or process.returncode == 0:
            wrong = trial.finished(process)
            rounds.append({"study": trial.name, "fault": "at the end", "kills": since, "wrong": wrong})
            print(trial.name, "ended after", since, "kills;", len(trial.log), "in all", wrong or "equal", flush=True)
            if wrong:
                shutil.copytree(trial.folder, f"{trial.folder}-wrong-{len(rounds)}", symlinks=True)
            since = 0
            shutil.rmtree(trial.runs)
            shutil.rmtree(trial.folder / "tmp")
            (trial.folder / "tmp").mkdir()
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of all studies together")
    parser.add_argument("--studies", default=",".join(STUDIES))
    parser.add_argument("--at-once", type=int, default=2, help="studies at the same time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clock-jumps", action="store_true", help="by up to ten years, in every process")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for number in ENDS[1:]:
        signal.signal(
            number, signal.SIG_DFL
        )  # a shell and nohup ignore some in the background, and processes inherit it
    if options.clock_jumps:
        os.environ["CLOCK_JUMPS"] = "1"
    names, counts = options.studies.split(","), Counter[tuple[str, ...]]()
    log: list[dict[str, Any]] = []
    rounds: list[dict[str, Any]] = []
    folder = Path(tempfile.mkdtemp(prefix="kills-"))

    def try_one(position: int) -> None:
        name = names[position]
        trial = Trial(name, folder / name, random.Random(f"{options.seed} {name}"))
        share = options.kills * (position + 1) // len(names) - options.kills * position // len(names)
        rounds.extend(torture(trial, share, counts))
        log.extend(trial.log)
        if options.json:
            options.json.write_text(json.dumps(summary(options, log, rounds), indent=1) + "\n")

    with ThreadPoolExecutor(options.at_once) as threads:
        list(threads.map(try_one, range(len(names))))
    result = summary(options, log, rounds)
    print(json.dumps(result, indent=1))
    if result["failures"]:
        sys.exit(f"{len(result['failures'])} failures; see {folder}")
    shutil.rmtree(folder)


def summary(options: Any, log: list[dict[str, Any]], rounds: list[dict[str, Any]]) -> dict[str, Any]:
    counted = {key: dict(Counter(row[key] for row in log)) for key in ("study", "moment")}
    seconds = [row["seconds"] for row in log if "seconds" in row] or [0.0]
    jumps = " --clock-jumps" if options.clock_jumps else ""
    return {
        "command": f"python benchmarks/kills.py --kills {options.kills} --seed {options.seed}{jumps}",
        "machine": origin()["machine"],
        "versions": origin()["versions"],
        "kills": len(log),
        "by_signal": dict(Counter(f"{row['signal']} to {row['to']}" for row in log)),
        "by_moment": counted["moment"],
        "by_study": counted["study"],
        "seconds_until_all_ended": {
            "median": statistics.median(seconds),
            "most": max(seconds),
        },
        "comparisons": sum(round_["kills"] > 0 for round_ in rounds),
        "failures": [round_ for round_ in rounds if round_["wrong"]],
    }


if __name__ == "__main__":
    main()
