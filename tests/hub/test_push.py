"""A model folder is pushed to a hub on this machine: what arrives, what stays, and every way in which it can fail."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from hub_server import READ, STRANGER, WRITE
from support import invoke
from xstilts.errors import XstiltsError
from xstilts.workflows import push as module
from xstilts.workflows.push import push

MODEL = {
    "README.md": b"---\nlicense: mit\n---\n# Reviews\n",
    "config.json": b'{"model_type": "bert"}',
    "metrics.json": b'{"sw": 0.8}',
    "model.safetensors": save({"weight": np.arange(2560, dtype=np.int32)}),
    "sentencepiece.bpe.model": b"\0pieces",
    "tokenizer.json": "{“✓”}".encode(),
}
OTHERS = {"optimizer.pt": b"p", "pytorch_model.bin": b"p", "run/data/train.csv": b"private", "vectors.pkl": b"p"}


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    for name, content in {**MODEL, **OTHERS}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def routes(hub):
    return [request.route for request in hub.requests]


def refusal(*arguments, kind, **options):
    """Push, which must fail with an error of that kind, in three parts and without a token, and return the error."""
    with pytest.raises(XstiltsError) as caught:
        push(*arguments, **options)
    error = caught.value
    assert error.kind == kind and error.what and error.why and error.hint
    assert not any(token in str(error) for token in (WRITE, READ, STRANGER))
    return error


def test_what_arrives_is_what_was_pushed(hub, model):
    result = push(model, "me/reviews", message="First")
    assert hub.files("me/reviews") == MODEL
    assert result.files == tuple(MODEL)
    assert result.left_out == ("optimizer.pt", "pytorch_model.bin", "run/", "vectors.pkl")
    assert result.url == f"{hub.url}/me/reviews/commit/{next(iter(hub.repositories['models', 'me/reviews']))}"
    assert {request.host for request in hub.requests} == hub.contacted == {"127.0.0.1"}
    assert not any("xet" in request.path for request in hub.requests)
    assert {request.token for request in hub.requests if request.route == "blob"} == {""}
    assert routes(hub).count("commit") == 1  # everything becomes visible at once


def test_a_second_push_sends_only_what_changed(hub, model):
    hub.add("me/reviews", {"notes.txt": b"by hand"})
    first = push(model, "me/reviews")
    assert push(model, "me/reviews").url == first.url
    assert (routes(hub).count("blob"), routes(hub).count("create")) == (2, 0)
    (model / "config.json").write_bytes(b"{}")
    assert push(model, "me/reviews").url != first.url
    assert hub.files("me/reviews") == {**MODEL, "config.json": b"{}", "notes.txt": b"by hand"}
    assert routes(hub).count("blob") == 2


def test_what_was_pushed_can_be_read(hub, model, naps):
    from huggingface_hub import hf_hub_download, snapshot_download

    push(model, "me/reviews", private=True)
    folder = snapshot_download("me/reviews")
    assert {name: (model.parent / folder / name).read_bytes() for name in MODEL} == MODEL
    hub.fault("/lfs/", damage=True)
    path = hf_hub_download("me/reviews", "model.safetensors", force_download=True)
    damaged = (model.parent / path).read_bytes()
    assert len(damaged) == len(MODEL["model.safetensors"]) and damaged != MODEL["model.safetensors"]
    hub.faults[0]["truncate"] = 100
    with pytest.raises(OSError):
        hf_hub_download("me/reviews", "model.safetensors", force_download=True)


def test_data_sets_can_be_read(hub):
    import datasets

    commit = hub.add("me/reviews", {"en/test.csv": b"text,label\nfine,good\n"}, kind="datasets", private=True)
    loaded = datasets.load_dataset("me/reviews", data_files={"test": "en/test.csv"}, revision=commit)
    assert loaded["test"].to_list() == [{"text": "fine", "label": "good"}]
    assert hub.contacted == {"127.0.0.1"}


@pytest.mark.parametrize("private", [True, False])
def test_a_new_repository_is_as_private_as_asked_for(hub, model, private):
    push(model, "me/reviews", private=private)
    assert bool(hub.private) == private


def test_a_private_push_to_an_existing_repository(hub, model):
    hub.add("me/open", {"a": b"a"})
    hub.add("me/closed", {}, private=True)
    refusal(model, "me/open", private=True, kind="inconsistent")
    assert hub.files("me/open") == {"a": b"a"} and len(hub.blobs) == 1
    push(model, "me/closed", private=True)
    assert hub.files("me/closed") == MODEL


def test_a_hub_that_ignores_the_visibility_gets_no_file(hub, model):
    body = json.dumps({"url": f"{hub.url}/me/reviews"}).encode()
    hub.fault("/create", status=200, body=body)
    hub.fault("/api/models/me/reviews", times=1, status=404, headers={"X-Error-Code": "RepoNotFound"})
    hub.add("me/reviews", {})
    refusal(model, "me/reviews", private=True, kind="inconsistent")
    assert "preupload" not in routes(hub)


def test_a_dry_run_contacts_nobody(hub, model, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    result = push(model, "me/reviews", private=True, dry_run=True)
    assert (result.files, result.url) == (tuple(MODEL), "")
    assert (hub.requests, hub.contacted) == ([], set())


@pytest.mark.parametrize("missing", [["config.json"], ["model.safetensors"], list(MODEL)])
def test_a_folder_without_a_model(hub, model, missing):
    for name in missing:
        (model / name).unlink()
    assert refusal(model, "me/reviews", kind="missing-model").code == 3
    assert not hub.requests


@pytest.mark.parametrize("content", [b"", MODEL["model.safetensors"][:-1], b"version https://git-lfs.github.com"])
def test_weights_that_nobody_could_load_are_not_pushed(hub, model, content):
    (model / "model.safetensors").write_bytes(content)
    refusal(model, "me/reviews", kind="bad-file")
    assert not hub.requests


def test_a_folder_that_does_not_exist(hub, tmp_path):
    refusal(tmp_path / "none", "me/reviews", kind="missing-model")


@pytest.mark.parametrize("name", ["reviews", "a/b/c", "me/", "/reviews", "me/re views", "me/a--b", "../x", ""])
def test_a_repository_must_be_owner_and_name(hub, model, name):
    assert refusal(model, name, kind="bad-argument").code == 2
    assert not hub.requests


def test_links_may_not_leave_the_folder(hub, model, tmp_path):
    (model / "vocab.txt").symlink_to("tokenizer.json")
    (model / "notes").symlink_to(tmp_path)
    result = push(model, "me/reviews", dry_run=True)
    assert "vocab.txt" in result.files and "notes/" in result.left_out
    (tmp_path / "secret").write_text("secret")
    (model / "LICENSE").symlink_to(tmp_path / "secret")
    refusal(model, "me/reviews", kind="unsafe")
    assert not hub.requests


def test_without_a_token(hub, model, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    error = refusal(model, "me/reviews", kind="no-access")
    assert error.code == 3 and "hf auth login" in error.hint and "HF_TOKEN" in error.hint
    assert not hub.requests


@pytest.mark.parametrize(("token", "repository", "says", "kind"), [
    ("hf_unknown", "me/reviews", "hf auth login", "no-access"),
    (READ, "me/reviews", "/settings/tokens", "no-access"),
    (STRANGER, "me/reviews", "me/reviews", "no-access"),
    (STRANGER, "me/existing", "me/existing", "no-access"),
    ("hf_never\x0bshown", "me/reviews", "try again", "network"),
])  # fmt: skip
def test_a_token_that_does_not_suffice(hub, model, monkeypatch, token, repository, says, kind):
    hub.add("me/existing", {})
    monkeypatch.setenv("HF_TOKEN", token)
    error = refusal(model, repository, kind=kind)
    assert error.code == 3 and says in error.hint and token not in str(error) and "never" not in str(error)
    assert not hub.blobs


@pytest.mark.parametrize(("path", "effect", "says"), [
    ("/create", {"status": 409}, "conflict"),
    ("/commit/", {"status": 409, "body": b'{"error": "A commit has happened since."}'}, "since"),
    ("/validate-yaml", {"status": 400, "body": b'{"errors": [{"message": "license is unknown"}]}'}, "license"),
    ("/commit/", {"status": 429, "headers": {"Retry-After": "3600"}}, "rate"),
    ("/commit/", {"status": 500, "body": b"<html>"}, "500"),
    ("/validate-yaml", {"status": 502, "body": b"<html>", "headers": {"Content-Type": "text/html"}}, "failed"),
    ("/lfs/[0-9a-f]{64}", {"status": 503}, "503"),
    ("/preupload/", {"status": 500}, "500"),
    ("/api/models", {"drop": 0}, "connection"),
    ("/commit/", {"drop": 5}, "connection"),
    ("/commit/", {"stall": 5}, "connection"),
])  # fmt: skip
def test_faults_of_the_hub(hub, model, naps, monkeypatch, path, effect, says):
    monkeypatch.setattr(module, "TIMEOUT", 0.5)
    hub.fault(path, **effect)
    error = refusal(model, "me/reviews", kind="network")
    assert error.code == 3 and says in error.why
    assert sum(naps) < 100 and ("3600" in error.hint) == ("headers" in effect and "Retry-After" in effect["headers"])


def test_a_hub_that_limits_the_rate(hub, model, naps):
    for path in ("/create", "/preupload/", "/commit/"):
        hub.fault(path, times=1, status=429, headers={"Retry-After": "7"})
    push(model, "me/reviews")
    assert hub.files("me/reviews") == MODEL
    assert len(naps) == 3 and min(naps) >= 7
    assert routes(hub).count("blob") == 2  # uploads are not repeated
    hub.fault("/preupload/", status=429)
    refusal(model, "me/reviews", kind="network")


def test_uploads_that_fail_are_repeated(hub, model, naps):
    hub.fault("/lfs/[0-9a-f]{64}", times=2, status=503)
    hub.fault("/lfs/[0-9a-f]{64}", times=1, drop=0)
    push(model, "me/reviews")
    assert hub.files("me/reviews") == MODEL


def test_without_a_network(hub, model, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
    refusal(model, "me/reviews", kind="network")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refusal(model, "me/reviews", kind="network").hint
    assert hub.contacted == {"hub.invalid"}


def test_the_command(hub, model):
    listed = json.loads(invoke("push", model, "me/reviews", "--dry-run", "--json"))
    assert (listed["files"], listed["url"], hub.requests) == (list(MODEL), "", [])
    assert "left out: pytorch_model.bin" in invoke("push", model, "me/reviews", "--dry-run")
    assert f"{hub.url}/me/reviews/commit/" in invoke("push", model, "me/reviews", "--private", "--message", "First")
    assert "error: cannot push" in invoke("push", model, "you/reviews", code=3)
