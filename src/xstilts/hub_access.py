"""Files of repositories on the Hugging Face hub: in the cache of the hub's client, equal to their checksums, and every
fault of hub, network and cache in words.

No other host is contacted than the hub and the store of large files that it names: importing this module switches off
the conversion service of `transformers` and the download counter of `datasets`.
"""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from uuid import uuid4

from xstilts.errors import Kind, XstiltsError
from xstilts.hashing import checksum

os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")

RepositoryKind = Literal["dataset", "model"]
ATTEMPTS, LONGEST_WAIT = 4, 600
"""Attempts at a request if the hub fails or limits their rate, and the most seconds to wait between two."""
COMMIT = re.compile("[0-9a-f]{40}")
LOG_IN = "set HF_TOKEN to a token of an account that has access, or run `hf auth login`; ask for access at {page}"
COPIES = {
    "dataset": "put a copy of the repository at DATA/{name} and give --data DATA",
    "model": "give the folder of a copy of the model",
}
FAULTS: dict[int, tuple[str, str]] = {
    401: ("the hub answers only accounts that it knows (401)", LOG_IN + "; check the name, too"),
    403: ("the account has no access (403)", LOG_IN),
    404: ("the hub has no such repository, revision or file (404)", "check name and revision at {page}"),
    429: ("the hub limits the rate of requests (429)", "try again in {wait} seconds, or with HF_TOKEN set"),
}
"""Status of the hub's answer → what it means, and how to fix it."""


@dataclass(frozen=True)
class Repository:
    """A data set or a model at a commit; `digests` maps each file to the SHA-256 of its content, to Git's SHA-1 of a
    small file, or to "" if the hub's client alone listed it."""

    kind: RepositoryKind
    name: str
    commit: str
    digests: dict[str, str]


def open_repository(kind: RepositoryKind, name: str, revision: str = "") -> Repository:
    """A repository at a commit, tag or branch; "" is the main branch.

    A commit whose files were listed before needs no network. A branch is looked up on the hub; its last known commit
    is taken if the hub does not answer. Raises XstiltsError.
    """
    if COMMIT.fullmatch(revision) and (known := _listed(kind, name, revision)):
        return known
    try:
        return _ask(kind, name, revision)
    except XstiltsError as error:
        if error.kind == "network" and (known := _listed(kind, name, revision) or _cached(kind, name, revision)):
            return known
        raise


def current_commit(kind: RepositoryKind, name: str, revision: str, planned: str = "") -> str:
    """The commit of a branch; if the hub does not answer, `planned`, that of an earlier plan, or the last one known.
    Raises XstiltsError."""
    try:
        return (_ask if planned else open_repository)(kind, name, revision).commit
    except XstiltsError as error:
        if error.kind == "network" and COMMIT.fullmatch(planned):
            return planned
        raise


def download(repository: Repository, names: Iterable[str]) -> list[Path]:
    """The paths of files in the cache, fetched if they are absent or their content is damaged; raises XstiltsError."""
    from huggingface_hub import try_to_load_from_cache

    names, (kind, name, commit) = list(names), _key(repository)
    if not all(isinstance(try_to_load_from_cache(name, n, None, commit, kind), str) for n in names):
        _contact(_endpoint(), kind, name, commit)  # says at once what the client would try for minutes
    return [_verified(repository, file) for file in names]


def _verified(repository: Repository, file: str) -> Path:
    """The path of a file with the content that the hub announces."""
    path, digest = _fetch(repository, file), repository.digests.get(file, "")
    if not digest or _digest(path, path.stat().st_mtime_ns, len(digest)) == digest:
        return path
    what = f"the file {file} of '{repository.name}' is damaged in {path.parent}"
    try:
        path = _fetch(repository, file, again=True)
    except XstiltsError as error:
        raise XstiltsError(error.kind, what, error.why, error.hint) from None
    if _digest(path, path.stat().st_mtime_ns, len(digest)) == digest:
        return path
    with suppress(OSError):  # a cache that cannot be written
        path.resolve().unlink()
        path.unlink()
    what = f"the file {file} of '{repository.name}' does not have the checksum that the hub announces"
    hint = f"check proxies and mirrors (HF_ENDPOINT) on the way to {_endpoint()}, and run the same command again"
    raise XstiltsError("network", what, "it was fetched again and differs again", hint)


