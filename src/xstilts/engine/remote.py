"""A store behind a URL that fsspec can open: s3, gs, az, hdfs, sftp, file.

An object store cannot rename, so every writer uploads to a folder of its own name, `results/ab/abcd…/WRITER/`, and the
manifest, which names that folder, comes last. What a manifest names is never written again: half a result is never
read, and of two writers of one step the first stands, or else the last, each whole.
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

from xstilts.engine.result import MANIFEST, differs, manifest
from xstilts.engine.step import digest
from xstilts.errors import XstiltsError

WAITS = (0.0, 0.5, 2.0)
"""Seconds before each try to read a manifest: some file systems show a file before all of it is written."""


def cache_folder(url: str) -> Path:
    """Where this machine keeps what it read of a store: below $XSTILTS_CACHE, else the user's cache folder."""
    home = os.environ.get("XSTILTS_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "xstilts")
    return Path(home).expanduser().absolute() / digest(url)[:16]


def has(url: str, fingerprint: str) -> bool:
    """Whether the store holds a finished result of the step."""
    with _reached(url) as (system, root):
        return _there(system, f"{_folder(root, fingerprint)}/{MANIFEST}")


def push(url: str, fingerprint: str, folder: Path) -> None:
    """Uploads a finished result, the manifest last; nothing is left where another writer was first."""
    with _reached(url) as (system, root):
        target, writer = _folder(root, fingerprint), uuid.uuid4().hex
        if _there(system, f"{target}/{MANIFEST}"):
            return
        names = list(manifest(folder))
        for parent in {str(Path(writer, name).parent) for name in names} | {writer}:
            _make(system, f"{target}/{parent}")
        if names:
            system.put([str(folder / name) for name in names], [f"{target}/{writer}/{name}" for name in names])
        if _there(system, f"{target}/{MANIFEST}"):
            with suppress(FileNotFoundError):
                system.rm(f"{target}/{writer}", recursive=True)
            return
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | {"folder": writer}
        system.pipe_file(f"{target}/{MANIFEST}", json.dumps(told, indent=1, ensure_ascii=False).encode())


def pull(url: str, fingerprint: str, folder: Path) -> None:
    """Downloads a result into an empty folder; the caller verifies it, missing files are simply not there."""
    with _reached(url) as (system, root):
        told, source = _manifest(system, root, fingerprint)
        names = list(told["files"])
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if names:
            with suppress(FileNotFoundError):
                system.get([f"{source}/{name}" for name in names], [str(folder / name) for name in names])
        (folder / MANIFEST).write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")


def find(url: str, fingerprint: str, name: str, cache: Path) -> Path | None:
    """One verified file of a result, kept in the folder `cache`; None where there is no such result or file."""
    with _reached(url) as (system, root):
        try:
            told, source = _manifest(system, root, fingerprint)
        except FileNotFoundError:
            return None
        if name not in told["files"]:
            return None
        file = cache / name
        if differs(file, told["files"][name]):
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=cache))
            system.get_file(f"{source}/{name}", str(temporary / "file"))
            (temporary / "file").replace(file)
            temporary.rmdir()
        if differs(file, told["files"][name]):
            file.unlink()
            why = f"{source}/{name} does not have the checksum in its manifest"
            raise XstiltsError(
                "step-failed", f"the result of step {fingerprint} is damaged", why, "run the study again"
            )
        return file


def set_aside(url: str, fingerprint: str) -> None:
    """Takes a damaged result out of sight: its manifest goes to `damaged/`, its files stay where they are."""
    with _reached(url) as (system, root), suppress(FileNotFoundError):
        manifest_file, kept = f"{_folder(root, fingerprint)}/{MANIFEST}", f"{root}/damaged/{fingerprint}.json"
        content = system.cat_file(manifest_file)
        _make(system, f"{root}/damaged")
        system.pipe_file(kept, content)
        system.rm_file(manifest_file)


def _folder(root: str, fingerprint: str) -> str:
    return f"{root}/results/{fingerprint[:2]}/{fingerprint}"


def _make(system: Any, folder: str) -> None:
    """Object stores, whose drivers are all asynchronous, have no folders: theirs would make a misspelt bucket."""
    if not system.async_impl:
        system.makedirs(folder, exist_ok=True)


def _there(system: Any, file: str) -> bool:
    """Unlike `exists` of some file systems it does not take a lost connection for an absent file."""
    try:
        system.info(file)
    except FileNotFoundError:
        return False
    return True


def _manifest(system: Any, root: str, fingerprint: str) -> tuple[dict[str, Any], str]:
    """The manifest of a result and the folder of its files: beside it where a local store was copied as it is."""
    file = f"{_folder(root, fingerprint)}/{MANIFEST}"
    for wait in WAITS:
        time.sleep(wait)
        with suppress(ValueError):
            told = json.loads(system.cat_file(file))
            return told, f"{_folder(root, fingerprint)}/{told.get('folder', '')}".rstrip("/")
    raise XstiltsError("step-failed", f"step {fingerprint} has no readable result", f"{file} is no JSON", "remove it")


@contextmanager
def _reached(url: str) -> Iterator[tuple[Any, str]]:
    try:
        system, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        hint = "check the address; fsspec's package for it must be installed on every machine (s3fs, gcsfs, adlfs, …)"
        raise XstiltsError("missing-file", f"cannot open the store at {url}", str(error), hint) from None
    try:
        yield system, root.rstrip("/")
    except XstiltsError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "check address, credentials and network, then run again; finished steps are kept"
        raise XstiltsError("step-failed", f"cannot reach the store at {url}", repr(error), hint) from error
