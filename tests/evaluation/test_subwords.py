"""Features of languages from an encoder's own tokenizer, measured on the texts that a study scores."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xstilts.analysis.covariates import covariates
from xstilts.engine import Step, Store
from xstilts.evaluation.subwords import fertility, measure_subwords, subword_overlap
from xstilts.runs.run_files import FEATURES, SUBWORDS, read_language_features, write_json

SAID = {
    "en": ["the old river is wide", "a town"],
    "fr": ["le mur de la vieille ville", ""],
    "zh": ["国王在老城附近修建了城墙"],
    "ja": ["国 王 在 老 城 附 近 修 建"],
}


@pytest.fixture
def made(tokenizer):
    """A study's facts and finished steps: a pretrained encoder, and a target that is scored in four languages."""

    def finished(store):
        steps = {}

        def put(kind, label, arguments, inputs, write):
            step = Step(kind, f"made:{label}", 1, arguments, inputs, label=label)
            with store.writing(step) as folder:
                write(folder)
            steps[step.fingerprint] = step
            return step.fingerprint

        def rows(name, kind, split, texts, columns):
            told = {"task": {"name": name, "type": kind}, "split": split}
            return {code: put(
                "rows", f"{name} in {code}", told | {"language": code}, {},
                lambda folder, own=own: pq.write_table(
                    pa.table({columns[0]: own, columns[1]: pa.nulls(len(own), pa.string())}),
                    folder / "examples.parquet",
                ),
            ) for code, own in texts.items()}  # fmt: skip

        corpus = rows("text", "mlm", "train", {code: [code * 5] * 10 for code in [*SAID, "sw"]}, ("text", "text_b"))
        inputs = {f"rows.{code}": fingerprint for code, fingerprint in corpus.items()}
        enc = put("pretrain", "pretrain enc", {}, inputs, tokenizer.save_pretrained)
        scored = rows("nli", "classification", "test", SAID, ("text_a", "text_b"))
        facts = {"types": {"nli": "classification"}, "examples": {"nli": scored},
                 "encoder_steps": {"enc": enc, "absent": "0" * 32}}  # fmt: skip
        return facts, steps

    return finished


def test_subwords_are_measured_with_the_encoders_own_tokenizer_on_the_scored_texts(made, tmp_path, tokenizer):
    store = Store(tmp_path / "store")
    found = measure_subwords(*made(store), store)
    pieces = {code: tokenizer(texts, add_special_tokens=False)["input_ids"] for code, texts in SAID.items()}
    words = {code: sum(len(text.split()) for text in texts) for code, texts in SAID.items()}
    expected = {code: sum(map(len, pieces[code])) / words[code] for code in ("en", "fr")}
    assert found["fertility"] == {"enc": pytest.approx(expected, abs=1e-6)}, "not where spaces separate no words"
    kinds = {code: {i for ids in own for i in ids} for code, own in pieces.items()}
    assert set(found["overlap"]["enc"]) == set(SAID), "not of the pretraining text, which says other things"
    assert found["overlap"]["enc"]["en"]["fr"] == pytest.approx(subword_overlap(kinds["en"], kinds["fr"]), abs=1e-6)
    assert found["log_size"]["enc"]["sw"] == pytest.approx(np.log(100), abs=1e-6)


def test_a_store_elsewhere_gives_the_same(made, tmp_path, monkeypatch):
    monkeypatch.setenv("XSTILTS_CACHE", str(tmp_path / "cache"))
    here, there = Store(tmp_path / "here"), Store(f"file://{tmp_path}/there")
    expected = measure_subwords(*made(here), here)
    facts, steps = made(there)
    shutil.rmtree(tmp_path / "cache")
    assert measure_subwords(facts, steps, there) == expected


def test_an_unfinished_study_measures_what_is_finished(made, tmp_path):
    store = Store(tmp_path / "store")
    facts, steps = made(store)
    for fingerprint, step in steps.items():
        if step.label in ("nli in fr", "pretrain enc"):
            shutil.rmtree(store.path(fingerprint))
    assert measure_subwords(facts, steps, store) == {"fertility": {}, "overlap": {}, "log_size": {}}


def test_measured_features_are_covariates_and_given_ones_go_before_them(made, tmp_path):
    store = Store(tmp_path / "store")
    write_json(tmp_path, SUBWORDS, measure_subwords(*made(store), store))
    own = json.loads((tmp_path / SUBWORDS).read_text())
    found = covariates(tmp_path, ["en", "fr", "zh"], [["fr", "sw"], ["fr"]])
    assert found["fertility"]["fr"] == own["fertility"]["enc"]["fr"] and np.isnan(found["fertility"]["zh"])
    assert found["sub-word overlap"]["en"] == own["overlap"]["enc"]["en"]["fr"], "of a source without texts nothing"
    assert found["sub-word overlap"]["fr"] == 0.5
    (tmp_path / FEATURES).write_text(json.dumps({"fertility": {"enc": {"fr": 9.0}}}))
    assert covariates(tmp_path, ["fr"], [["en"]])["fertility"]["fr"] == 9.0
    assert read_language_features(tmp_path)["log_size"] == own["log_size"]


def test_fertility_and_overlap_by_hand():
    assert fertility(["a river", "the old town"], [3, 7]) == 2
    assert np.isnan(fertility(["国王在老城附近修建了城墙河很宽谁修建了城墙"], [9]))
    assert np.isnan(fertility(["国 王 在 老 城 附 近"], [7]))
    assert subword_overlap([1, 2, 3], {3, 4}) == pytest.approx(1 / 5)
    assert subword_overlap([1, 2], [2, 1]) == 0.5
