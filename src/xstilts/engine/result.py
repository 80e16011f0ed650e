"""One result: a folder of files and a manifest of their sizes and checksums, which is written last."""

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from xstilts.engine.temporary import part_file
from xstilts.errors import XstiltsError

MANIFEST = "manifest.json"


def seal(folder: Path, step: Mapping[str, Any]) -> None:
    """Writes the manifest of the files in a folder and syncs everything to the disk."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = {f.relative_to(folder).as_posix(): [f.stat().st_size, checksum(f)] for f in files}
    (folder / MANIFEST).write_text(json.dumps({"step": step, "files": entries}, indent=1, ensure_ascii=False))
    for path in (*files, folder / MANIFEST, folder):
        sync(path)


def parse_manifest(text: str | bytes, origin: object) -> dict[str, Any]:
    """The record in a manifest; `files` holds (size in bytes, SHA-256) by path below the result's folder.

    Raises XstiltsError of kind "damaged" for text of another shape, and "unsafe" for a path that would leave the
    result's folder: whoever reads a store must not be made to write elsewhere.
    """
    try:
        record = json.loads(text)
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in record["files"].items()}
        folder = str(record.get("folder", ""))
        if not files and not record.get("discarded"):
            raise ValueError("it lists no files")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise XstiltsError("damaged", f"{origin} is not a manifest", why, "run the study again") from None
    for name in [*files, *([folder] if folder else [])]:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or {"\\", "\0"} & set(name) or name == MANIFEST:
            what, hint = f"{origin} names a file outside its result", "do not use this store: it was forged"
            raise XstiltsError("unsafe", what, repr(name), hint)
    return record | {"files": files, "folder": folder}


def discard(folder: Path, kept: Collection[str]) -> None:
    """Deletes the other files of a result; the manifest, rewritten first, lists them as `discarded`.

    After a kill in between, another call deletes what is left.
    """
    record = parse_manifest((folder / MANIFEST).read_bytes(), folder / MANIFEST)
    names = [name for name in record["files"] if name not in kept]
    discarded = [*record.get("discarded", []), *names]
    if names:
        files = {name: entry for name, entry in record["files"].items() if name in kept}
        changes = {"files": files, "discarded": discarded}
        write_atomically(folder / MANIFEST, json.dumps(record | changes, ensure_ascii=False))
    for name in discarded:
        (folder / name).unlink(missing_ok=True)


def manifest(folder: Path) -> dict[str, tuple[int, str]]:
    """Size in bytes and SHA-256 of each file of a result, by its path below `folder`."""
    return dict(parse_manifest((folder / MANIFEST).read_bytes(), folder / MANIFEST)["files"])


def damage(folder: Path) -> str:
    """How a result differs from its manifest, in words; "" if it does not."""
    try:
        recorded = manifest(folder)
    except OSError as error:
        return f"{folder / MANIFEST}: {error}"
    except XstiltsError as error:
        return f"{error.what}: {error.why}"
    for name, entry in recorded.items():
        if not (folder / name).is_file():
            return f"{folder / name} is missing"
        if differs(folder / name, entry):
            return f"{folder / name} does not have the checksum in its manifest"
    return ""


def differs(file: Path, recorded: tuple[int, str]) -> bool:
    """Whether a file is absent or has another size or checksum than recorded."""
    size, digest = recorded
    return not file.is_file() or file.stat().st_size != size or checksum(file) != digest


def checksum(file: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
