"""A small Hugging Face hub on 127.0.0.1 with models and data sets in memory, which huggingface_hub reads and writes.

Large files (by suffix) are on a second port, which must never see a token, as on the real hub. The fixture switches Xet
off, so the client uploads large files with the Git LFS protocol. Every request is recorded.
"""

import base64
import hashlib
import json
import re
import socket
import struct
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

LARGE = (".parquet", ".safetensors", ".bin", ".model", ".gz")
WRITE, READ, STRANGER = "hf_me_write", "hf_me_read", "hf_stranger_write"
USERS = {WRITE: "me", READ: "me", STRANGER: "stranger"}  # by token; READ may not write
_NAME, _REVISION, _PATH = r"/(?P<name>[\w.-]+/[\w.-]+)", "/(?P<revision>[^/]+)", "/(?P<path>.+)"
_API, _GIT = f"/api/(?P<kind>models|datasets){_NAME}", f"(/(?P<kind>datasets))?{_NAME}"
ROUTES = {
    "whoami": "/api/whoami-v2", "validate": "/api/validate-yaml", "create": "/api/repos/create",
    "info": f"{_API}(/revision{_REVISION})?", "tree": f"{_API}/tree{_REVISION}({_PATH})?",
    "paths_info": f"{_API}/paths-info{_REVISION}", "resolve": f"{_GIT}/resolve{_REVISION}{_PATH}",
    "preupload": f"{_API}/preupload{_REVISION}", "commit": f"{_API}/commit{_REVISION}",
    "lfs_batch": rf"{_GIT}\.git/info/lfs/objects/batch", "lfs_verify": rf"{_GIT}\.git/info/lfs/verify",
    "blob": "/lfs/(?P<sha256>[0-9a-f]{64})",
}  # fmt: skip


Request = namedtuple("Request", "method host path token route")


