"""Data sets and models are loaded from a hub on this machine, under every fault of hub, network and cache."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from hub_server import READ, STRANGER, WRITE
from support import invoke
from xstilts.data import hub as hub_module
from xstilts.data.examples import load_examples
from xstilts.engine import Step
from xstilts.errors import XstiltsError
from xstilts.models.encoders import load_base, load_tokenizer
from xstilts.runs.study_progress import downloading
from xstilts.tasks.data_source import FileSource, HubSource, parts
from xstilts.tasks.task import Task, catalogue

LABELS = ("entailment", "neutral", "contradiction")
COLUMNS = {"text_a": "premise", "text_b": "hypothesis", "label": "label"}
KINDS = ("parquet", "files", "model")


@pytest.fixture(autouse=True)
def no_memory_of_other_tests():
    hub_module._hub_builder.cache_clear()


def task(kind, revision="", **more):
    sources = {
        "parquet": {"hub": "me/nli", "config": "{lang}", "columns": COLUMNS},
        "files": {"hub": "me/files", "format": "table", "files": {"train": "{lang}.tsv"},
                  "columns": {"text_a": 0, "text_b": 1, "label": 2}},
    }  # fmt: skip
    source = sources[kind] | {"revision": revision} | more
    return Task(name="nli", type="classification", labels=LABELS, languages=("en", "sw"), source=source)


def load(kind, revision=""):
    """What is loaded from one of the three repositories: the first texts of a data set, or the weights of a model."""
    if kind == "model":
        load_tokenizer("me/model", revision or None)
        return {n: tensor for n, tensor in load_base("me/model").state_dict().items() if "pooler" not in n}  # random
    return load_examples(task(kind, revision), "train", "sw", None, {}).table["text_a"].to_pylist()


def same(first, second):
    return all(torch.equal(first[n], second[n]) for n in first) if isinstance(first, dict) else first == second


def refusal(kind, failure, load=load):
    """Load, which must fail with an error of that kind, exit status 3 and no token in it, and return the error."""
    with pytest.raises(XstiltsError) as caught:
        load(kind)
    error = caught.value
    assert error.code == 3 and error.what and error.why and error.hint
    assert error.kind in failure if isinstance(failure, tuple) else error.kind == failure
    assert not any(token in str(error) for token in (WRITE, READ, STRANGER))
    return error


def fetched(hub):
    """The names of the files that were asked for."""
    listed = {r.path.split("?")[0] for r in hub.requests if r.route == "resolve"}
    return sorted(path.rpartition("/resolve/")[2].partition("/")[2] for path in listed)


@contextmanager
def offline(monkeypatch):
    from huggingface_hub import constants

    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        yield


def home():
    from huggingface_hub import constants

    return Path(constants.HF_HOME)


def blobs(suffix):
    """The large files in the cache whose name ends so."""
    return [path.resolve() for path in home().rglob(f"*{suffix}") if path.is_symlink()]


def test_only_the_files_of_a_split_are_fetched(hub, repositories):
    words = load("parquet", repositories[0])
    assert len(words) == 600 and set(words) == {f"first sw {i}" for i in range(300)}
    assert fetched(hub) == ["README.md", "sw/train-00000-of-00002.parquet", "sw/train-00001-of-00002.parquet"]
    labels = load_examples(task("parquet"), "validation", "en", None, {}).table["label"].to_pylist()
    assert labels == [*LABELS] * 100


def test_only_the_files_that_a_model_needs_are_fetched(hub, repositories):
    others = {"onnx/model.onnx": b"o", "tf_model.h5": b"h", "pytorch_model.bin": b"p", "modeling.py": b"raise"}
    hub.add("me/model", {**hub.files("me/model"), **others})
    load("model")
    assert "model.safetensors" in fetched(hub) and not others.keys() & {*fetched(hub)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("effect", "failure"), [
    ({"drop": 0}, "network"), ({"stall": 5}, "network"), ({"status": 500}, "network"),
    ({"status": 429, "headers": {"Retry-After": "3600"}}, "network"),
    ({"status": 401}, "no-access"), ({"status": 403}, "no-access"),
    ({"status": 404}, ("missing-data", "missing-model")),
])  # fmt: skip
def test_faults_of_a_hub_that_answers_nothing_else(hub, repositories, naps, kind, effect, failure):
    hub.fault("", **effect)
    error = refusal(kind, failure)
    assert sum(naps) < 30 and len(hub.requests) <= 4
    if failure == "no-access":
        assert "HF_TOKEN" in error.hint and f"{hub.url}/{'' if kind == 'model' else 'datasets/'}me/" in error.hint
    if "headers" in effect:
        assert "3600" in error.hint


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("effect", [
    {"drop": 0}, {"drop": 5}, {"truncate": 5}, {"damage": True}, {"status": 500}, {"status": 403},
    {"pause": 5, "drop": 5},
])  # fmt: skip
def test_faults_of_the_files_themselves(hub, repositories, naps, kind, effect):
    """The list of files arrives, they do not; after the fault nothing is left of it."""
    hub.fault("/lfs/" if kind != "files" else "/resolve/", "GET", **effect)
    refusal(kind, "no-access" if "status" in effect and effect["status"] == 403 else "network")
    assert sum(naps) < 60
    hub.faults.clear()
    expected = [f"second sw {i}" for i in range(300)] * 2 if kind == "parquet" else ["a sw"]
    assert load(kind) if kind == "model" else load(kind) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("effect", [{"drop": 5}, {"truncate": 5}, {"damage": True}, {"status": 503}])
def test_a_single_fault_inside_a_file_is_made_good(hub, repositories, naps, kind, effect):
    hub.fault("/lfs/" if kind != "files" else "/resolve/", "GET", times=1, **effect)
    assert len(load(kind)) and not hub.faults[0]["times"]


@pytest.mark.parametrize(("kind", "path", "method"), [
    ("parquet", "/api/datasets/", "GET"), ("parquet", "/resolve/.*README", "HEAD"),
    ("parquet", "/resolve/.*sw", "HEAD"), ("parquet", "/lfs/", "GET"), ("files", "/resolve/", "GET"),
    ("model", "/api/models/", "GET"), ("model", "/lfs/", "GET"),
])  # fmt: skip
def test_a_hub_that_limits_the_rate_is_given_the_time_that_it_asks_for(hub, repositories, naps, kind, path, method):
    hub.fault(path, method, times=2, status=429, headers={"Retry-After": "7"})
    assert len(load(kind))
    assert not hub.faults[0]["times"] and sum(nap >= 7 for nap in naps) >= (1 if method == "HEAD" else 2)


@pytest.mark.parametrize(("kind", "suffix"), [("parquet", ".parquet"), ("model", ".safetensors")])
def test_a_damaged_file_in_the_cache_is_fetched_again(hub, repositories, monkeypatch, kind, suffix):
    intact = load(kind)
    for blob in blobs(suffix):
        content = blob.read_bytes()
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 255]))
    with offline(monkeypatch):
        assert "damaged" in refusal(kind, "network").what
    assert same(load(kind), intact)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_loaded_once_is_loaded_without_a_network(hub, repositories, monkeypatch, naps, kind):
    loaded = load(kind)
    hub.requests.clear()
    with offline(monkeypatch):
        assert same(load(kind), loaded)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://hub.invalid")
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", "http://hub.invalid")
    assert same(load(kind), loaded)
    assert not hub.requests and sum(naps) < 5


def test_two_revisions_in_the_cache_are_told_apart(hub, repositories, monkeypatch):
    for revision in repositories:
        load("parquet", revision)
    with offline(monkeypatch):
        first, second = (load("parquet", revision)[0] for revision in repositories)
        assert (first, second) == ("first sw 0", "second sw 0")
        error = refusal("parquet", "network", lambda kind: load(kind, "0" * 40))
        assert "HF_HUB_OFFLINE" in error.why


def test_a_pinned_repository_in_the_cache_needs_no_request(hub, repositories):
    load("parquet", repositories[0])
    hub.requests.clear()
    load("parquet", repositories[0])
    assert not hub.requests


@pytest.mark.parametrize("name", [name for name, entry in catalogue().items()
                                  if isinstance(entry.source, HubSource | FileSource) and entry.source.files
                                  and entry.source.hub])  # fmt: skip
def test_files_that_an_entry_names_are_read_without_a_network_after_a_download(hub, monkeypatch, name):
    entry = catalogue()[name]
    code = entry.languages[0]
    split = next(iter(entry.source.files))
    columns = [part for column in entry.source.columns.values() for part in parts(column)] or ["context"]
    stream = pa.BufferOutputStream()
    pq.write_table(pa.table({column: ["0"] for column in columns}), stream)
    table = "\t".join(columns) + "\n" + "\t".join("0" for _ in columns)
    content = table.encode() if isinstance(entry.source, FileSource) else stream.getvalue().to_pybytes()
    files = [hub_module.fill(entry.source, text, code, split).replace("*", "0") for text in entry.source.files.values()]
    commit = hub.add(entry.source.hub, dict.fromkeys([*files, "other.parquet"], content), kind="datasets")
    entry = entry.model_copy(update={"source": entry.source.model_copy(update={"revision": commit})})
    examples = load_examples(entry, split, code, None, {})
    assert len(examples.table) + len(examples.rejected) == len(fetched(hub)) == 1
    with offline(monkeypatch):
        again = load_examples(entry, split, code, None, {})
        assert again.table.equals(examples.table) and again.rejected == examples.rejected


def test_a_cache_that_another_program_filled_is_read_without_a_network(hub, repositories, monkeypatch):
    from huggingface_hub import snapshot_download

    snapshot_download("me/nli", repo_type="dataset", revision=repositories[0])
    snapshot_download("me/model")
    with offline(monkeypatch):
        assert load("parquet", repositories[0])[0] == "first sw 0" and load("model")


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_that_cannot_be_written(hub, repositories, monkeypatch, kind):
    from huggingface_hub import constants

    loaded = load(kind)
    place = Path(tempfile.mkdtemp())  # the folders of `tmp_path` cannot be read by other users
    try:
        shutil.copytree(home(), place / "home", symlinks=True)
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444) if not path.is_symlink() else None
        for name, part in {"HF_HOME": "", "HF_HUB_CACHE": "hub", "HF_ASSETS_CACHE": "assets"}.items():
            monkeypatch.setattr(constants, name, str(place / "home" / part))
        with another_user():
            assert same(load(kind), loaded)
            hub.add("me/other", {"config.json": b"{}", "model.safetensors": b""})
            hub.add("me/nli", {**hub.files("me/nli", "datasets"), "new": b""}, kind="datasets")
            if kind != "files":
                error = refusal(kind, ("missing-data", "missing-model"), lambda kind: (
                    load_base("me/other") if kind == "model" else load(kind)))  # fmt: skip
                assert "HF_HOME" in error.hint
    finally:
        for path in (place, *place.rglob("*")):
            path.chmod(0o755) if path.is_dir() else None
        shutil.rmtree(place)


@contextmanager
def another_user():
    """Runs as a user without rights, if this one is allowed everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_gated_data_say_which_token_they_want_and_where_to_ask(hub, repositories, monkeypatch):
    hub.gated |= {("datasets", "me/nli"), ("models", "me/model")}
    for token in (STRANGER, ""):
        monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
        for kind, page in (("parquet", "datasets/me/nli"), ("model", "me/model")):
            error = refusal(kind, "no-access")
            assert "HF_TOKEN" in error.hint and f"{hub.url}/{page}" in error.hint
    monkeypatch.setenv("HF_TOKEN", READ)
    assert load("parquet") and load("model")


