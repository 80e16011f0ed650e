"""The log of a run: what happened to its steps, in which session, and whether a process still writes it."""

import fcntl
import json
import os
import platform
import shlex
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xstilts.engine import Report
from xstilts.engine.temporary import try_lock
from xstilts.errors import without_secrets
from xstilts.runs.run_files import EVENTS

PACKAGES = ("xstilts", "torch", "transformers", "tokenizers", "numpy")
"""Those whose versions can change results."""
PROGRESS_SECONDS = 10.0
"""How often the progress of a step is logged: more often would fill the log of a study that runs for days."""

Seconds = Annotated[float, Field(ge=0, le=1e11)]
NEEDED = {
    "plan": {"todo", "slots"},
    "started": {"step"},
    "progress": {"step", "share"},
    "finished": {"step", "seconds"},
    **{name: {"step", "why"} for name in ("failed", "damaged", "retried")},
    "note": {"why"},
    "ended": {"failed"},
}
"""The fields that an event of each kind has."""


class Event(BaseModel):
    """What a line of a log may say; a log that something else wrote, or half of a line, is no event."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    event: Literal["plan", "started", "progress", "finished", "failed", "damaged", "retried", "note", "ended"]
    time: Seconds = 0.0
    session: str = ""
    step: str = ""
    why: str = ""
    todo: list[str] = []
    steps: Annotated[int, Field(ge=0)] = 0
    slots: Annotated[float, Field(gt=0)] = 1.0
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    seconds: Seconds | None = None
    failed: Annotated[int, Field(ge=0)] = 0
    host: str = ""
    command: str = ""
    machine: str = ""
    versions: str = ""

    @model_validator(mode="after")
    def _is_complete(self) -> "Event":
        if not NEEDED[self.event] <= self.model_fields_set:
            raise ValueError("fields are missing")
        return self


@contextmanager
def event_log(run: Path, watch: Report) -> Iterator[Report]:
    """Open a run's log for appending; yields a function that logs an event and then hands it to `watch`.

    In the log each event has its `time` (seconds since 1970) and its `session`, which is another one whenever a study
    is started; the event `plan` also has `origin()`. The last event of a session is `ended`, with the number of
    steps that failed, unless the process was killed. Secrets in texts are replaced by dots.
    """
    session, logged, failed = uuid.uuid4().hex[:8], dict[str, float](), set[str]()
    run.mkdir(parents=True, exist_ok=True)
    with (run / EVENTS).open("a+", encoding="utf-8", errors="replace") as log:
        lock(log)
        if log.tell():
            log.seek(log.tell() - 1)
            log.write("" if log.read() == "\n" else "\n")  # after a line that a killed process left unfinished

        def report(event: dict[str, Any]) -> None:
            now, name, step = time.time(), event["event"], event.get("step", "")
            if name == "failed":
                failed.add(step)
            if name != "progress" or now - logged.get(step, 0.0) > PROGRESS_SECONDS:
                if name == "progress":
                    logged[step] = now
                start = origin() if name == "plan" else {}
                entry = {"time": round(now, 2), "session": session, **event, **start}
                texts = {key: without_secrets(value) for key, value in entry.items() if isinstance(value, str)}
                log.write(json.dumps(entry | texts) + "\n")
                log.flush()
            watch(event)

        try:
            yield report
        finally:
            with suppress(OSError):  # a full disk, perhaps: the error that is being raised says so
                report({"event": "ended", "failed": len(failed)})


def origin() -> dict[str, str]:
    """What this process is: its `command`, the `host` and `machine` that it runs on, and `versions` of packages."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    models = [line for line in _processor().splitlines() if line.startswith("model name")]
    processor = models[0].partition(": ")[2] if models else platform.processor()
    machine = f"{os.cpu_count()} × {processor or platform.machine()}, {platform.system()}"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    versions = f"Python {platform.python_version()}, {versions}"
    return {"command": command, "host": socket.gethostname(), "machine": machine, "versions": versions}


def _processor() -> str:
    """How Linux describes the processors; "" on other systems."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def read_event(line: str | bytes) -> dict[str, Any] | None:
    """One line of a log; None for a line that is no event, such as half a line of a killed process or a full disk.

    >>> read_event('{"event": "ended", "failed": 0}')
    {'event': 'ended', 'failed': 0}
    >>> read_event('{"event": "fini')
    """
    try:
        Event.model_validate_json(line)
    except ValidationError:
        return None
    return dict(json.loads(line))


def read_events(run: Path) -> list[dict[str, Any]]:
    """The events in a run's log, of all its sessions; [] without a log."""
    lines = (run / EVENTS).read_bytes().splitlines() if (run / EVENTS).is_file() else []
    return [event for line in lines if (event := read_event(line))]


def lock(log: IO[Any]) -> None:
    """Mark the log as being written to until it is closed; several processes may. No effect without file locks."""
    with suppress(OSError):
        fcntl.flock(log, fcntl.LOCK_SH)


def is_written(run: Path) -> bool:
    """Whether a process is seen to write to a run's log."""
    try:
        with (run / EVENTS).open("rb") as log:
            return try_lock(log.fileno(), fcntl.LOCK_EX) is False
    except OSError:
        return False


def abandoned(log: IO[Any], host: str) -> bool:
    """Whether no process writes to the log any more, if its latest session runs on `host`, this machine.

    False on any other machine: its file system may not know of the lock.
    """
    if host != socket.gethostname():
        return False
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    fcntl.flock(log, fcntl.LOCK_UN)
    return True
