"""Hashes that identify content: of values, files and folders."""

import hashlib
import json
from pathlib import Path
from typing import Any


def digest(value: Any) -> str:
    """32 hex digits of SHA-256 over canonical JSON: equal values give equal digests on every machine.

    >>> digest({"b": 1, "a": [2.5]}) == digest({"a": [2.5], "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def checksum(file: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """The digest of the names and checksums of the files in a folder, its card aside."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".md")
    return digest([[path.name, checksum(path)] for path in files])