@pytest.mark.parametrize(("kind", "change", "failure"), [
    ("parquet", {"config": "xx"}, "missing-data"), ("parquet", {"splits": {"train": "test"}}, "missing-data"),
    ("parquet", {"revision": "f" * 40}, "missing-data"), ("parquet", {"hub": "me/none"}, "missing-data"),
    ("files", {"files": {"train": "none.tsv"}}, "missing-data"),
])  # fmt: skip
def test_what_a_repository_does_not_have(hub, repositories, kind, change, failure):
    refusal(kind, failure, lambda kind: load_examples(task(kind, **change), "train", "sw", None, {}))


def test_models_without_weights(hub, repositories, encoder_folder, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(encoder_folder("bert") / name, tmp_path)
    hub.add("me/empty", {path.name: path.read_bytes() for path in tmp_path.iterdir()})
    for place in ("me/empty", "me/none", "no such/name", tmp_path, tmp_path / "none"):
        refusal(place, "missing-model", load_base)


def test_an_index_of_weights_names_files_of_its_repository_alone(hub, repositories, encoder_folder):
    files = {path.name: path.read_bytes() for path in encoder_folder("bert").iterdir()}
    weights = files.pop("model.safetensors")
    for name in ("../../../../outside.safetensors", "/etc/passwd", "other.safetensors"):
        index = json.dumps({"metadata": {}, "weight_map": {"a": "part.safetensors", "b": name}}).encode()
        hub.add("me/index", files | {"model.safetensors.index.json": index, "part.safetensors": weights})
        with pytest.raises(XstiltsError) as caught:
            load_base("me/index")
        assert caught.value.kind == "bad-file"


def entry_file(folder, hub_name="me/nli"):
    """A file of tasks with one of a data set without a pinned revision."""
    entry = task("parquet", hub=hub_name).model_dump(mode="json", exclude_defaults=True, exclude={"name"})
    (folder / "tasks.yaml").write_text(yaml.safe_dump({"nli": entry}))
    return folder / "tasks.yaml"


@pytest.mark.parametrize("effect", [{"drop": 0}, {"status": 401}, {"status": 500}, {"status": 404}])
def test_a_check_of_data_fails_once_for_all_languages(hub, repositories, naps, tmp_path, effect):
    hub.fault("", **effect)
    printed = invoke("data", "check", "nli", "--tasks", entry_file(tmp_path), code=3)
    assert "Traceback" not in printed and len(hub.requests) <= 4


def test_a_check_of_data_that_loses_the_network_stops(hub, repositories, naps, tmp_path):
    hub.fault("/lfs/", status=500)
    invoke("data", "check", "nli", "--tasks", entry_file(tmp_path), code=3)
    assert sum(request.route == "blob" for request in hub.requests) <= 4


def test_a_planned_study_keeps_the_commits_of_its_plan_without_a_network(hub, repositories, monkeypatch, tmp_path):
    recipe, run = {"recipe": {"learning_rate": 1e-5}}, tmp_path / "run"
    target = {"training": {"task": "nli", "checkpoint": "last", **recipe}, "test": "validation"}
    study = {"name": "s", "question": "q", "replicates": 2,
             "languages": {"held_out": 0.5, "always_held_out": ["sw"], "minimum": 1},
             "encoders": {"e": {"load": "me/model"}}, "arms": {"none": {}}, "contrasts": [], "primary": ["nli"],
             "tasks": yaml.safe_load(entry_file(tmp_path).read_text()),
             "targets": {"nli": target}}  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))

    def plan():
        invoke("plan", tmp_path / "study.yaml", "--freeze", run)
        return json.loads((run / "plan.json").read_text())["steps"]

    steps = plan()
    shutil.rmtree(home())  # the plan alone knows the commits
    hub.add("me/nli", nli_at(hub), kind="datasets")
    with offline(monkeypatch):
        assert plan() == steps
    assert plan() != steps


