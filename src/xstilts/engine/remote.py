"""A store behind a URL that fsspec can open: s3, gs, az, hdfs, sftp, file.

An object store cannot rename. Every writer therefore uploads to a folder of its own, `results/ab/abcd…/WRITER/`, and
the manifest, which names that folder, comes last. Files that a manifest names are never written again: no reader sees
half a result, and of two writers of one step one wins with a whole result.
"""

import errno
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
from xstilts.engine.step import digest
from xstilts.errors import XstiltsError

WAITS = (0.0, 0.5, 2.0)
"""Seconds before each attempt to read a manifest: some file systems show a file before it is complete."""


def cache_folder(url: str) -> Path:
    """This machine's copy of a remote store: below $XSTILTS_CACHE, else the user's cache folder."""
    home = os.environ.get("XSTILTS_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "xstilts")
    return Path(home).expanduser().absolute() / digest(url)[:16]


def has(url: str, fingerprint: str) -> bool:
    """Whether the store holds a finished result of the step."""
    with _connected(url) as (system, root):
        return _exists(system, f"{_folder(root, fingerprint)}/{MANIFEST}")


def push(url: str, fingerprint: str, folder: Path) -> None:
    """Uploads a finished result, the manifest last; removes its files again if another writer was first."""
    with _connected(url) as (system, root):
        target, writer = _folder(root, fingerprint), uuid.uuid4().hex
        if _exists(system, f"{target}/{MANIFEST}"):
            return
        names = list(manifest(folder))
        for parent in {str(Path(writer, name).parent) for name in names} | {writer}:
            _make(system, f"{target}/{parent}")
        if names:
            system.put([str(folder / name) for name in names], [f"{target}/{writer}/{name}" for name in names])
        if _exists(system, f"{target}/{MANIFEST}"):
            with suppress(FileNotFoundError):
                system.rm(f"{target}/{writer}", recursive=True)
            return
        record = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | {"folder": writer}
        system.pipe_file(f"{target}/{MANIFEST}", json.dumps(record, indent=1, ensure_ascii=False).encode())


def pull(url: str, fingerprint: str, folder: Path) -> None:
    """Downloads a result into an empty folder, for the caller to verify; missing files stay missing.

    Raises XstiltsError of kind "unsafe" if the manifest names a file outside the folder.
    """
    with _connected(url) as (system, root):
        record, source = _manifest(system, root, fingerprint)
        names = list(record["files"])
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if names:
            with suppress(FileNotFoundError):
                system.get([f"{source}/{name}" for name in names], [str(folder / name) for name in names])
        (folder / MANIFEST).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")


def find(url: str, fingerprint: str, name: str, cache: Path) -> Path | None:
    """One verified file of a result, kept in the folder `cache`; None if there is no such result or file."""
    with _connected(url) as (system, root):
        try:
            record, source = _manifest(system, root, fingerprint)
        except FileNotFoundError:
            return None
        if name not in record["files"]:
            return None
        file = cache / name
        if differs(file, record["files"][name]):
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=cache))
            system.get_file(f"{source}/{name}", str(temporary / "file"))
            (temporary / "file").replace(file)
            temporary.rmdir()
        if differs(file, record["files"][name]):
            file.unlink()
            why = f"{source}/{name} does not have the checksum in its manifest"
            raise XstiltsError("damaged", f"the result of step {fingerprint} is damaged", why, "run the study again")
        return file


def set_aside(url: str, fingerprint: str) -> None:
    """Retires a damaged result: its manifest moves to `damaged/`, its files stay."""
    with _connected(url) as (system, root), suppress(FileNotFoundError):
        manifest_file, retired = f"{_folder(root, fingerprint)}/{MANIFEST}", f"{root}/damaged/{fingerprint}.json"
        content = system.cat_file(manifest_file)
        _make(system, f"{root}/damaged")
        system.pipe_file(retired, content)
        system.rm_file(manifest_file)


def _folder(root: str, fingerprint: str) -> str:
    return f"{root}/results/{fingerprint[:2]}/{fingerprint}"


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


def _manifest(system: Any, root: str, fingerprint: str) -> tuple[dict[str, Any], str]:
    """The manifest of a result and the folder of its files, which is its own in the copy of a local store."""
    file = f"{_folder(root, fingerprint)}/{MANIFEST}"
    for attempt, wait in enumerate(WAITS, 1):
        time.sleep(wait)
        try:
            record = parse_manifest(system.cat_file(file), file)
            break
        except XstiltsError as error:
            if error.kind == "unsafe" or attempt == len(WAITS):
                raise
    return record, f"{_folder(root, fingerprint)}/{record['folder']}".rstrip("/")


@contextmanager
def _connected(url: str) -> Iterator[tuple[Any, str]]:
    try:
        system, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        hint = "check the address; every machine needs fsspec's package for it (s3fs, gcsfs, adlfs, …)"
        raise XstiltsError("missing-package", f"cannot open the store at {url}", str(error), hint) from None
    try:
        yield system, root.rstrip("/")
    except XstiltsError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "check address, credentials and network, then run again; finished steps are kept"
        raise XstiltsError("network", f"cannot reach the store at {url}", repr(error), hint) from error
