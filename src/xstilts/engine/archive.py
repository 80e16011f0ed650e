"""Pack finished results into an archive, without models, so that a study continues on another machine."""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from xstilts.engine.inventory import results
from xstilts.engine.result import MANIFEST, discard
from xstilts.engine.store import RECORDS, Store
from xstilts.engine.temporary import part_file

PACKED = ("train", "predict")
"""The kinds of steps whose results scores are computed from; what others make is quickly made again."""


def pack(
    store: Store, out: Path, steps: Collection[str] | None, progress: Callable[[int, int], None] = lambda *_: None
) -> int:
    """Writes predictions and the records of trainings to the archive `out` (tar, compressed by xz) and returns their
    number.

    steps: the fingerprints to pack, if not all. A training whose model a later step needs runs again.
    """
    chosen = [
        result for result in results(store)
        if result.kind in PACKED and not result.problem and (steps is None or result.fingerprint in steps)
    ]  # fmt: skip
    with part_file(out.parent) as part:
        with (
            store.in_use(result.fingerprint for result in chosen),
            tarfile.open(fileobj=part, mode="w:xz") as archive,
            tempfile.TemporaryDirectory() as temporary,
        ):
            for number, result in enumerate(chosen, 1):
                folder = copy = store.path(result.fingerprint)
                if result.kind == "train":
                    copy = Path(temporary) / folder.name
                    copy.mkdir()
                    for name in (MANIFEST, *RECORDS):
                        if (folder / name).is_file():
                            shutil.copy(folder / name, copy)
                    discard(copy, RECORDS)
                archive.add(copy, folder.relative_to(store.root).as_posix())
                progress(number, len(chosen))
        part.flush()
        os.fsync(part.fileno())
        Path(part.name).replace(out)
    return len(chosen)