class Hub:
    """The server: its `url`, the `requests` to it, and the hosts that this process looked up in `contacted`."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}  # → commit, oldest first → files
        self.private: set[tuple[str, str]] = set()
        self.gated: set[tuple[str, str]] = set()
        self.blobs: dict[str, bytes] = {}  # by SHA-256
        self.requests, self.faults, self.contacted, self.closing = [], [], set(), threading.Event()
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self.url, self.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in self.servers)
        for server in self.servers:
            server.daemon_threads, server.hub = True, self
            server.handle_error = lambda *_: None  # some clients hang up
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def add(self, name: str, files: dict[str, bytes], kind: str = "models", private: bool = False) -> str:
        """Add a repository, or a commit to one, and return the id of the commit."""
        commits = self.repositories.setdefault((kind, name), {})
        self.private |= {(kind, name)} if private else set()
        self.blobs |= {digests(content)[1]: content for content in files.values()}
        commit = hashlib.sha1(repr((len(commits), sorted(files.items()))).encode()).hexdigest()
        commits[commit] = files
        return commit

    def files(self, name: str, kind: str = "models") -> dict[str, bytes]:
        """The files of the newest commit."""
        return list(self.repositories[kind, name].values())[-1]

    def fault(self, path: str, method: str = "", times: int = 1_000, **effect: Any) -> None:
        """Make the next `times` requests fail whose path contains the regular expression.

        `status` is answered with `body` and `headers`; `drop=N` cuts the connection after N bytes of content, without
        an answer for 0; `stall` waits so many seconds first, `pause` before the connection is cut; `truncate=N` and
        `damage=True` change the bytes of files.
        """
        self.faults.append({"path": path, "method": method, "times": times, **effect})


class Handler(BaseHTTPRequestHandler):
    protocol_version, log_message = "HTTP/1.1", staticmethod(lambda *_: None)

    def answer(self) -> None:
        self.hub, self.effect, url = self.server.hub, {}, urlsplit(self.path)
        self.body, self.query = self.rfile.read(int(self.headers.get("Content-Length") or 0)), parse_qs(url.query)
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.user, route = USERS.get(self.token, ""), ""
        for name, pattern in ROUTES.items():
            match = re.fullmatch(pattern, url.path)
            if match and (name == "blob") == (self.server is self.hub.servers[1]):
                route, self.parts = name, {key: unquote(part) for key, part in match.groupdict("").items()}
        host = self.headers["Host"].rpartition(":")[0]
        self.hub.requests.append(Request(self.command, host, self.path, self.token, route))
        for fault in self.hub.faults:
            if fault["times"] and fault["method"] in ("", self.command) and re.search(fault["path"], self.path):
                self.effect, fault["times"] = fault, fault["times"] - 1
                break
        self.hub.closing.wait(self.effect.get("stall", 0))
        if self.effect.get("drop") == 0 or self.hub.closing.is_set():
            self.cut()
        elif "status" in self.effect:
            self.send(self.effect["status"], self.effect.get("body", b"{}"), self.effect.get("headers"))
        elif not route:
            self.refuse(404, "Not Found")
        elif self.token and not self.user:
            self.refuse(401, "Invalid credentials in Authorization header")
        elif "name" not in self.parts or self.may_use_repository(route):
            getattr(self, route)()

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def may_use_repository(self, route: str) -> bool:
        """Whether the repository and its revision exist for the user; if not, the request is refused here."""
        name, revision = self.parts["name"], self.parts.get("revision") or "main"
        key, mine, anonymous = (self.parts["kind"] or "models", name), self.user == name.split("/")[0], not self.user
        commits, self.private = self.hub.repositories.get(key), key in self.hub.private
        if commits is None or (self.private and not mine):
            return self.refuse(401 if anonymous else 404, "Repository not found", "RepoNotFound")
        if route in ("preupload", "commit", "lfs_batch", "lfs_verify") and (not mine or self.token != WRITE):
            return self.refuse(401 if anonymous else 403, "You have no write access.")
        self.commit_id = list(commits)[-1] if revision == "main" and commits else revision
        self.files = commits.get(self.commit_id, {})
        return self.commit_id in (*commits, "main") or self.refuse(404, "Invalid rev id", "RevisionNotFound")

    def whoami(self) -> None:
        token = {"displayName": "test", "role": "read" if self.token == READ else "write"}
        facts = {"type": "user", "name": self.user, "orgs": [], "auth": {"accessToken": token}}
        self.json(facts) if self.user else self.refuse(401, "Invalid username or password.")

    def info(self) -> None:
        facts = {"id": self.parts["name"], "sha": self.commit_id, "private": self.private, "gated": False, "tags": []}
        files = []
        for path, content in self.files.items():
            (sha1, sha256), size = digests(content), len(content)
            lfs = {"lfs": {"sha256": sha256, "size": size, "pointerSize": 130}} if path.endswith(LARGE) else {}
            details = {"blobId": sha1, "size": size, **lfs} if "blobs" in self.query else {}
            files.append({"rfilename": path, **details})
        self.json(facts | {"siblings": files})

    def entry(self, path: str) -> dict[str, Any]:
        if path not in self.files:
            return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
        (sha1, sha256), size = digests(self.files[path]), len(self.files[path])
        lfs = {"lfs": {"oid": sha256, "size": size, "pointerSize": 130}} if path.endswith(LARGE) else {}
        return {"type": "file", "oid": sha1, "size": size, "path": path, **lfs}

    def paths(self) -> list[str]:
        """All files and folders."""
        return sorted({path[:i] for path in self.files for i in range(len(path) + 1) if path[i : i + 1] in ("", "/")})

    def tree(self) -> None:
        folder = self.parts["path"] and self.parts["path"] + "/"
        inside = [path for path in self.paths() if path.startswith(folder)]
        if self.query.get("recursive", [""])[0].lower() != "true":
            inside = [path for path in inside if "/" not in path.removeprefix(folder)]
        missing = folder and not inside
        self.refuse(404, "no such folder", "EntryNotFound") if missing else self.json([*map(self.entry, inside)])

    def paths_info(self) -> None:
        wanted = parse_qs(self.body.decode()).get("paths", [])
        self.json([self.entry(path) for path in wanted if path in self.paths()])

    def resolve(self) -> None:
        path, headers = self.parts["path"], {"X-Repo-Commit": self.commit_id}
        if (self.parts["kind"] or "models", self.parts["name"]) in self.hub.gated and self.user != "me":
            status = 403 if self.user else 401
            return self.refuse(status, f"Access to {self.parts['name']} is restricted.", "GatedRepo", headers)
        if path not in self.files:
            return self.refuse(404, "Entry not found", "EntryNotFound", headers)
        (sha1, sha256), content = digests(self.files[path]), self.files[path]
        if not path.endswith(LARGE):
            return self.send_file(content, headers | {"ETag": f'"{sha1}"'})
        headers |= {"ETag": f'"{sha256}"', "X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
        self.send(302, b"", headers | {"Location": f"{self.hub.storage}/lfs/{sha256}?Signature=x"})

    def create(self) -> None:
        wish = json.loads(self.body)
        kind, name = f"{wish.get('type', 'model')}s", f"{wish['organization'] or self.user}/{wish['name']}"
        if self.token != WRITE or wish["organization"] not in (None, self.user):
            return self.refuse(403 if self.user else 401, f"You don't have the rights to create {name}")
        if (kind, name) in self.hub.repositories:
            return self.refuse(409, "You already created this repo")
        self.hub.repositories[kind, name] = {}
        self.hub.private |= {(kind, name)} if wish.get("visibility") == "private" else set()
        self.json({"url": f"{self.hub.url}/{'datasets/' * (kind == 'datasets')}{name}", "name": name, "id": "0"})

    def preupload(self) -> None:
        answers = []
        for path in (file["path"] for file in json.loads(self.body)["files"]):
            large, known = path.endswith(LARGE), self.files.get(path)
            facts = {"uploadMode": "lfs" if large else "regular", "oid": known and digests(known)[large]}
            answers.append({"path": path, "shouldIgnore": False, **facts})
        self.json({"files": answers})

    def lfs_batch(self) -> None:
        objects = json.loads(self.body)["objects"]
        for item in objects:
            upload = {"href": f"{self.hub.storage}/lfs/{item['oid']}?Signature=x"}
            verify = {"href": self.hub.url + self.path.replace("objects/batch", "verify")}
            item |= {} if item["oid"] in self.hub.blobs else {"actions": {"upload": upload, "verify": verify}}
        self.json({"transfer": "basic", "objects": objects})

    def lfs_verify(self) -> None:
        self.json({}) if json.loads(self.body)["oid"] in self.hub.blobs else self.refuse(422, "no such object")

    def blob(self) -> None:
        sha256 = self.parts["sha256"]
        if self.token or (self.command == "PUT" and digests(self.body)[1] != sha256):
            self.refuse(400, "the storage must not see a token" if self.token else "BadDigest")
        elif self.command == "PUT":
            self.hub.blobs[sha256] = self.body
            self.send(200, b"")
        else:
            self.send_file(self.hub.blobs[sha256], {"ETag": f'"{sha256}"'})

    def validate(self) -> None:
        self.json({"errors": [], "warnings": []})

    def commit(self) -> None:
        files = dict(self.files)
        for line in self.body.splitlines():
            key, value = json.loads(line).values()
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        commit = self.hub.add(self.parts["name"], files, self.parts["kind"])
        self.json({"commitOid": commit, "commitUrl": f"{self.hub.url}/{self.parts['name']}/commit/{commit}"})

    def send_file(self, content: bytes, headers: dict[str, str]) -> None:
        """Send a file, or the range that was asked for; a fault may change its bytes."""
        if self.effect.get("damage"):
            content = content[:-1] + bytes([content[-1] ^ 255])
        content, status = content[: self.effect.get("truncate")], 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            headers |= {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
            content, status = content[first : last + 1], 206
        self.send(status, content, headers | {"Accept-Ranges": "bytes"})

    def json(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> bool:
        reason = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.send(status, json.dumps({"error": message}).encode(), reason | (headers or {}))
        return False

    def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": len(content)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content[: self.effect.get("drop")])
        self.hub.closing.wait(self.effect.get("pause", 0))
        if "drop" in self.effect:
            self.cut()

    def cut(self) -> None:
        """End the connection with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


