"""Writes the hashes of all files of each pinned package into requirements.lock, from the package index.

After a change of a version:

    python scripts/lock.py requirements.lock
"""

import json
import re
import sys
import urllib.request
from pathlib import Path

INDEX = "https://pypi.org/simple"


def hashes(name: str, version: str) -> list[str]:
    """The SHA-256 of every file of a version of a package."""
    request = urllib.request.Request(f"{INDEX}/{name.lower().replace('_', '-')}/")
    request.add_header("Accept", "application/vnd.pypi.simple.v1+json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    spelled = "[-_.]+".join(map(re.escape, re.split("[-_.]+", name)))
    stem = re.compile(rf"{spelled}-{re.escape(version)}(-|\.tar|\.zip)", re.I)
    found = sorted(file["hashes"]["sha256"] for file in files if stem.match(file["filename"]))
    if not found:
        raise SystemExit(f"the index has no file of {name} {version}: correct the version")
    return found


def main(path: Path) -> None:
    """Rewrite the file of pins, keeping its comments at the top."""
    text = path.read_text(encoding="utf-8")
    comments = [line for line in text.splitlines() if line.startswith("#")]
    pins = re.findall(r"^([\w.-]+)==(\S+)", text, re.M)
    lines = []
    for name, version in pins:
        known = (f"--hash=sha256:{value}" for value in hashes(name, version))
        lines.append(" \\\n    ".join([f"{name}=={version}", *known]))
    path.write_text("\n".join([*comments, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
