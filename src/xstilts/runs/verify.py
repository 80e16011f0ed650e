"""Whether a run folder still is what its study wrote: the plan, the design and the predictions against their hashes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xstilts.config.schema import parse_contrast
from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.hashing import checksum, digest
from xstilts.runs import run_files
from xstilts.runs.events import read_events

SEALED = (run_files.STUDY, run_files.PLAN, run_files.CELLS,
          run_files.LEFT_OUT, run_files.TRANSLATIONS, run_files.SUBWORDS, run_files.ESTIMATES)  # fmt: skip
FOLDERS = (run_files.PREDICTIONS, run_files.AFTER_RETRY, run_files.BY_ORACLE)
LOG = "log"
"""The entry of the log in `checksums.json`: the bytes that it had, which only grows, and their SHA-256."""
COPIED = ("name", "seed", "equivalence", "level", "measure", "primary")
"""Settings that `study.json` repeats from the plan."""


def seal(run: Path) -> None:
    """Write `checksums.json`: the SHA-256 of every file of a run that results are computed from."""
    checksums: dict[str, Any] = {}
    for name, file in _files(run).items():
        with suppress(FileNotFoundError):  # another process that runs the study with another plan removed it
            checksums[name] = checksum(file)
    log = run / run_files.EVENTS
    if log.is_file():
        content = log.read_bytes()
        checksums[LOG] = [len(content), hashlib.sha256(content).hexdigest()]
    write_atomically(run / run_files.CHECKSUMS, json.dumps(checksums, indent=1))


def verify(run: Path) -> list[str]:
    """How a run folder differs from what its study wrote, each difference in words; none if it does not.

    The plan must have the hash of its content, the design must be the plan's, and every file that results are computed
    from must have the checksum that was recorded when the study wrote it. Who also changes the recorded hashes is not
    noticed: compare the plan's hash with a published one.
    """
    try:
        recorded = dict(json.loads((run / run_files.CHECKSUMS).read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return [f"{run_files.CHECKSUMS} is missing or broken, so nothing shows what the study wrote"]
    recorded.pop(LOG, None)
    files, found = _files(run), []
    for name in dict.fromkeys([*recorded, *files]):
        if name not in files:
            found.append(f"{name} is missing")
        elif name not in recorded:
            found.append(f"{name} was not written by the study")
        elif checksum(files[name]) != recorded[name]:
            found.append(f"{name} was changed after the study wrote it")
    try:
        study, plan = (json.loads((run / name).read_bytes()) for name in (run_files.STUDY, run_files.PLAN))
        return [*found, *_design_differences(study, plan)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return [*found, f"{run_files.STUDY} and {run_files.PLAN} cannot be compared: {error!r}"]


def verified_events(run: Path) -> list[dict[str, Any]] | None:
    """The events in a run's log; None if what its study wrote there was changed, which no result depends on."""
    checksums = run / run_files.CHECKSUMS
    try:
        size, recorded = json.loads(checksums.read_bytes()).get(LOG, (0, "")) if checksums.exists() else (0, "")
        content = (run / run_files.EVENTS).read_bytes() if size else b""
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    intact = not size or hashlib.sha256(content[:size]).hexdigest() == recorded
    return read_events(run) if intact else None


def require_verified(run: Path) -> None:
    """Raise XstiltsError of kind "damaged" if a run folder differs from what its study wrote, with all differences."""
    if found := verify(run):
        what = f"{run} is not what its study wrote"
        hint = "no result is computed from it; " + run_files.AGAIN
        raise XstiltsError("damaged", what, "\n".join(found), hint)


def plan_hash(plan: Mapping[str, Any]) -> str:
    """The hash of everything that a plan decides: all of it but its steps and the hash itself."""
    return digest({name: value for name, value in plan.items() if name not in ("hash", "steps")})


def _files(run: Path) -> dict[str, Path]:
    """The files of a run that results are computed from, by their path below it."""
    tables = [file for folder in FOLDERS for file in sorted((run / folder).glob("*.parquet"))]
    present = [run / name for name in SEALED if (run / name).is_file()]
    return {file.relative_to(run).as_posix(): file for file in [*present, *tables]}


def _design_differences(study: Mapping[str, Any], plan: Mapping[str, Any]) -> Iterator[str]:
    if plan_hash(plan) != plan["hash"]:
        yield f"{run_files.PLAN} does not have the hash that it names, {plan['hash'][:8]}"
    frozen = plan["study"]
    expected = {name: frozen[name] for name in COPIED if name in frozen}
    for name in {"contrasts", "controls"} & frozen.keys():
        primary = tuple(frozen["primary"])
        expected[name] = [parse_contrast(text, primary).model_dump(mode="json") for text in frozen[name]]
    for name, value in expected.items():
        if study[name] != value:
            yield f"{run_files.STUDY} has other {name} than the plan"
