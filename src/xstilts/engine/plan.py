"""Steps and plans as plain data, in memory and in a file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from xstilts.engine.result import fingerprint_of, write_atomically
from xstilts.errors import XstiltsError

RECORD = "longer"
"""The name of an input of which a step reads the record alone, not the model."""


@dataclass(frozen=True)
class Step:
    """One cached unit of work: a pure function of its arguments and inputs.

    `function` is the dotted name `package.module:function`, called as `function(arguments, inputs, out, context)`;
    `inputs` maps a name to the fingerprint of another step. The fingerprint leaves out `location` (where data are, not
    what they are), `label`, `cost` (estimated seconds on one core, for order and time left), `examples` (how many it
    computes on, each as often as it does, to show its speed; 0 if that is not known) and `resources`: what the step
    occupies while it runs, `gpus` (devices of one machine), `memory` and `device_memory` (GB of the host, and of each
    GPU) and `ranks` (processes that share it).
    """

    kind: str
    function: str
    version: int
    arguments: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    location: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    cost: float = 1.0
    resources: Mapping[str, float] = field(default_factory=dict)
    examples: float = 0.0

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that name the step's result: SHA-256 of everything that can change it."""
        return fingerprint_of({name: getattr(self, name) for name in ("function", "version", "arguments", "inputs")})

    def to_json(self) -> dict[str, Any]:
        """The step as a JSON object, from which `Step(**object)` makes an equal step."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass
class Plan:
    """Steps by fingerprint, each after its inputs; adding an equal step twice keeps one."""

    steps: dict[str, Step] = field(default_factory=dict)
    requested: int = 0

    def add(self, step: Step) -> str:
        """Adds the step and returns its fingerprint; `requested` counts calls, before deduplication."""
        if missing := [name for name, fingerprint in step.inputs.items() if fingerprint not in self.steps]:
            raise KeyError(f"inputs {missing} of step '{step.label}' are not in the plan")
        self.requested += 1
        return self.steps.setdefault(step.fingerprint, step).fingerprint

    def priority(self) -> dict[str, float]:
        """Per step the cost of the most expensive path that starts with it; the critical path has the highest."""
        result = dict.fromkeys(self.steps, 0.0)
        for f in reversed(self.steps):
            result[f] += self.steps[f].cost
            for source in self.steps[f].inputs.values():
                result[source] = max(result[source], result[f])
        return result

    def frugal_order(self) -> dict[str, int]:
        """A rank of each step; if higher ones run first, few models are needed at the same time.

        It is the number of trainings on the longest path that leads to a step: models are read before others are made.
        Steps that neither train nor read a trained model come first of all, because others wait for them.
        """
        depth: dict[str, int] = {}
        for f, step in self.steps.items():
            sources = step.inputs.values()
            depth[f] = max((depth[s] + (self.steps[s].kind == "train") for s in sources), default=0)
        return {f: depth[f] if depth[f] or step.kind == "train" else len(depth) for f, step in self.steps.items()}

    def needed(self, finished: Iterable[str], wanted: Iterable[str], unusable: Iterable[str] = ()) -> list[str]:
        """The steps still to run for `wanted`, in order; what only a finished step needs is left out.

        unusable: finished trainings whose models are gone; they run again if a step that is not finished needs a model.
        """
        done = set(finished)
        needed, gone = set(wanted) - done, set(unusable)
        for f in reversed(self.steps):
            if f in needed:
                inputs = self.steps[f].inputs.items()
                needed |= {
                    source for name, source in inputs if source not in done or (source in gone and name != RECORD)
                }
        return [f for f in self.steps if f in needed]

    def ready(self, finished: Iterable[str], todo: Iterable[str]) -> list[str]:
        """The steps of `todo` whose inputs are all finished, the head of the critical path first."""
        done, priority = set(finished), self.priority()
        ready = [f for f in todo if done.issuperset(self.steps[f].inputs.values())]
        return sorted(ready, key=lambda f: (-priority[f], f))


def write_steps(file: Path, plan: Plan, wanted: Iterable[str]) -> None:
    """Writes a plan as JSON lines, each step after its inputs and with its fingerprint and whether it is wanted."""
    chosen = set(wanted)
    records = ({"fingerprint": f, "wanted": f in chosen, **step.to_json()} for f, step in plan.steps.items())
    write_atomically(file, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def read_steps(file: Path) -> tuple[Plan, list[str]]:
    """The plan that `write_steps` wrote, and the fingerprints that are wanted.

    Raises XstiltsError if the file is missing, or if a line is not the step that its fingerprint names.
    """
    if not file.is_file():
        hint = "name a run folder, or make one with `xstilts plan STUDY --freeze RUN`"
        raise XstiltsError("missing-file", "no frozen plan", f"{file} does not exist", hint)
    plan, wanted = Plan(), []
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                fingerprint, is_wanted = record.pop("fingerprint"), record.pop("wanted")
                same = plan.add(Step(**record)) == fingerprint
            except (ValueError, KeyError, TypeError, AttributeError):
                same = False
            if not same:
                why = "it does not hold the step that its fingerprint names"
                raise XstiltsError("bad-file", f"line {number} of {file} cannot be used", why, "freeze the plan again")
            if is_wanted:
                wanted.append(fingerprint)
    return plan, wanted


def find(plan: Plan, name: str) -> Step:
    """The step with a fingerprint, or with a unique prefix of one; raises XstiltsError."""
    matches = [name] if name in plan.steps else [f for f in plan.steps if name and f.startswith(name)]
    if len(matches) != 1:
        why = f"{len(matches)} fingerprints begin with it" if matches else "no step of the plan has that fingerprint"
        hint = "`xstilts step --list --run RUN` prints the fingerprints"
        raise XstiltsError("unknown-name", f"'{name}' does not name one step", why, hint)
    return plan.steps[matches[0]]