def _fetch(repository: Repository, file: str, again: bool = False) -> Path:
    import tqdm
    from huggingface_hub import constants, hf_hub_download

    kind, name, commit = _key(repository)
    # Bars that are switched off for `transformers` are off in the hub's client too, unless it is given their class.
    draws = sys.stderr.isatty() and not constants.HF_HUB_DISABLE_PROGRESS_BARS
    options: dict[str, Any] = {"force_download": again, "tqdm_class": tqdm.tqdm if draws else None}
    try:
        return Path(_patiently(lambda: hf_hub_download(name, file, repo_type=kind, revision=commit, **options)))
    except Exception as error:  # the client raises the errors of its HTTP library, too
        raise in_words(error, kind, name) from None


@lru_cache(maxsize=1024)
def _digest(path: Path, modified: int, digits: int) -> str:
    """The SHA-256 of a file, or for 40 digits the SHA-1 that Git gives it."""
    if digits == 64:
        return checksum(path)
    with path.open("rb") as stream:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        while block := stream.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


@lru_cache(maxsize=256)
def _contact(endpoint: str, kind: RepositoryKind, name: str, commit: str) -> None:
    """Raise XstiltsError if a repository cannot be had; asked once in a process."""
    _ask(kind, name, commit)


def _ask(kind: RepositoryKind, name: str, revision: str) -> Repository:
    """A repository as the hub describes it; its list of files is kept in the cache."""
    from huggingface_hub import HfApi, constants

    options: dict[str, Any] = {"repo_type": kind, "timeout": constants.HF_HUB_ETAG_TIMEOUT, "files_metadata": True}
    try:
        info = _patiently(lambda: HfApi(library_name="xstilts").repo_info(name, revision=revision or None, **options))
    except Exception as error:  # the client raises the errors of its HTTP library, too
        raise in_words(error, kind, name) from None
    digests = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id or "" for file in info.siblings or ()}
    repository = Repository(kind, name, str(info.sha), digests)
    for place in {_listing(kind, name, revision), _listing(kind, name, repository.commit)}:
        with suppress(OSError):  # a cache that cannot be written
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_name(f"{uuid4().hex}.part")
            part.write_text(json.dumps({"commit": repository.commit, "files": digests}))
            part.replace(place)
    return repository


def _listing(kind: RepositoryKind, name: str, revision: str) -> Path:
    """Where the list of a repository's files is kept."""
    from huggingface_hub import constants

    folder = f"{kind}s--{name.replace('/', '--')}"
    return Path(constants.HF_ASSETS_CACHE, "xstilts", folder, f"{quote(revision or 'main', safe='')}.json")


