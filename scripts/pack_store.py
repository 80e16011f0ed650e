"""Pack what a study has finished into an archive, without models, so that it continues on another machine.

    python scripts/pack_store.py runs/store finished.tar.xz
    mkdir -p elsewhere/store && tar -xf finished.tar.xz -C elsewhere/store
    xstilts study … --store elsewhere/store

The archive holds predictions and the records of trainings, which is all that scores are computed from. A training whose
model a later step needs runs again. Prepared data, tokens and encoders are left out: they are quickly made again.
"""

import argparse
import shutil
import tarfile
import tempfile
from pathlib import Path

from xstilts.engine.result import MANIFEST, discard, parse_manifest
from xstilts.engine.store import KEPT

PACKED = ("train", "predict")


def pack(store: Path, out: Path) -> int:
    """Writes the archive `out`; returns the number of results in it."""
    manifests = sorted((store / "results").glob(f"*/*/{MANIFEST}"))
    kinds = {file.parent: parse_manifest(file.read_bytes(), file)["step"]["kind"] for file in manifests}
    chosen = [folder for folder, kind in kinds.items() if kind in PACKED]
    with tarfile.open(out, "w:xz") as archive, tempfile.TemporaryDirectory() as temporary:
        for folder in chosen:
            copy = folder
            if kinds[folder] == "train":
                copy = Path(temporary) / folder.name
                copy.mkdir()
                for name in (MANIFEST, *KEPT):
                    if (folder / name).is_file():
                        shutil.copy(folder / name, copy)
                discard(copy, KEPT)
            archive.add(copy, folder.relative_to(store).as_posix())
    return len(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="the folder of finished steps")
    parser.add_argument("out", type=Path, help="the archive to write, *.tar.xz")
    options = parser.parse_args()
    if not (options.store / "results").is_dir():
        raise SystemExit(
            f"error: {options.store} is no store\nwhy:   it has no folder `results`\nhint:  give runs/store"
        )
    print(f"{pack(options.store, options.out):,} results are in {options.out}")


if __name__ == "__main__":
    main()
