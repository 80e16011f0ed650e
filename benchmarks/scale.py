"""A plan of 100,000 steps on this machine: built, priced, frozen to a file, looked up in the store, scheduled in
simulation, and run in part with steps that do next to nothing. Then the price of the largest study of docs/scale.md.

    python benchmarks/scale.py [--json FILE]

Seconds are processor time, except for the steps that run: theirs are wall-clock time. Memory is the peak of the process
up to then.
"""

import argparse
import json
import platform
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from xstilts.config.load import load_study
from xstilts.costs.devices import rates
from xstilts.costs.estimate import estimates
from xstilts.engine import Plan, Step, Store, execute
from xstilts.languages import all_languages
from xstilts.study.freeze import freeze
from xstilts.study.overview import simulate
from xstilts.study.plan import StudyPlan, build_plan
from xstilts.study.run import freeze_plan
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.task import Task

INTERMEDIATE = ("anli_plus", "mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "ccg", "cosmosqa", "commonsenseqa")
SCORED = ["ar", "bg", "de", "el", "es", "fr", "hi", "ja", "ko", "ru", "sw", "th", "tr", "ur", "vi", "zh"]
DEVICES = (1, 64, 1024)
LARGEST = {"languages": 500, "replicates": 10}


def grid(languages: int, replicates: int) -> dict[str, Any]:
    """A study with an arm for each of nine intermediate tasks in each language, before XNLI and PAWS-X, with XLM-R
    Large. The tasks are taken to be there in every language, as translations would be, at their English sizes."""
    codes = [language.code for language in all_languages() if language.code != "en"][:languages]
    recipe = {"learning_rate": 1e-5}
    arms = {f"{name}-{code}".replace("_", "-"): {"intermediate": name, "languages": "given", "given": [code]}
            | ({"role": "control"} if code in SCORED else {})  # held out in part
            for name in INTERMEDIATE for code in codes}  # fmt: skip
    return {
        "name": "scale",
        "question": "what does it cost?",
        "replicates": replicates,
        "tasks": {name: {"extends": name, "languages": ["en", *codes]} for name in INTERMEDIATE},
        "languages": {"candidates": SCORED},
        "encoders": {"xlmr": {"load": "FacebookAI/xlm-roberta-large"}},
        "intermediate": {name: {"epochs": 2, "recipe": recipe} for name in INTERMEDIATE},
        "arms": {"none": {}, **arms},
        "targets": {name: {"training": {"recipe": recipe, "task": task}} for name, task in
                    (("xnli", "mnli"), ("pawsx", "pawsx"))},
        "primary": ["xnli"],
        "contrasts": [f"{next(name for name, arm in arms.items() if 'role' not in arm)} - none"],
    }  # fmt: skip


def planned(languages: int, replicates: int) -> StudyPlan:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scale.yaml"
        file.write_text(yaml.safe_dump(grid(languages, replicates)))
        return build_plan(freeze(load_study(str(file)), None, "cuda", allow_few=True))


@contextmanager
def timed(result: dict[str, Any], name: str) -> Iterator[None]:
    begin = time.process_time()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    result[name] = {"seconds": round(time.process_time() - begin, 2), "peak_gb": round(peak, 2)}
    print(f"{name}: {result[name]['seconds']} s, {peak:.2f} GB", flush=True)


def idle(plan: Plan) -> Plan:
    """The same graph of steps that write one artificial sentence each."""
    source = WorldSource(world=1, kind="text", rows={"train": 1})
    task = Task(name="text", type="mlm", source=source).model_dump(mode="json")
    result, names = Plan(), {}
    for fingerprint, step in plan.steps.items():
        arguments = {"task": task, "tasks": {}, "split": "train", "language": "en", "content": fingerprint}
        inputs = {name: names[source] for name, source in step.inputs.items()}
        idle_step = Step("rows", "xstilts.data.prepare:prepare", 1, arguments, inputs, label=step.label, cost=step.cost)
        names[fingerprint] = result.add(idle_step)
    return result


class Enough(Exception):
    """Ends a run that has shown what it was to show."""


def run_some(plan: Plan, store: Store, steps: int) -> dict[str, Any]:
    """Seconds of the clock for the first `steps` steps of the whole plan, the rest of it waiting."""
    finished, begin = 0, 0.0

    def report(event: dict[str, Any]) -> None:
        nonlocal finished, begin
        if event["event"] == "finished":
            finished += 1
            begin = begin or time.monotonic()  # the workers have started
            if finished > steps:
                raise Enough

    with suppress(Enough):
        execute(plan, store, list(plan.steps), report, jobs=2, threads=1)
    seconds = time.monotonic() - begin
    print(f"ran: {steps} steps in {seconds:.1f} s of the clock, {len(plan.steps) - steps} waiting")
    return {"steps": steps, "waiting": len(plan.steps) - steps, "wall_seconds": round(seconds, 1)}


def machine_part(languages: int, replicates: int, steps: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    with timed(result, "build and price"):
        plan = planned(languages, replicates)
    result["steps"], result["edges"] = len(plan.plan.steps), sum(len(s.inputs) for s in plan.plan.steps.values())
    print(f"{result['steps']:,} steps, {result['edges']:,} inputs")
    with tempfile.TemporaryDirectory() as folder:
        with timed(result, "freeze to a file"):
            freeze_plan(plan, Path(folder) / "run")
        result["plan_bytes"] = sum(f.stat().st_size for f in (Path(folder) / "run").iterdir())
        store = Store(Path(folder) / "store")
        for fingerprint in plan.plan.steps:
            store.path(fingerprint).mkdir(parents=True)
            (store.path(fingerprint) / "manifest.json").write_text("{}")
        with timed(result, "look up in the store"):
            finished = {fingerprint for fingerprint in plan.plan.steps if store.has(fingerprint)}
        with timed(result, "what is still needed"):
            plan.plan.needed(list(finished)[: len(finished) // 2], plan.wanted)
    seconds = {fingerprint: estimate.seconds for fingerprint, estimate in plan.estimates.items()}
    for devices in DEVICES:
        with timed(result, f"schedule on {devices}"):
            simulate(plan.plan, plan.plan.steps, seconds, devices)
    with tempfile.TemporaryDirectory() as folder:
        result["ran"] = run_some(idle(plan.plan), Store(Path(folder)), steps)
    return result


def study_part(languages: int, replicates: int) -> dict[str, Any]:
    """What the largest study costs on H100s, and what its store must take in."""
    result: dict[str, Any] = {"languages": languages, "tasks": len(INTERMEDIATE), "replicates": replicates}
    with timed(result, "build and price"):
        plan = planned(languages, replicates)
    prices = estimates(plan.plan, rates("h100"))
    seconds = {fingerprint: estimate.seconds for fingerprint, estimate in prices.items()}
    kinds = [step.kind for step in plan.plan.steps.values()]
    result |= {
        "device": "h100",
        "steps": len(kinds),
        "training_runs": kinds.count("train"),
        "flops": sum(price.flops for price in prices.values()),
        "store_bytes": sum(price.size for price in prices.values()),
        "predictions_bytes": sum(prices[cell.predictions].size for cell in plan.cells),
        "schedules": [],
    }
    for devices in DEVICES:
        made = simulate(plan.plan, plan.plan.steps, seconds, devices)
        result["schedules"].append({
            "devices": devices,
            "makespan_hours": round(made["makespan_hours"], 1),
            "critical_path_hours": round(made["critical_path_hours"], 2),
            "use": round(made["devices_used"], 3),
            "steps_per_second": round(len(kinds) / made["makespan_hours"] / 3600, 3),
            "store_bytes_per_second": round(result["store_bytes"] / made["makespan_hours"] / 3600),
        })  # fmt: skip
        print(result["schedules"][-1], flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("languages", 530), ("replicates", 4), ("run", 300)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    command = "python benchmarks/scale.py"
    result = {"command": command, "machine": platform.machine(),
              "plan": machine_part(options.languages, options.replicates, options.run)}  # fmt: skip
    result["study"] = study_part(**LARGEST)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