def _listed(kind: RepositoryKind, name: str, revision: str) -> Repository | None:
    """A repository whose files were listed before."""
    try:
        facts = json.loads(_listing(kind, name, revision).read_bytes())
        return Repository(kind, name, str(facts["commit"]), dict(facts["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _cached(kind: RepositoryKind, name: str, revision: str) -> Repository | None:
    """A repository that other programs put into the cache. The files of a data set must have been listed by the hub's
    client, because nothing else would show that some of a split are absent."""
    from huggingface_hub import get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError

    options: dict[str, Any] = {"local_files_only": True, "allow_patterns": []}
    try:
        folder = Path(snapshot_download(name, repo_type=kind, revision=revision or None, **options))
        tree = get_cached_repo_tree(name, repo_type=kind, revision=folder.name)
    except LocalEntryNotFoundError:
        return None
    except CachedRepoTreeNotFoundError:
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        return Repository(kind, name, folder.name, dict.fromkeys(files, "")) if kind == "model" else None
    digests = {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in tree}
    return Repository(kind, name, folder.name, digests)


def _patiently(call: Callable[[], Any]) -> Any:
    """What a call returns. It is repeated if the hub fails or limits the rate, or if the connection breaks, but not if
    there is none."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except Exception as error:  # the client raises the errors of its HTTP library, too
            status, text, wait = response_of(error)
            names = _names(error)
            broken = ("TransportError" in names and "ConnectError" not in names) or "Consistency check" in text
            again = broken or status in (408, 500, 502, 503, 504) or (status == 429 and wait <= LONGEST_WAIT)
            # A file that the client itself asked for several times, and a hub that is slow twice, are given up.
            if not again or isinstance(error, FileNotFoundError) or ("TimeoutException" in names and attempt > 1):
                raise
            time.sleep(wait if status == 429 else 2 ** (attempt - 1))
    return call()


def response_of(error: BaseException) -> tuple[int, str, int]:
    """The status and text of the response behind an error, 0 without one, and the seconds to wait after it."""
    from huggingface_hub.utils import HfHubHTTPError

    error = _root(error)
    if not isinstance(error, HfHubHTTPError):
        return 0, f"{type(error).__name__}: {error}", 0
    wait, status = error.response.headers.get("Retry-After", ""), error.response.status_code
    return status, f"{status} {error.server_message or ''}", int(wait) if wait.isdecimal() else 10


def _root(error: BaseException) -> BaseException:
    """The response behind an error, or else its first cause."""
    from huggingface_hub.utils import HfHubHTTPError

    while error.__cause__ and not isinstance(error, HfHubHTTPError):
        error = error.__cause__
    return error


def _names(error: BaseException | None) -> set[str]:
    """Names of the classes of an error and its causes: the HTTP library of the hub's client depends on its version."""
    names: set[str] = set()
    while error:
        names |= {part.__name__ for part in type(error).__mro__}
        error = error.__cause__
    return names


def in_words(error: Exception, kind: RepositoryKind, name: str) -> XstiltsError:
    """What an error of the hub's client means for someone who wants to load a repository."""
    from huggingface_hub import constants

    status, text, wait = response_of(error)
    names, copy, root = _names(error), COPIES[kind].format(name=name), _root(error)
    missing: Kind = "missing-data" if kind == "dataset" else "missing-model"
    page = f"{_endpoint()}/{'datasets/' * (kind == 'dataset')}{name}"
    failure: Kind = "network"
    if status in FAULTS:
        why, hint = (part.format(page=page, wait=wait) for part in FAULTS[status])
        failure = {401: "no-access", 403: "no-access", 404: missing}.get(status, "network")
    elif status:
        why, hint = f"the hub failed ({status})", f"the fault is not on this machine: try again later, or {copy}"
    elif "OfflineModeIsEnabled" in names:
        why, hint = "HF_HUB_OFFLINE is set, and the cache does not hold all of it", f"unset HF_HUB_OFFLINE, or {copy}"
    elif "TimeoutException" in names:
        why = f"{_endpoint()} did not answer in time"
        hint = f"try again later, set HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT to more seconds, or {copy}"
    elif names & {"HFValidationError", "HfUriError"}:
        failure, why, hint = missing, "it is no name of a repository, OWNER/NAME", "check the name, or " + copy
    elif isinstance(root, OSError) and root.errno and "TransportError" not in names:
        failure, why = missing, f"the cache in {constants.HF_HOME} cannot be used"
        hint = "set HF_HOME to a folder that can be written and has room"
    else:
        why, hint = f"the connection to {_endpoint()} failed", f"check the network and HF_ENDPOINT, or {copy}"
    said = " ".join(text.partition("Bearer")[0].split())[:300].strip()
    what = f"cannot load the {'data set' if kind == 'dataset' else 'model'} '{name}'"
    return XstiltsError(failure, what, f"{why}: {said}" if said else why, hint)


def _key(repository: Repository) -> tuple[RepositoryKind, str, str]:
    return repository.kind, repository.name, repository.commit


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)
