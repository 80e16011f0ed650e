"""One result: a folder of files and a manifest of their sizes and checksums, which is written last."""

import json
import os
import socket
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from xstilts import __version__
from xstilts.engine.temporary import part_file
from xstilts.errors import XstiltsError
from xstilts.hashing import checksum, digest

MANIFEST = "manifest.json"


def seal(folder: Path, step: Mapping[str, Any]) -> None:
    """Writes the manifest of the files in a folder and syncs everything to the disk."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = {f.relative_to(folder).as_posix(): [f.stat().st_size, checksum(f)] for f in files}
    made = {"time": round(time.time()), "host": socket.gethostname(), "xstilts": __version__}
    record = {"step": step, "files": entries, "made": made}
    (folder / MANIFEST).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    for path in (*files, folder / MANIFEST, folder):
        sync(path)


def fingerprint_of(step: Mapping[str, Any]) -> str:
    """The fingerprint of a step as a JSON object: the digest of everything that can change its result."""
    return digest([step["function"], step["version"], step["arguments"], sorted(step["inputs"].items())])


def parse_manifest(text: str | bytes, origin: object, fingerprint: str = "") -> dict[str, Any]:
    """The record in a manifest; `files` holds (size in bytes, SHA-256) by path below the result's folder.

    Raises XstiltsError of kind "damaged" for text of another shape, or if its step does not have the fingerprint, if
    one is given; and "unsafe" for a path that would leave the result's folder: whoever reads a store must not be made
    to write elsewhere.
    """
    try:
        record = json.loads(text)
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in record["files"].items()}
        folder = str(record.get("folder", ""))
        if not files and not record.get("discarded"):
            raise ValueError("it lists no files")
        if fingerprint and (actual := fingerprint_of(record["step"])) != fingerprint:
            raise ValueError(f"it is the result of another step, {actual}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise XstiltsError("damaged", f"{origin} is not a manifest", why, "run the study again") from None
    for name in [*files, *([folder] if folder else [])]:
        parts = name.split("/")
        if {"", ".", ".."}.intersection(parts) or "\\" in name or "\0" in name or name == MANIFEST:
            what, hint = f"{origin} names a file outside its result", "do not use this store: it was forged"
            raise XstiltsError("unsafe", what, repr(name), hint)
    return record | {"files": files, "folder": folder}


def read_manifest(folder: Path, fingerprint: str = "") -> dict[str, Any]:
    """The record of a result; its folder has the step's fingerprint as its name, if none is given."""
    file = folder / MANIFEST
    return parse_manifest(file.read_bytes(), file, fingerprint or folder.name)


def discard(folder: Path, retained: Collection[str], is_needed: Callable[[], bool] = lambda: False) -> bool:
    """Deletes the other files of a result; the manifest, rewritten first, lists them as `discarded`. After a kill in
    between, another call deletes what is left.

    Nothing is deleted, and False returned, if `is_needed` before or after that: a process that starts meanwhile either
    sees the new manifest or is seen here.
    """
    if is_needed():
        return False
    earlier = (folder / MANIFEST).read_bytes()
    record = read_manifest(folder)
    names = [name for name in record["files"] if name not in retained]
    discarded = [*record.get("discarded", []), *names]
    if names:
        files = {name: entry for name, entry in record["files"].items() if name in retained}
        changes = {"files": files, "discarded": discarded}
        write_atomically(folder / MANIFEST, json.dumps(record | changes, ensure_ascii=False))
        if is_needed():
            write_atomically(folder / MANIFEST, earlier)
            return False
    for name in discarded:
        (folder / name).unlink(missing_ok=True)
    return True


def manifest(folder: Path) -> dict[str, tuple[int, str]]:
    """Size in bytes and SHA-256 of each file of a result, by its path below `folder`."""
    return dict(read_manifest(folder)["files"])


def damage(folder: Path, fingerprint: str = "") -> str:
    """How a result differs from its manifest, in words; "" if it does not.

    fingerprint: of its step, if it is not the folder's name.
    """
    text = _content(folder / MANIFEST)
    if text is None:
        return f"{folder / MANIFEST} is missing or cannot be read"
    try:
        recorded = parse_manifest(text, folder / MANIFEST, fingerprint or folder.name)["files"]
    except XstiltsError as error:
        return f"{error.what}: {error.why}"
    for name, entry in recorded.items():
        if differs(folder / name, entry):
            if _content(folder / MANIFEST) not in (text, None):  # its model was deleted meanwhile
                return damage(folder, fingerprint)
            is_there = (folder / name).is_file()
            return f"{folder / name} {'does not have the checksum in its manifest' if is_there else 'is missing'}"
    return ""


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def differs(file: Path, recorded: tuple[int, str]) -> bool:
    """Whether a file is absent or has another size or checksum than recorded."""
    size, digest = recorded
    return not file.is_file() or file.stat().st_size != size or checksum(file) != digest


def sync(path: Path) -> None:
    """Flushes a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(file: Path, content: str | bytes) -> None:
    """Replaces a file in one move: a reader sees the old content or the new one (text in UTF-8), never a part."""
    data = content.encode() if isinstance(content, str) else content
    if file.parent == Path("/dev"):  # standard output, for example, which is no file to be replaced
        file.write_bytes(data)
        return
    try:
        with part_file(file.parent) as part:
            part.write(data)
            part.flush()
            os.fsync(part.fileno())
            Path(part.name).replace(file)
    except OSError as error:  # it names the part, or, on a full disk, no file
        error.filename, error.filename2 = str(file), None
        raise
