"""A study on a Ray cluster that loses machines: a node is killed, the network between two is cut, the head restarts.

    sudo python benchmarks/ray_faults.py --json benchmarks/results/ray-faults.json      (Linux; needs root for the cut)

Each node is a Ray node in a network namespace of its own, joined by a bridge, so that the cut is one of the network:
no process is told. The study is a small form of `pocket`. After each fault its predictions are compared, byte by byte,
with those of the same study on the local engine, and the steps are counted that finished more than once.
"""

import argparse
import hashlib
import json
import os
import platform
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

import yaml

from xstilts.config.load import builtin_studies
from xstilts.runs.events import read_events

BRIDGE, PORT = "xstilts-br", 6399
HEAD = "10.77.0.1"
LIMIT = 900.0
"""Seconds after which a command counts as hanging."""
SMALL = {"examples": 200, "epochs": 1, "recipe": {"learning_rate": 2e-3}}
PYTHON = Path(sys.executable)
NAMES = {
    "kill": "a node is killed",
    "cut": "the network of a node is cut",
    "head": "the head restarts, and the study is started again",
}


def shell(command: str, check: bool = True) -> None:
    subprocess.run(command.split(), check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Cluster:
    """A head on this machine, and nodes in namespaces, each with one core."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.remove()
        shell(f"ip link add {BRIDGE} type bridge")
        shell(f"ip addr add {HEAD}/24 dev {BRIDGE}")
        shell(f"ip link set {BRIDGE} up")
        for number in range(2, nodes + 2):
            name = f"xn{number}"
            shell(f"ip netns add {name}")
            shell(f"ip link add {name} type veth peer name eth0 netns {name}")
            shell(f"ip link set {name} master {BRIDGE} up")
            shell(f"ip -n {name} addr add 10.77.0.{number}/24 dev eth0")
            shell(f"ip -n {name} link set eth0 up")
            shell(f"ip -n {name} link set lo up")

    def remove(self) -> None:
        self.stop()
        for number in range(2, self.nodes + 2):
            shell(f"ip netns del xn{number}", check=False)
            shell(f"ip link del xn{number}", check=False)
        shell(f"ip link del {BRIDGE}", check=False)

    def stop(self) -> None:
        shell(f"{PYTHON.parent}/ray stop --force", check=False)

    def start(self) -> None:
        self._ray("", f"--head --port {PORT} --include-dashboard false --num-cpus 1", HEAD)
        for number in range(2, self.nodes + 2):
            self._ray(f"ip netns exec xn{number}", f"--address {HEAD}:{PORT} --num-cpus 1", f"10.77.0.{number}")

    def _ray(self, where: str, what: str, address: str) -> None:
        folder = tempfile.mkdtemp(prefix="ray-")  # nodes of one host share it otherwise
        head = f"--temp-dir {folder} " if "--head" in what else ""
        shell(
            f"{where} {PYTHON.parent}/ray start {head}{what} --node-ip-address {address} --disable-usage-stats".strip()
        )

    def cut(self, number: int) -> None:
        shell(f"ip link set xn{number} down")

    def kill(self, number: int) -> None:
        """Kills every process of a node at once."""
        found = subprocess.run(["ip", "netns", "pids", f"xn{number}"], check=True, capture_output=True, text=True)
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGKILL)


def make_study(folder: Path) -> Path:
    pocket = yaml.safe_load(builtin_studies()["pocket"].read_text())
    encoder = pocket["encoders"]["pocket"]
    encoder = {**encoder, "seeds": 1, "pretrain": {**encoder["pretrain"], "updates": 100}}
    raw = pocket | {
        "name": "faults", "replicates": 2, "encoders": {"pocket": encoder},
        "contrasts": ["near - none"], "controls": [],
        "intermediate": {"nli": {"task": "pocket-nli-hard", **SMALL}}, "quick": {},
        "arms": {"none": {}, "near": {"intermediate": "nli", "languages": "near", "count": 2}},
        "targets": {"pocket-nli": {"training": SMALL}, "pocket-paws": {"training": SMALL}},
    }  # fmt: skip
    file = folder / "faults.yaml"
    file.write_text(yaml.safe_dump(raw))
    return file


def start_study(file: Path, folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [PYTHON, "-m", "xstilts", "study", file, "--out", folder / "run", "--store", folder / "store", *more]
    return subprocess.Popen(
        [str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def predictions(folder: Path) -> dict[str, str]:
    files = sorted((folder / "run/predictions").glob("*.parquet"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def busy_node(folder: Path, running: subprocess.Popen[str]) -> int:
    """The number of a node, not the head, that runs a step of the kind `train`."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and running.poll() is None:
        events = read_events(folder / "run") if (folder / "run").is_dir() else []
        ended = {e["step"] for e in events if e["event"] in ("finished", "failed")}
        nodes = {e["step"]: e.get("node", "") for e in events if e["event"] == "started" and e["step"] not in ended}
        for node in nodes.values():
            address = node.split()[0] if node else ""
            if address.startswith("10.77.0.") and address != HEAD:
                return int(address.rpartition(".")[2])
        time.sleep(0.5)
    raise SystemExit(f"no step ran on a node: {running.communicate()[0][-2000:]}")


def trial(
    file: Path, expected: dict[str, str], fault: Callable[[Path, Any], Any], again: Callable[[], None] | None
) -> dict[str, Any]:
    """What came of a study during which `fault` struck; `again` repairs the cluster, and the study starts again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        on_ray = ("--engine", "ray", "--address", f"{HEAD}:{PORT}")
        begin = time.monotonic()
        running = start_study(file, folder, *on_ray)
        fault(folder, running)
        struck = time.monotonic()
        statuses = []
        try:
            printed = running.communicate(timeout=LIMIT)[0]
            statuses.append(running.returncode)
        except subprocess.TimeoutExpired:
            running.kill()
            return {"hangs": True}
        found = {"seconds_until_struck": round(struck - begin), "seconds_after": round(time.monotonic() - struck)}
        if again:
            again()
            running = start_study(file, folder, *on_ray)
            printed += running.communicate(timeout=LIMIT)[0]
            statuses.append(running.returncode)
        events = read_events(folder / "run")
        finished = Counter(e["step"] for e in events if e["event"] == "finished")
        return {
            **found, "hangs": False, "statuses": statuses, "traceback": "Traceback" in printed,
            "equal_predictions": predictions(folder) == expected, "steps": len(finished),
            "steps_finished_twice": sum(count > 1 for count in finished.values()),
            "retried": sum(e["event"] == "retried" for e in events),
            "printed": "" if statuses[-1] == 0 else printed[-2000:],
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--faults", nargs="*", default=list(NAMES), choices=list(NAMES))
    options = parser.parse_args()
    found: dict[str, Any] = {}
    result = {
        "command": "python benchmarks/ray_faults.py",
        "machine": platform.processor() or "x86_64",
        "faults": found,
    }
    with tempfile.TemporaryDirectory() as name:
        file = make_study(Path(name))
        print(start_study(file, Path(name), "--jobs", "1").communicate()[0].splitlines()[-1])
        expected = predictions(Path(name))
        assert expected
        cluster = Cluster(2)

        def stop_all(folder: Path, running: Any) -> None:
            busy_node(folder, running)
            cluster.stop()

        faults: dict[str, tuple[Any, Any]] = {
            "kill": (lambda folder, running: cluster.kill(busy_node(folder, running)), None),
            "cut": (lambda folder, running: cluster.cut(busy_node(folder, running)), None),
            "head": (stop_all, cluster.start),
        }
        try:
            for fault in options.faults:
                cluster.remove()
                cluster = Cluster(2)
                cluster.start()
                found[NAMES[fault]] = trial(file, expected, *faults[fault])
                print(fault, json.dumps(found[NAMES[fault]]), flush=True)
        finally:
            cluster.remove()
            for folder in Path(tempfile.gettempdir()).glob("ray-*"):
                shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