def nli_at(hub):
    return {**hub.files("me/nli", "datasets"), "more.txt": b"more"}


def test_a_download_in_a_study_is_shown_in_bytes(hub, repositories, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.fault("/lfs/", "GET", drop=50_000, pause=3, times=1)
    step = Step("fetch", "xstilts.models.encoders:fetch", 1, {"load": "me/model"})
    begin, shown = time.time(), None
    thread = threading.Thread(target=load, args=("model",), daemon=True)
    thread.start()
    while shown is None and thread.is_alive():
        shown = downloading(step, begin)
    assert shown
    thread.join()


HOSTS = """
import socket, sys
hosts, look_up = set(), socket.getaddrinfo
def record(host, *arguments, **options):
    hosts.add(host)
    if host != "127.0.0.1":
        raise socket.gaierror("no network")
    return look_up(host, *arguments, **options)
socket.getaddrinfo = record
from xstilts.data.examples import load_examples
from xstilts.models.encoders import load_base, load_tokenizer
from xstilts.tasks.task import Task
import json, threading
load_tokenizer("me/bin"), load_base("me/bin")
for entry in json.loads(sys.argv[1]):
    assert len(load_examples(Task(**entry), "train", "sw", None, {}).table)
for thread in threading.enumerate():
    thread.join(10) if thread is not threading.current_thread() else None
print(sorted(hosts))
"""


def test_no_other_host_is_contacted(hub, repositories, encoder_folder, tmp_path, monkeypatch):
    """`transformers` would ask a service to convert `.bin` weights; `datasets` would count each download on another."""
    folder = tmp_path / "bin"
    shutil.copytree(encoder_folder("bert"), folder)
    weights = load_base(folder).state_dict()
    torch.save({f"bert.{name}": tensor for name, tensor in weights.items()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    hub.add("me/bin", {path.name: path.read_bytes() for path in folder.iterdir()})
    monkeypatch.delenv("HF_UPDATE_DOWNLOAD_COUNTS")
    entries = json.dumps([task(kind).model_dump(mode="json") for kind in ("parquet", "files")])
    done = subprocess.run([sys.executable, "-c", HOSTS, entries], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['127.0.0.1']"
    others = {r.path for r in hub.requests if r.route not in ("info", "resolve", "blob")}
    assert others <= {"/api/agent-harnesses"}  # the hub's client keeps a copy of this list
