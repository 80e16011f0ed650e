"""What a store holds: its finished results from their manifests, and the rest from the names of its folders."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from xstilts.engine.result import MANIFEST, damage, parse_manifest, read_manifest
from xstilts.engine.store import FINGERPRINT, RECORDS, Store
from xstilts.errors import XstiltsError

THREADS = 16
OTHERS = ("damaged", "temporary", "scratch")
"""Folders of a store besides its results: what was set aside, what is being written, and checkpoints."""
EXAMPLES = "examples.parquet"
TOKENS = "tokens"
"""The kind of cached token sequences, which no plan has as steps."""


class Result(NamedTuple):
    """A finished result, as its manifest describes it.

    inputs: name → fingerprint; size: bytes of its files; model: bytes that would be freed if the model of this training
    was deleted; used: when it was made or last read (seconds since 1970); examples: checksums of the prepared examples
    that it has or, for cached tokens, that it was made from; problem: what is wrong with its manifest, "" if nothing.
    """

    fingerprint: str
    kind: str
    label: str
    inputs: Mapping[str, str]
    size: int
    model: int
    used: float
    discarded: bool
    examples: frozenset[str]
    problem: str = ""


class Leftover(NamedTuple):
    """A folder of the store that is no result, and the bytes in it."""

    folder: Path
    size: int


def local_store(place: str) -> Store:
    """The store in a folder; raises XstiltsError for a URL, or if there is no store."""
    store = Store(place)
    if store.url:
        hint = f"use the tools of the storage, or name this machine's copy: {store.root}"
        raise XstiltsError("bad-argument", f"{place} is a URL", "a store is looked after in its folder", hint)
    if not (store.root / "results").is_dir():
        hint = "give the folder of finished steps, such as runs/store"
        raise XstiltsError("missing-file", f"{place} is not a store", "it has no folder `results`", hint)
    return store


def fingerprints(store: Store, prefix: str = "") -> Iterator[str]:
    """The names of the result folders that begin with `prefix`, whether or not they are whole, in order."""
    for group in sorted((store.root / "results").glob(f"{prefix[:2]}*/")):
        with os.scandir(group) as entries:
            names = [entry.name for entry in entries]
        yield from sorted(name for name in names if name.startswith(prefix) and FINGERPRINT.fullmatch(name))


def results(store: Store) -> list[Result]:
    """All results of a store in the order of their fingerprints; no file but the manifests is read."""
    with ThreadPoolExecutor(THREADS) as threads:
        return [result for result in threads.map(read_result, map(store.path, fingerprints(store))) if result]


def read_result(folder: Path) -> Result | None:
    """The result in a folder; None if the folder is gone."""
    try:
        used = folder.stat().st_mtime
        record = parse_manifest((folder / MANIFEST).read_bytes(), folder)
        step, files = record["step"], record["files"]
        kind, arguments = step["kind"], step["arguments"]
        model = sum(size for name, (size, _) in files.items() if name not in RECORDS) if kind == "train" else 0
        examples = arguments.get("rows", ()) if kind == TOKENS else [files.get(EXAMPLES, ("", ""))[1]]
        size = sum(size for size, _ in files.values())
        return Result(
            folder.name, kind, step.get("label", ""), step["inputs"], size, model, used, bool(record.get("discarded")),
            frozenset(filter(None, examples)),
        )  # fmt: skip
    except (OSError, KeyError, TypeError, AttributeError, XstiltsError) as error:
        why = error.why if isinstance(error, XstiltsError) else repr(error)
        return Result(folder.name, "", "", {}, 0, 0, 0.0, False, frozenset(), why) if folder.is_dir() else None


def needed_results(present: Collection[Result], steps: Collection[str]) -> set[str]:
    """The fingerprints of the results that steps need: their own, and token caches made from nothing but theirs."""
    chosen = [result for result in present if result.kind != TOKENS and result.fingerprint in steps]
    examples = frozenset[str]().union(*(result.examples for result in chosen))
    tokens = [result for result in present if result.kind == TOKENS and result.examples <= examples]
    return {result.fingerprint for result in (*chosen, *tokens)}


def leftovers(store: Store, name: str) -> list[Leftover]:
    """What is in one of the folders `OTHERS`."""
    parts = sorted((store.root / name).iterdir()) if (store.root / name).is_dir() else []
    with ThreadPoolExecutor(THREADS) as threads:
        return [Leftover(*pair) for pair in zip(parts, threads.map(size_of, parts), strict=True)]


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder; those that vanish meanwhile count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_size
            except OSError:
                continue
    return total


def find_result(store: Store, prefix: str) -> str:
    """The fingerprint of the only result that begins with `prefix`; raises XstiltsError."""
    matches = list(fingerprints(store, prefix)) if re.fullmatch("[0-9a-f]{1,32}", prefix) else []
    if len(matches) != 1:
        why = f"{len(matches)} fingerprints begin with it" if matches else f"no result in {store.root} begins with it"
        hint = "give more digits; `xstilts store list --kind KIND` prints fingerprints"
        raise XstiltsError("unknown-name", f"'{prefix}' does not name one result", why, hint)
    return matches[0]


def describe(store: Store, fingerprint: str) -> dict[str, Any]:
    """One result as a JSON object: its step, files, origin, inputs with their labels, and the results that read it."""
    folder = store.path(fingerprint)
    record, everything = read_manifest(folder), {result.fingerprint: result for result in results(store)}
    step = record["step"]
    labels = {f: everything[f].label if f in everything else None for f in step["inputs"].values()}
    return {
        "fingerprint": fingerprint,
        "folder": str(folder),
        **{name: step.get(name) for name in ("kind", "label", "function", "version", "arguments")},
        "inputs": [{"name": name, "step": f, "label": labels[f]} for name, f in step["inputs"].items()],
        "files": {name: size for name, (size, _) in record["files"].items()},
        "discarded": record.get("discarded", []),
        "made": {"time": None, "host": None, "xstilts": None, **record.get("made", {})},
        "used": everything[fingerprint].used if fingerprint in everything else None,
        "read_by": [
            {"step": result.fingerprint, "kind": result.kind, "label": result.label}
            for result in everything.values()
            if fingerprint in result.inputs.values()
        ],
    }


def verify(store: Store, progress: Callable[[int, int], None] = lambda done, total: None) -> tuple[int, dict[str, str]]:
    """Compares every result with its manifest, and the step in it with the fingerprint that the folder has as its name.

    Damaged results are set aside, unless the store is read-only. progress: called with the results that were checked
    and their total. Returns the number of results, and what is wrong with each damaged one.
    """
    names, damaged = list(fingerprints(store)), dict[str, str]()
    with ThreadPoolExecutor() as threads:
        checked = threads.map(lambda name: damage(store.path(name)), names)
        for done, (name, why) in enumerate(zip(names, checked, strict=True), 1):
            progress(done, len(names))
            if not why or not store.path(name).is_dir():  # or it was removed meanwhile
                continue
            damaged[name] = why
            try:
                store.set_aside(name)
            except XstiltsError as error:
                damaged[name] = f"{why}; it stays in its place: {error.why}"
    return len(names), damaged
