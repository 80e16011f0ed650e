"""Push a model folder to the Hugging Face hub, as one commit."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from xstilts.errors import Kind, XstiltsError
from xstilts.hub_access import ATTEMPTS, LONGEST_WAIT, response_of
from xstilts.workflows.model import STUDY, load

CONFIGURATION_FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model", "spm.model",
    "LICENSE*",
)  # fmt: skip
"""What a model needs besides its weights: configuration, tokenizer, licence."""
MODEL_FILES = (
    *CONFIGURATION_FILES, "*.safetensors", "model.safetensors.index.json", "README.md", "xstilts.json", "metrics*.json",
)  # fmt: skip
"""The only files that are pushed: no pickles, and nothing of the folder `run`, which holds the training data."""
TIMEOUT = 120.0
"""Seconds to wait for a byte from the hub."""
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token with write access: {site}/settings/tokens"
FAILURES = {
    0: ("the connection to {site} failed", "check the network, HF_ENDPOINT and HF_HUB_OFFLINE, and try again"),
    401: ("the hub rejects the token", LOG_IN),
    403: ("the token may not write", "allow it at {site}/settings/tokens, or ask for access to {site}/{name}"),
    409: ("the hub reports a conflict", "if you cannot open {site}/{name}, choose another name; else try again"),
    429: ("the hub limits the rate of requests", "try again in {wait} seconds"),
}
"""Status of a response, or 0 without one → why, and how to fix it."""


@dataclass(frozen=True)
class Push:
    """The names of the pushed files and of those left out, and the URL of the commit: "" for a dry run."""

    files: tuple[str, ...]
    left_out: tuple[str, ...]
    url: str = ""


def push(
    folder: str | Path, repository: str, *, private: bool = False, dry_run: bool = False, message: str = "Push model"
) -> Push:
    """Push the model in a folder to `OWNER/NAME` on the hub; the repository is created if it does not exist.

    `private` refuses an existing public repository; `dry_run` lists the files without contacting the hub; `message` is
    the title of the commit, which adds all files or none. Raises XstiltsError if the folder holds no model, if a file
    is not what `train` wrote, if there is no token, or if the hub refuses or does not answer.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> weights = b"\\x02" + bytes(7) + b"{}"  # a file of no tensors
    >>> for name, content in {"config.json": b"{}", "model.safetensors": weights, "pytorch_model.bin": b""}.items():
    ...     written = (folder / name).write_bytes(content)
    >>> push(folder, "me/reviews", dry_run=True)
    Push(files=('config.json', 'model.safetensors'), left_out=('pytorch_model.bin',), url='')
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    files, left_out = model_files(Path(folder))
    if STUDY in files:
        load(folder).verify()
    try:
        validate_repo_id(repository if repository.count("/") == 1 else "")
    except HFValidationError:
        what, hint = f"'{repository}' is not a valid repository name", "give OWNER/NAME, for example me/reviews"
        why = "it must be an owner and a name, of letters, digits, '-', '_' and '.'"
        raise XstiltsError("bad-argument", what, why, hint) from None
    return Push(files, left_out, "" if dry_run else _commit(Path(folder), files, repository, private, message))


def model_files(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the files of the model in a folder, and all other names; raises XstiltsError if it holds none."""
    if not folder.is_dir():
        raise XstiltsError("missing-model", f"there is no folder {folder}", "a push needs a model", "check the path")
    files, left_out = [], []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not any(fnmatchcase(path.name, pattern) for pattern in MODEL_FILES):
            left_out.append(f"{path.name}{'/' * path.is_dir()}")
        elif path.resolve().is_relative_to(folder.resolve()):
            files.append(path.name)
        else:
            why, hint = f"it links to {path.resolve()}", "replace the link by a copy of the file"
            raise XstiltsError("unsafe", f"{path} lies outside the folder", why, hint)
    if "config.json" not in files or not any(name.endswith(".safetensors") for name in files):
        why = "config.json or *.safetensors is missing, and pickles such as *.bin are never pushed"
        raise XstiltsError("missing-model", f"there is no model in {folder}", why, "write one with `save_pretrained`")
    for name in files:
        if name.endswith(".safetensors"):
            _check_weights(folder / name)
    return tuple(files), tuple(left_out)


def _check_weights(file: Path) -> None:
    """Raise XstiltsError if a file of weights is empty, cut off or of another format."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np"):
            pass
    except (SafetensorError, OSError) as error:
        why, hint = f"{file.stat().st_size:,} bytes: {error}", "save the model again with `save_pretrained`"
        raise XstiltsError("bad-file", f"{file} does not hold weights", why, hint) from None


def _commit(folder: Path, files: Sequence[str], name: str, private: bool, message: str, attempt: int = 1) -> str:
    """The URL of a new commit; if the hub limits the rate of requests, all is repeated except the uploads."""
    from huggingface_hub import CommitOperationAdd, HfApi, get_session, get_token
    from huggingface_hub.utils import RepositoryNotFoundError

    what, token, api, session = f"cannot push to '{name}'", "", HfApi(library_name="xstilts"), get_session()
    additions, usual_timeout = [CommitOperationAdd(file, folder / file) for file in files], session.timeout
    session.timeout = TIMEOUT  # the client would wait forever
    try:
        api.token = token = get_token() or ""
        if not token:
            raise XstiltsError("no-access", what, "no token is set", LOG_IN.format(site=api.endpoint))
        try:
            public = not api.model_info(name).private
        except RepositoryNotFoundError as error:
            if error.response.status_code != 404:
                raise
            api.create_repo(name, private=private or None)  # None: as the organization has set it
            public = private and not api.model_info(name).private
        if private and public:
            hint = "choose another name, or make the repository private on the hub first"
            raise XstiltsError("inconsistent", f"{what} as private", "the repository is public", hint)
        return api.create_commit(name, additions, commit_message=message).commit_url
    except XstiltsError:
        raise
    except Exception as error:  # the client raises the errors of its HTTP library and of its upload library
        status, answer, wait = response_of(error)
    finally:
        session.timeout = usual_timeout
    if status == 429 and attempt < ATTEMPTS and wait <= LONGEST_WAIT:
        time.sleep(wait)
        return _commit(folder, files, name, private, message, attempt + 1)
    why, hint = FAILURES.get(status, ("the hub failed", "fix what it names, or try again later"))
    answer = " ".join(answer.partition("Bearer")[0].replace(token or "Bearer", "…").split())  # it may quote the token
    values = {"site": api.endpoint, "name": name, "wait": wait}
    kind: Kind = "no-access" if status in (401, 403) else "network"
    raise XstiltsError(kind, what, f"{why.format(**values)}: {answer[:300]}", hint.format(**values))
