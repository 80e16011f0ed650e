"""One result as a folder of files with a manifest, written last, of their sizes and checksums."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from xstilts.engine.step import Step

MANIFEST = "manifest.json"


def seal(folder: Path, step: Step) -> None:
    """Writes the manifest of the files in the folder, and syncs all of it to the disk."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for file in files:
        sync(file)
    manifest = {
        "step": step.to_json(),
        "files": {str(f.relative_to(folder)): [f.stat().st_size, checksum(f)] for f in files},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
    sync(folder / MANIFEST)
    sync(folder)


def manifest(folder: Path) -> dict[str, tuple[int, str]]:
    """Size in bytes and SHA-256 of each file of a result, by its path below `folder`."""
    return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"])


def damage(folder: Path) -> str:
    """What of a result differs from its manifest, in words; an empty string where nothing does."""
    try:
        recorded = manifest(folder)
    except (OSError, ValueError, KeyError) as error:
        return f"{folder / MANIFEST}: {error}"
    for name, one in recorded.items():
        if not (folder / name).is_file():
            return f"{folder / name} is missing"
        if differs(folder / name, one):
            return f"{folder / name} does not have the checksum in its manifest"
    return ""


def differs(file: Path, recorded: tuple[int, str]) -> bool:
    """Whether the file lacks the recorded size or checksum."""
    size, digest = recorded
    return not file.is_file() or file.stat().st_size != size or checksum(file) != digest


def checksum(file: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Has the disk hold a file, or the names in a folder, before it returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(file: Path, text: str) -> None:
    """Replaces a text file in one move, so that a reader sees the old content or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as temporary:
        temporary.write(text)
        temporary.flush()
        os.fsync(temporary.fileno())
    Path(temporary.name).chmod(0o644)
    Path(temporary.name).replace(file)