def digests(content: bytes) -> tuple[str, str]:
    """The ids of a file: Git's SHA-1 of the blob, and SHA-256 of the content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(), hashlib.sha256(content).hexdigest()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub in place of the real one for this process and its children, logged in as `me`; no other host answers."""
    from datasets import config
    from huggingface_hub import close_session, constants, hf_api
    from huggingface_hub.utils import _http

    hub, home, look_up = Hub(), tmp_path / "hf_home", socket.getaddrinfo
    switches = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
    variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": WRITE, "NO_PROXY": "127.0.0.1"}
    for name, value in {**switches, **variables}.items():
        monkeypatch.setenv(name, value)
    # These modules read the environment when they were imported.
    template, files = (
        "/{repo_id}/resolve/{revision}/{filename}",
        {"HF_HOME": "", "HF_HUB_CACHE": "hub", "HF_ASSETS_CACHE": "assets"},
    )
    for name, file in {**files, "HF_TOKEN_PATH": "token", "AGENT_HARNESSES_PATH": "agents"}.items():
        monkeypatch.setattr(constants, name, str(home / file))
    for module, name, value in (
        (constants, "ENDPOINT", hub.url), (constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + template),
        (constants, "HF_HUB_DISABLE_XET", True), (constants, "HF_HUB_OFFLINE", False),
        (hf_api.api, "endpoint", hub.url), (_http, "_HUB_ORIGINS", frozenset({_http._url_origin(hub.url)})),
        (config, "HF_ENDPOINT", hub.url), (config, "HF_UPDATE_DOWNLOAD_COUNTS", False),
        (config, "HF_DATASETS_CACHE", home / "datasets"), (config, "DOWNLOADED_DATASETS_PATH", home / "downloads"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)

    def only_this_machine(host, *arguments, **options):
        name = host.decode() if isinstance(host, bytes) else host
        hub.contacted.add(name)
        if name != "127.0.0.1":
            raise socket.gaierror(f"tests have no network: {host}")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", only_this_machine)
    close_session()
    yield hub
    close_session()
    hub.close()
