"""The tests of this folder talk to a hub on this machine."""

import io
import json
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hub_server import hub as hub


@pytest.fixture
def naps(monkeypatch):
    """The seconds that the program wants to sleep, which it does not."""
    seconds = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


LABELS = ["entailment", "neutral", "contradiction"]
CARD = b"""---
configs:
- config_name: en
  data_files: [{split: train, path: en/train-*}, {split: validation, path: en/validation-*}]
- config_name: sw
  data_files: [{split: train, path: sw/train-*}, {split: validation, path: sw/validation-*}]
---
"""


def parquet(rows: list[dict]) -> bytes:
    """Premises, hypotheses and class numbers, with their names in the schema's metadata as in the hub's files."""
    features = {name: {"dtype": "string", "_type": "Value"} for name in ("premise", "hypothesis")}
    features["label"] = {"names": LABELS, "_type": "ClassLabel"}
    table = pa.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def nli(word: str) -> dict[str, bytes]:
    """The files of a data set in Parquet: two configurations of two splits, two files for one of them."""
    files = {"README.md": CARD}
    for code in ("en", "sw"):
        for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
            rows = [{"premise": f"{word} {code} {i}", "hypothesis": name, "label": i % 3} for i in range(300)]
            files[f"{code}/{name}.parquet"] = parquet(rows)
    return files


@pytest.fixture
def repositories(hub, encoder_folder, monkeypatch):
    """Three repositories: `me/nli` in Parquet at two commits, which are returned; `me/files`, tables; `me/model`."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.3)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    commits = [hub.add("me/nli", nli(word), kind="datasets") for word in ("first", "second")]
    hub.add("me/files", {f"{code}.tsv": f"a {code}\tb\tneutral\n".encode() for code in ("en", "sw")}, kind="datasets")
    hub.add("me/model", {path.name: path.read_bytes() for path in encoder_folder("bert").iterdir()})
    return commits
