"""A store behind a URL that fsspec can open: s3, gs, az, hdfs, sftp, file.

An object store cannot rename. Every writer therefore uploads to a folder of its own, `results/ab/abcd…/WRITER/`, and
the manifest, which names that folder, comes last. Files that a manifest names are never written again: no reader sees
half a result, and of two writers of one step one wins with a whole result.
"""

import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec

from xstilts.engine.result import MANIFEST, differs, manifest, parse_manifest
from xstilts.errors import XstiltsError, full_disk
from xstilts.hashing import digest

WAITS = (0.0, 0.5, 2.0)
"""Seconds before each attempt to read a manifest: some file systems show a file before it is complete."""


def cache_folder(url: str) -> Path:
    """This machine's copy of a remote store: below $XSTILTS_CACHE, else the user's cache folder."""
    home = os.environ.get("XSTILTS_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "xstilts")
    return Path(home).expanduser().absolute() / digest(url)[:16]


def has(url: str, fingerprint: str) -> bool:
    """Whether the store holds a finished result of the step."""
    with _connected(url, fingerprint) as (system, _, result):
        return _exists(system, f"{result}/{MANIFEST}")


def push(url: str, fingerprint: str, folder: Path) -> None:
    """Uploads a finished result, the manifest last; removes its files again if another writer was first."""
    with _connected(url, fingerprint) as (system, _, result):
        if _exists(system, f"{result}/{MANIFEST}"):
            return
        names, writer = list(manifest(folder)), uuid.uuid4().hex
        for parent in {str(Path(writer, name).parent) for name in names} | {writer}:
            _make(system, f"{result}/{parent}")
        if names:
            system.put([str(folder / name) for name in names], [f"{result}/{writer}/{name}" for name in names])
        if _exists(system, f"{result}/{MANIFEST}"):
            with suppress(FileNotFoundError):
                system.rm(f"{result}/{writer}", recursive=True)
            return
        record = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | {"folder": writer}
        system.pipe_file(f"{result}/{MANIFEST}", json.dumps(record, indent=1, ensure_ascii=False).encode())


def pull(url: str, fingerprint: str, folder: Path) -> None:
    """Downloads a result into an empty folder, for the caller to verify; missing files stay missing.

    Raises XstiltsError of kind "unsafe" if the manifest names a file outside the folder.
    """
    with _connected(url, fingerprint) as (system, _, result):
        record, source = _manifest(system, result)
        names = list(record["files"])
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if names:
            with suppress(FileNotFoundError):
                system.get([f"{source}/{name}" for name in names], [str(folder / name) for name in names])
        (folder / MANIFEST).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")


def download(url: str, fingerprint: str, name: str, file: Path) -> tuple[int, str] | None:
    """Downloads one file of a result unless it is there already; returns its size and checksum for the caller to
    verify, or None if there is no such result or file."""
    with _connected(url, fingerprint) as (system, _, result):
        try:
            record, source = _manifest(system, result)
        except FileNotFoundError:
            return None
        recorded: tuple[int, str] | None = record["files"].get(name)
        if recorded and differs(file, recorded):
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=file.parent) as temporary:
                system.get_file(f"{source}/{name}", f"{temporary}/file")
                Path(temporary, "file").replace(file)
        return recorded


def set_aside(url: str, fingerprint: str) -> None:
    """Retires a damaged result: its manifest moves to `damaged/`, its files stay."""
    with _connected(url, fingerprint) as (system, root, result), suppress(FileNotFoundError):
        content = system.cat_file(f"{result}/{MANIFEST}")
        _make(system, f"{root}/damaged")
        system.pipe_file(f"{root}/damaged/{fingerprint}.json", content)
        system.rm_file(f"{result}/{MANIFEST}")


def _make(system: Any, folder: str) -> None:
    """Makes a folder, except in object stores (all have asynchronous drivers): they would create a misspelt bucket."""
    if not system.async_impl:
        system.makedirs(folder, exist_ok=True)


def _exists(system: Any, file: str) -> bool:
    """Whether a file exists; unlike `exists` of some file systems, a lost connection is an error."""
    try:
        system.info(file)
    except FileNotFoundError:
        return False
    return True


def _manifest(system: Any, result: str) -> tuple[dict[str, Any], str]:
    """The manifest of a result and the folder of its files: the result's own in the copy of a local store."""
    file = f"{result}/{MANIFEST}"
    for attempt, wait in enumerate(WAITS, 1):
        time.sleep(wait)
        try:
            record = parse_manifest(system.cat_file(file), file, result.rpartition("/")[2])
            break
        except XstiltsError as error:
            if error.kind == "unsafe" or attempt == len(WAITS):
                raise
    return record, f"{result}/{record['folder']}".rstrip("/")


@contextmanager
def _connected(url: str, fingerprint: str) -> Iterator[tuple[Any, str, str]]:
    """The file system, the store's folder in it, and the folder of a result."""
    try:
        system, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        root = root.rstrip("/")
    except (ImportError, ValueError) as error:
        hint = "check the address; every machine needs fsspec's package for it (s3fs, gcsfs, adlfs, …)"
        raise XstiltsError("missing-package", f"cannot open the store at {url}", str(error), hint) from None
    try:
        yield system, root, f"{root}/results/{fingerprint[:2]}/{fingerprint}"
    except XstiltsError:
        raise
    except Exception as error:
        if full_disk(error):
            raise
        hint = "check address, credentials and network, then run again; finished steps are kept"
        raise XstiltsError("network", f"cannot reach the store at {url}", repr(error), hint) from error
