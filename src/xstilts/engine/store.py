"""Finished steps on disk, addressed by fingerprint; a result is complete and verified, or absent."""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from xstilts.engine import in_use, remote
from xstilts.engine.plan import Step
from xstilts.engine.result import MANIFEST, damage, differs, discard, manifest, read_manifest, seal, sync
from xstilts.engine.temporary import sweep, temporary_folder
from xstilts.errors import XstiltsError, full_disk, without_secrets

FINGERPRINT = re.compile(r"[0-9a-f]{32}")
RECORDS = ("history.json",)
"""What remains of a training whose model is deleted."""
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.ENOTDIR)


class Store:
    """A folder of finished steps: `results/ab/abcd…/` each with a manifest of sizes and checksums.

    If `place` is a URL (`s3://bucket/store`), the store is remote: the local folder is a copy of what this machine read
    or made, and a step is finished once its result is at the URL. A URL with a password raises XstiltsError "unsafe".
    """

    def __init__(self, place: Path | str) -> None:
        self.url = str(place) if "://" in str(place) else ""
        if without_secrets(self.url) != self.url:
            why = "plans, logs and reports name the store, so that whoever reads them could use the password"
            hint = "leave it out: drivers read AWS_ACCESS_KEY_ID, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS, SSH keys, …"
            raise XstiltsError("unsafe", f"the address {self.url} holds a password", why, hint)
        self.root = remote.cache_folder(self.url) if self.url else Path(place).absolute()
        self._uses: set[Path] = set()

    @property
    def place(self) -> str:
        """The argument from which another process or machine makes an equal store."""
        return self.url or str(self.root)

    def path(self, fingerprint: str) -> Path:
        """The folder of a step's result on this machine; raises XstiltsError for a name that is no fingerprint."""
        if not FINGERPRINT.fullmatch(fingerprint):
            hint = "take fingerprints from the plan of a run"
            raise XstiltsError("unsafe", f"'{fingerprint}' is not a fingerprint", "it is 32 hex digits", hint)
        return self.root / "results" / fingerprint[:2] / fingerprint

    def has(self, fingerprint: str) -> bool:
        """Whether the step is finished: an incomplete result has no manifest."""
        if self.url:
            return remote.has(self.url, fingerprint)
        return (self.path(fingerprint) / MANIFEST).is_file()

    def finished(self, fingerprints: Iterable[str]) -> set[str]:
        """The steps that are finished."""
        names = list(fingerprints)
        with ThreadPoolExecutor(16) as threads:
            return {name for name, done in zip(names, threads.map(self.has, names), strict=True) if done}

    @contextmanager
    def in_use(self, steps: Iterable[str]) -> Iterator[None]:
        """Keeps other processes from removing the results of `steps` meanwhile. No effect on a read-only store."""
        with ExitStack() as stack:
            try:
                with disk_errors(self.root):
                    self._uses.add(stack.enter_context(in_use.registered(self.root, steps)))
            except XstiltsError as error:
                if getattr(error.__cause__, "errno", None) not in NOT_WRITABLE:
                    raise
            yield

    def needed_by_others(self, fingerprint: str) -> bool:
        """Whether another process that runs now has the step in its plan."""
        return any(fingerprint in use.steps for use in in_use.uses(self.root, self._uses))

    def discard_model(self, fingerprint: str) -> bool:
        """Deletes the model that a finished training made, unless another running process needs it; the record of the
        training stays. Returns whether the model is gone."""
        try:
            with disk_errors(self.root), in_use.nobody_starts(self.root):
                return discard(self.path(fingerprint), RECORDS, lambda: self.needed_by_others(fingerprint))
        except FileNotFoundError:  # another process removed the result
            return True

    def discarded(self, fingerprints: Iterable[str]) -> set[str]:
        """The finished trainings among these whose models were deleted: no other step can read them."""
        folders = {name: self.path(name) for name in fingerprints}
        present = {name: folder for name, folder in folders.items() if (folder / MANIFEST).is_file()}
        return {name for name, folder in present.items() if read_manifest(folder).get("discarded")}

    def gone(self) -> XstiltsError | None:
        """The error to raise if the store's folder has vanished: its disk was unmounted, or someone deleted it."""
        if self.url or self.root.is_dir():
            return None
        why = "there is no such folder any more: it was unmounted, moved or deleted"
        hint = "bring it back and run the same command again: it computes only what is missing"
        return XstiltsError("store-full", f"the store at {self.root} is gone", why, hint)

    def open(self, fingerprint: str) -> Path:
        """The folder of a finished step, its checksums verified; raises XstiltsError otherwise.

        A damaged result is set aside; the next run computes it again.
        """
        folder = self.path(fingerprint)
        is_here = (folder / MANIFEST).is_file()
        broken = self.inspect(fingerprint) if is_here else ""
        if is_here and not broken:
            return folder
        if broken and not self.url:
            raise _damaged(fingerprint, broken)
        if not self.url or not self.has(fingerprint):
            why, hint = f"it is not in {self.place}", "run the study again: it computes what is missing"
            raise XstiltsError("missing-data", f"step {fingerprint} has no result", why, hint)
        with self._placing(fingerprint) as copy:
            remote.pull(self.url, fingerprint, copy)
            if damage(copy, fingerprint):  # perhaps only in transit
                remote.pull(self.url, fingerprint, copy)
            if broken := damage(copy, fingerprint):
                remote.set_aside(self.url, fingerprint)
                raise _damaged(fingerprint, broken)
        return folder

    def find(self, fingerprint: str, name: str) -> Path | None:
        """One file of a result, its checksum verified; None if the step is not finished or has no such file."""
        folder = self.path(fingerprint)
        if (folder / MANIFEST).is_file():
            file, recorded = folder / name, manifest(folder).get(name)
        elif self.url:
            file = self.root / "files" / fingerprint / name
            recorded = remote.download(self.url, fingerprint, name, file)
        else:
            return None
        if recorded and differs(file, recorded):
            raise _damaged(fingerprint, f"{name} in {self.place} does not have the checksum in its manifest")
        self._touch(fingerprint)
        return file if recorded else None

    def inspect(self, fingerprint: str) -> str:
        """Sets a damaged result on this machine aside; returns how it differs from its manifest, "" if it does not."""
        folder = self.path(fingerprint)
        broken = "" if self.url and not (folder / MANIFEST).is_file() else damage(folder)
        if broken:
            self.set_aside(fingerprint)
        else:
            self._touch(fingerprint)
        return broken

    def _touch(self, fingerprint: str) -> None:
        """Records that a result was used: its folder's time of modification. No effect on a read-only store."""
        with suppress(OSError):
            os.utime(self.path(fingerprint))

    def set_aside(self, fingerprint: str) -> None:
        """Moves a damaged result to `damaged/`, where it can be examined; raises XstiltsError for a read-only store."""
        target = self.root / "damaged" / fingerprint
        with disk_errors(self.root), suppress(FileNotFoundError):  # another process moved it first
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            self.path(fingerprint).rename(target)

    @contextmanager
    def scratch(self, fingerprint: str) -> Iterator[Path]:
        """A folder that outlives a killed step, for checkpoints from which it resumes; removed when it is finished.

        One process owns it at a time. A second process that runs the same step, or any process on a file system without
        locks, gets a temporary folder instead.
        """
        folder = self.root / "scratch" / fingerprint
        with disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with temporary_folder(self._temporary, fingerprint) as unshared:
                yield unshared
        else:
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)

    @contextmanager
    def writing(self, step: Step) -> Iterator[Path]:
        """A temporary folder that becomes the result of `step` when the block ends without an error.

        Files are synced before the folder is renamed into place, so a crash leaves the whole result or none. If another
        process finished first, its equal result stays.
        """
        with self._placing(step.fingerprint) as folder:
            yield folder
            seal(folder, step.to_json())
        if self.url:
            remote.push(self.url, step.fingerprint, self.path(step.fingerprint))

    @contextmanager
    def _placing(self, fingerprint: str) -> Iterator[Path]:
        target = self.path(fingerprint)
        with disk_errors(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary_folder(self._temporary, fingerprint) as folder:
                yield folder
                try:
                    folder.rename(target)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    if damage(target) or self.discarded([fingerprint]):
                        self.set_aside(fingerprint)
                        folder.rename(target)
                sync(target.parent)

    @property
    def _temporary(self) -> Path:
        return self.root / "temporary"

    def sweep(self) -> None:
        """Removes what killed writers left, also the scratch of a step that was killed when it had just finished."""
        sweep(self._temporary)
        in_use.sweep_uses(self.root)
        for folder in (self.root / "scratch").glob("*"):
            finished = FINGERPRINT.fullmatch(folder.name) and (self.path(folder.name) / MANIFEST).is_file()
            if finished and not self.discarded([folder.name]):  # else it may be trained again
                with suppress(OSError, XstiltsError), self.scratch(folder.name):
                    pass


def _damaged(fingerprint: str, why: str) -> XstiltsError:
    hint = "run the study again: it sets damaged results aside and computes them again"
    return XstiltsError("damaged", f"the result of step {fingerprint} is damaged", why, hint)


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Turns errors of a full or read-only disk into an XstiltsError of kind "store-full"."""
    try:
        yield
    except XstiltsError:
        raise
    except Exception as error:
        why = full_disk(error)
        if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
            blocked = str(error.filename or root)
            why = f"{os.strerror(error.errno)}: {blocked}" if blocked.startswith(str(root)) else ""
        if not why:
            raise
        hint = "free some space or give another folder with --store; finished steps are kept"
        raise XstiltsError("store-full", f"cannot write to the store at {root}", why, hint) from error
