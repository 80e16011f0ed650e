"""Steps and plans as plain data."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Step:
    """One cached unit of work: a pure function of its arguments and inputs.

    `function` is the dotted name `package.module:function`, called as `function(arguments, inputs, out, context)`;
    `inputs` maps a name to the fingerprint of another step. The fingerprint leaves out `location` (where data are, not
    what they are), `label`, `cost` (estimated seconds on one core, for order and time left) and `resources`: what the
    step occupies while it runs, `gpus` (devices of one machine), `memory` (GB) and `ranks` (processes that share it).
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

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that name the step's result: SHA-256 of everything that can change it."""
        return digest([self.function, self.version, self.arguments, sorted(self.inputs.items())])

    def to_json(self) -> dict[str, Any]:
        """The step as a JSON object, from which `Step(**object)` makes an equal step."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def digest(value: Any) -> str:
    """32 hex digits of SHA-256 over canonical JSON: equal values give equal digests on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass
class Plan:
    """Steps by fingerprint, each after its inputs; adding an equal step twice keeps one."""

    steps: dict[str, Step] = field(default_factory=dict)
    requested: int = 0

    def add(self, step: Step) -> str:
        """Adds the step and returns its fingerprint; `requested` counts calls, before deduplication."""
        missing = [name for name, fingerprint in step.inputs.items() if fingerprint not in self.steps]
        if missing:
            raise KeyError(f"inputs {missing} of step '{step.label}' are not in the plan")
        self.requested += 1
        return self.steps.setdefault(step.fingerprint, step).fingerprint

    def priority(self) -> dict[str, float]:
        """Per step the cost of the most expensive path that starts with it; the critical path has the highest."""
        result: dict[str, float] = {}
        successors = self.successors()
        for fingerprint in reversed(self.steps):
            after = max((result[s] for s in successors[fingerprint]), default=0.0)
            result[fingerprint] = self.steps[fingerprint].cost + after
        return result

    def successors(self) -> dict[str, list[str]]:
        """Per step the steps that take it as an input."""
        result: dict[str, list[str]] = {fingerprint: [] for fingerprint in self.steps}
        for fingerprint, step in self.steps.items():
            for source in set(step.inputs.values()):
                result[source].append(fingerprint)
        return result

    def needed(self, finished: Iterable[str], wanted: Iterable[str]) -> list[str]:
        """The steps still to run for `wanted`, in order; what only a finished step needs is left out."""
        done = set(finished)
        needed = {w for w in wanted if w not in done}
        for fingerprint in reversed(self.steps):
            if fingerprint in needed:
                needed.update(s for s in self.steps[fingerprint].inputs.values() if s not in done)
        return [fingerprint for fingerprint in self.steps if fingerprint in needed]

    def ready(self, finished: Iterable[str], todo: Iterable[str]) -> list[str]:
        """The steps of `todo` whose inputs are all finished, the head of the critical path first."""
        done, priority = set(finished), self.priority()
        ready = [fingerprint for fingerprint in todo if done.issuperset(self.steps[fingerprint].inputs.values())]
        return sorted(ready, key=lambda fingerprint: (-priority[fingerprint], fingerprint))
