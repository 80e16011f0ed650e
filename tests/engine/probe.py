"""A step that records which GPUs it sees and when it ran, for worker processes that have called `install`.

It imports nothing of the package when it is imported, because `install` runs whenever Python starts.
"""

import json
import os
import sys
import time
import types
from pathlib import Path


class OutOfMemoryError(RuntimeError):
    """Named like torch's, of a GPU."""


def install():
    """Makes `record` a function that a step may name."""
    module = types.ModuleType("xstilts.probe")
    module.record = record
    sys.modules["xstilts.probe"] = module


def record(arguments, inputs, out, context):
    """Waits for the steps named in `meet`, and fails as often as `fails` says."""
    begin, folder = time.monotonic(), Path(arguments["folder"])
    tries = folder / f"tries-{arguments['name']}"
    with tries.open("a") as file:
        file.write("x")
    if len(tries.read_text()) <= arguments["fails"]:
        raise OutOfMemoryError("CUDA out of memory")
    while not all((folder / f"tries-{name}").exists() for name in arguments["meet"]):
        if time.monotonic() - begin > 60:
            raise TimeoutError("the others did not come")
        time.sleep(0.01)
    time.sleep(arguments["seconds"])
    seen = {"devices": os.environ.get("CUDA_VISIBLE_DEVICES"), "pid": os.getpid()}
    (out / "seen.json").write_text(json.dumps(seen | {"begin": begin, "end": time.monotonic()}))


def probe(folder, name, inputs=None, meet=(), seconds=0.0, fails=0, cost=1.0, **resources):
    """A step that records what it sees."""
    from xstilts.engine import Step

    arguments = {"folder": str(folder), "name": name, "meet": list(meet), "seconds": seconds, "fails": fails}
    return Step("train", "xstilts.probe:record", 1, arguments, inputs or {}, label=name, cost=cost, resources=resources)


def seen(store, steps):
    """What each step recorded, by name."""
    return {s.label: json.loads(store.find(s.fingerprint, "seen.json").read_text()) for s in steps}
