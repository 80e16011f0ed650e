"""Finished steps on disk, addressed by fingerprint; a result is there whole and verified, or not at all."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xstilts.engine.step import Step
from xstilts.errors import MISSING, STEP_FAILED, XstiltsError

MANIFEST = "manifest.json"


class StoreFull(XstiltsError):
    """The store cannot be written to, so that no step can be finished."""


class Store:
    """A folder of finished steps: `results/ab/abcd…/` each with a manifest of sizes and checksums."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def path(self, fingerprint: str) -> Path:
        """Where the result of a step lies or will lie."""
        return self.root / "results" / fingerprint[:2] / fingerprint

    def scratch(self, fingerprint: str) -> Path:
        """A folder that outlives a killed step, for checkpoints from which it resumes."""
        folder = self.root / "scratch" / fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def has(self, fingerprint: str) -> bool:
        """Whether the step is finished; a half-written result has no manifest in its place."""
        return (self.path(fingerprint) / MANIFEST).is_file()

    def open(self, fingerprint: str) -> Path:
        """The folder of a finished step, its checksums verified; raises XstiltsError otherwise."""
        if not self.has(fingerprint):
            raise XstiltsError(
                f"step {fingerprint} has no result",
                f"{self.path(fingerprint)} does not exist",
                "run the study again: what is missing is computed",
                MISSING,
            )
        if broken := self.damage(fingerprint):
            raise XstiltsError(
                f"the result of step {fingerprint} is damaged",
                broken,
                "run the study again: damaged results are set aside and computed anew",
                STEP_FAILED,
            )
        return self.path(fingerprint)

    def damage(self, fingerprint: str) -> str:
        """What differs from the manifest, in words; an empty string where nothing does."""
        folder = self.path(fingerprint)
        try:
            recorded = json.loads((folder / MANIFEST).read_text())["files"]
        except (OSError, ValueError, KeyError) as error:
            return f"{folder / MANIFEST}: {error}"
        for name, (size, digest) in recorded.items():
            file = folder / name
            if not file.is_file():
                return f"{file} is missing"
            if file.stat().st_size != size or checksum(file) != digest:
                return f"{file} does not have the checksum in its manifest"
        return ""

    def set_aside(self, fingerprint: str) -> None:
        """Moves a damaged result out of the way, where a person can still look at it."""
        target = self.root / "damaged" / fingerprint
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        self.path(fingerprint).rename(target)

    @contextmanager
    def writing(self, step: Step) -> Iterator[Path]:
        """A temporary folder that becomes the result of `step` when the block ends without an error.

        Files are synced before the folder is renamed into place, so that a crash at any moment leaves either
        the whole result or none; where another process was first, its equal result is kept.
        """
        target = self.path(step.fingerprint)
        temporary_root = self.root / "temporary"
        with _disk_errors(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary_root.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=step.fingerprint + "-", dir=temporary_root))
            folder.chmod(0o755)
        try:
            with _disk_errors(self.root):
                yield folder
                _seal(folder, step)
                try:
                    folder.rename(target)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    if self.damage(step.fingerprint):
                        self.set_aside(step.fingerprint)
                        folder.rename(target)
                _sync(target.parent)
            shutil.rmtree(self.root / "scratch" / step.fingerprint, ignore_errors=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self, older_than: float = 30 * 24 * 3600.0) -> None:
        """Removes what killed writers left behind more than `older_than` seconds ago: longer than any step runs."""
        for folder in (self.root / "temporary").glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > older_than:
                    shutil.rmtree(folder, ignore_errors=True)


def write_atomically(file: Path, text: str) -> None:
    """Replaces a text file in one move, so that a reader sees the old content or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as temporary:
        temporary.write(text)
        temporary.flush()
        os.fsync(temporary.fileno())
    Path(temporary.name).chmod(0o644)
    Path(temporary.name).replace(file)


def _seal(folder: Path, step: Step) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for file in files:
        _sync(file)
    manifest = {
        "step": step.to_json(),
        "files": {str(f.relative_to(folder)): [f.stat().st_size, checksum(f)] for f in files},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
    _sync(folder / MANIFEST)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(file: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        barred = error.errno in (errno.EROFS, errno.EACCES) and str(error.filename or root).startswith(str(root))
        if not full and not barred:
            raise
        raise StoreFull(
            f"cannot write to the store at {root}",
            f"{os.strerror(error.errno or 0)}: {error.filename or root}",
            "free some space or give another folder with --store; finished steps are kept",
            STEP_FAILED,
        ) from error
